"""Write text_pieces.json and text_vectors.safetensors: what the original text tower answers.

    python tests/goldens/make_text_goldens.py FOLDER

FOLDER holds the unpacked all-MiniLM-L6-v2 (model.safetensors, config.json, tokenizer.json). Needs
tokenizers, transformers, torch and safetensors; of these the product has only the last two, so this
runs in an environment of its own. Made with tokenizers 0.23.3 and transformers 5.24.0.
"""

import json
import sys
from pathlib import Path

import numpy as np
import torch
from safetensors.numpy import save_file
from tokenizers import Tokenizer
from transformers import BertModel

HERE = Path(__file__).parent
NASTY = [
    "",
    " \t \n ",
    "a person walks forward",
    "A PERSON Walks FORWARD",
    "tabs\tand\nnew\r\nlines",
    "  leading, trailing  ",
    "no-break\u00a0and\u3000wide\u2003spaces",
    "caf\u00e9 na\u00efve r\u00e9sum\u00e9",
    "cafe\u0301 nai\u0308ve",  # the same, decomposed
    "\u00c5ngstr\u00f6m \u00dcBER \u0130stanbul",
    "vi\u1ec7t nam",
    "left-handed, right-footed counter-clockwise",
    "--- -- -",
    "hello!!!???",
    "(sits) [down] {now} <here>",
    "don't can't y'all's",
    'e.g. 3.5 m/s, 50% & $5 = #1 @home ~ ^_^ `x` |y| a\\b "q"',
    "1234567890 2019 007 1e-5",
    "3rd 21st 180deg 90s",
    "antidisestablishmentarianism",
    "pirouetting cartwheeling somersaulted moonwalks",
    "x" * 100,
    "x" * 101,  # BERT gives up on words of more than 100 characters
    "walks " + "ab" * 60 + " away",
    "qqqzzzxxjjkk",
    "zero\u200bwidth soft\u00adhyphen \ufeffmark",
    "nul\x00bell\x07del\x7f",
    "private\ue000use",
    "replaced\ufffdletter",
    "[CLSS] [unused1] ##ing ##",
    "waves \U0001f44b happily",
    "family \U0001f468\u200d\U0001f469\u200d\U0001f467 walks",
    "\u0445\u043e\u0434\u0438\u0442",
    "\u0627\u0644\u0645\u0634\u064a",
    # From here on ours differs, on purpose: see test_text.py.
    "\u6b69\u304f walks \u8d70\u8def",
    "\uac77\ub2e4 walks",
    "waves\U0001f44b",
    "the man\u2019s left leg",
    "turns 90\u00b0 \u2013 then stops\u2026",
    "\u201chello\u201d 2\u00d7 \u00bd m\u00b2",
    "\uff57\uff41\uff4c\uff4b\uff53 \ufb01ghts",
    "costs \u20ac5 \u2192 sits",
    "stop [SEP] and [MASK] go",
]


def sentence_vector(model: BertModel, ids: list[int]) -> np.ndarray:
    with torch.no_grad():
        states = model(input_ids=torch.tensor([ids])).last_hidden_state[0]
    return torch.nn.functional.normalize(states.mean(dim=0), dim=0).numpy()


def main(folder: Path) -> None:
    tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    tokenizer.no_padding()
    tokenizer.no_truncation()
    pieces = {text: tokenizer.encode(text).tokens for text in NASTY}
    (HERE / "text_pieces.json").write_text(json.dumps(pieces, indent=1) + "\n", encoding="utf-8")
    prompts = (HERE / "text_prompts.txt").read_text(encoding="utf-8").splitlines()
    model = BertModel.from_pretrained(folder, attn_implementation="eager").eval()
    vectors = np.stack([sentence_vector(model, tokenizer.encode(p).ids) for p in prompts])
    save_file({"vectors": vectors.astype(np.float16)}, HERE / "text_vectors.safetensors")


if __name__ == "__main__":
    main(Path(sys.argv[1]))

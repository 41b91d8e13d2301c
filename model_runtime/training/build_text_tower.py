"""Make the starter's text tower out of an unpacked all-MiniLM-L6-v2 folder.

    python -m model_runtime.training.build_text_tower FOLDER OUT [--texts FILE_OR_FOLDER ...]

Two reductions: word pieces that no English prompt needs are dropped, and large matrices are
stored in 8 bits. The result is measured against the original, on a few sentences and on `--texts`
(a text per line, up to the first #, as caption files have them), before it is kept.

Dropping ASCII pieces as well does not pay: numbers and the rarest words, 4,600 pieces, would save
1.8 MB, but "leaps", "salsa" and "squat" are among them, and a caption falls to a cosine of 0.38.
"""

import argparse
import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
from safetensors.numpy import load_file, save_file

from model_runtime.nets.configs import SentenceTowerConfig
from model_runtime.nets.text import SentenceTower
from model_runtime.packing import Tensors, pack, unpack
from model_runtime.tokenizer import MAX_PIECES, WordPiece

SPECIAL = ("[PAD]", "[UNK]", "[CLS]", "[SEP]")
LEAST_COSINE = 0.995  # of each caption's vector with the original's
SAMPLE = (
    "a person walks forward slowly, then sits down on the floor",
    "someone jogs in a circle counterclockwise and stops",
    "the man kicks with his left leg & punches twice!",
    "waving hello with the right hand",
    "she spins around, arms out, like a ballerina",
    "crouch, roll and get up again",
    "a zombie staggers towards the camera",
)


def kept_pieces(vocabulary: list[str]) -> list[int]:
    """Rows of the special pieces and of everything that is printable ASCII."""
    return [
        row
        for row, piece in enumerate(vocabulary)
        if piece in SPECIAL
        or (piece.isascii() and piece.isprintable() and not piece.startswith("["))
        or piece in ("[", "]")
    ]


def our_names(theirs: Tensors, num_layers: int) -> Tensors:
    """BERT's state dict -> SentenceTower's. The one token type is folded into the positions."""
    ours = {
        "pieces.weight": theirs["embeddings.word_embeddings.weight"],
        "positions.weight": theirs["embeddings.position_embeddings.weight"][:MAX_PIECES]
        + theirs["embeddings.token_type_embeddings.weight"][0],
        "norm.weight": theirs["embeddings.LayerNorm.weight"],
        "norm.bias": theirs["embeddings.LayerNorm.bias"],
    }
    renamed = {
        "out": "attention.output.dense",
        "norm_attention": "attention.output.LayerNorm",
        "expand": "intermediate.dense",
        "contract": "output.dense",
        "norm_feedforward": "output.LayerNorm",
    }
    for layer in range(num_layers):
        old, new = f"encoder.layer.{layer}.", f"layers.{layer}."
        for kind in ("weight", "bias"):
            parts = [theirs[f"{old}attention.self.{n}.{kind}"] for n in ("query", "key", "value")]
            ours[f"{new}qkv.{kind}"] = np.concatenate(parts)
            for our_name, their_name in renamed.items():
                ours[f"{new}{our_name}.{kind}"] = theirs[f"{old}{their_name}.{kind}"]
    return ours


def sentence_vectors(
    tensors: Tensors, config: SentenceTowerConfig, tokenizer: WordPiece, texts: tuple[str, ...]
) -> np.ndarray:
    """(B, 384), each text on its own."""
    tower = SentenceTower(config).eval()
    tower.load_state_dict({name: torch.from_numpy(t) for name, t in tensors.items()})
    vectors = []
    with torch.no_grad():
        for text in texts:
            ids = torch.tensor([tokenizer.encode(text).ids])
            vectors.append(tower(ids)[0].numpy())
    return np.stack(vectors)


def read_texts(paths: list[Path]) -> Iterator[str]:
    for path in paths:
        for file in sorted(path.glob("*.txt")) if path.is_dir() else [path]:
            lines = file.read_text(encoding="utf-8").splitlines()
            yield from (text for line in lines if (text := line.partition("#")[0].strip()))


def build(source: Path, out: Path, texts: tuple[str, ...] = SAMPLE) -> SentenceTowerConfig:
    """Writes the reduced tower to `out`. Exits with a message where it is too far from `source`'s
    on one of the texts; `out` is then left as it was."""
    vocabulary = (source / "vocab.txt").read_text(encoding="utf-8").splitlines()
    shape = json.loads((source / "config.json").read_text(encoding="utf-8"))
    whole = our_names(load_file(source / "model.safetensors"), shape["num_hidden_layers"])
    rows = kept_pieces(vocabulary)
    pruned = whole | {"pieces.weight": whole["pieces.weight"][rows]}
    packed = pack(pruned, eight_bit=lambda name: pruned[name].ndim == 2 and "positions" not in name)
    original, small = (SentenceTowerConfig(num_pieces=n) for n in (len(vocabulary), len(rows)))
    pieces = [vocabulary[row] for row in rows]
    before = sentence_vectors(whole, original, WordPiece(vocabulary), texts)
    after = sentence_vectors(unpack(packed), small, WordPiece(pieces), texts)
    cosine = (before * after).sum(axis=-1)
    print(f"{len(rows)} of {len(vocabulary)} word pieces")
    print(f"cosine on {len(texts)} texts: least {cosine.min():.4f}, mean {cosine.mean():.4f}")
    if cosine.min() < LEAST_COSINE:
        raise SystemExit(f"Too far from the original: {texts[cosine.argmin()]!r}")
    out.mkdir(parents=True, exist_ok=True)
    save_file(packed, out / "text.safetensors")
    (out / "vocabulary.txt").write_text("\n".join(pieces) + "\n", encoding="utf-8")
    for name in ("text.safetensors", "vocabulary.txt"):
        print(f"{name}: {(out / name).stat().st_size / 1e6:.2f} MB")
    return small


def main() -> None:
    parser = argparse.ArgumentParser(description="Reduce all-MiniLM-L6-v2 to the text tower.")
    parser.add_argument("source", type=Path, help="config.json, model.safetensors, vocab.txt")
    parser.add_argument("out", type=Path, help="folder for text.safetensors and vocabulary.txt")
    parser.add_argument("--texts", type=Path, nargs="+", default=[], help="measure on these too")
    chosen = parser.parse_args()
    build(chosen.source, chosen.out, tuple(dict.fromkeys((*SAMPLE, *read_texts(chosen.texts)))))


if __name__ == "__main__":
    main()

"""The starter's text tower against the original (goldens/make_text_goldens.py); packing."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.numpy import load_file

from model_runtime.backends import open_networks
from model_runtime.nets.configs import SentenceTowerConfig
from model_runtime.nets.text import SentenceTower
from model_runtime.networks import fitting_text_size
from model_runtime.packing import pack, unpack
from model_runtime.tokenizer import MAX_PIECES, Reworded, WordPiece, cue_words
from model_runtime.torch_backend import TextEncoder
from model_runtime.training.build_text_tower import LEAST_COSINE, kept_pieces
from model_runtime.weights_folder import read_card

GOLDENS = Path(__file__).parents[1] / "goldens"
STARTER = Path(__file__).parents[2] / "model_runtime" / "weights" / "starter"
PROMPTS = (GOLDENS / "text_prompts.txt").read_text(encoding="utf-8").splitlines()
BERT = json.loads((GOLDENS / "text_pieces.json").read_text(encoding="utf-8"))

# Where we leave BERT, and why; everything else is equal to it.
OURS = {
    # No English prompt needs other scripts: a word in one is unknown as a whole.
    "\u0445\u043e\u0434\u0438\u0442": "[UNK]",
    "\u0627\u0644\u0645\u0634\u064a": "[UNK]",
    "\u6b69\u304f walks \u8d70\u8def": "[UNK] [UNK] walks [UNK] [UNK]",
    # A symbol is unknown alone and does not take its word with it.
    "waves\U0001f44b": "waves [UNK]",
    "family \U0001f468\u200d\U0001f469\u200d\U0001f467 walks": "family [UNK] [UNK] [UNK] walks",
    "costs \u20ac5 \u2192 sits": "costs [UNK] 5 [UNK] sits",
    # Typography is read as its ASCII spelling.
    "the man\u2019s left leg": "the man ' s left leg",
    "turns 90\u00b0 \u2013 then stops\u2026": "turns 90 degrees - then stops . . .",
    "\u201chello\u201d 2\u00d7 \u00bd m\u00b2": '" hello " 2 x 1 / 2 m2',
    "\uff57\uff41\uff4c\uff4b\uff53 \ufb01ghts": "walks fights",
    # What a user types is text, never a command to the tower.
    "stop [SEP] and [MASK] go": "stop [ sep ] and [ mask ] go",
}


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(7)


@pytest.fixture(scope="module")
def vocabulary() -> list[str]:
    return (STARTER / "vocabulary.txt").read_text(encoding="utf-8").splitlines()


@pytest.fixture(scope="module")
def tokenizer() -> WordPiece:
    return WordPiece.read(STARTER / "vocabulary.txt")


@pytest.fixture(scope="module")
def tower(vocabulary) -> SentenceTower:
    tower = SentenceTower(SentenceTowerConfig(num_pieces=len(vocabulary))).eval()
    tensors = unpack(load_file(STARTER / "text.safetensors"))
    tower.load_state_dict({name: torch.from_numpy(tensor) for name, tensor in tensors.items()})
    return tower.requires_grad_(False)


def embed(tower: SentenceTower, sentences: list[list[int]]) -> np.ndarray:
    """Ids of several sentences, padded to one batch -> (B, 384)."""
    longest = max(map(len, sentences))
    ids = torch.tensor([pieces + [0] * (longest - len(pieces)) for pieces in sentences])
    lengths = torch.tensor([len(pieces) for pieces in sentences])
    return tower(ids, torch.arange(longest) < lengths[:, None]).numpy()


@pytest.mark.parametrize("text", BERT, ids=ascii)
def test_word_pieces_are_those_of_bert(text, tokenizer, vocabulary):
    wanted = ["[CLS]", *OURS[text].split(), "[SEP]"] if text in OURS else BERT[text]
    assert [vocabulary[piece] for piece in tokenizer.encode(text).ids] == wanted


def test_every_exception_from_bert_is_one():
    assert all(BERT[text][1:-1] != ours.split() for text, ours in OURS.items())


def test_the_vocabulary_keeps_all_ascii_and_only_ascii(vocabulary):
    assert all(piece.isascii() for piece in vocabulary)
    assert {chr(code) for code in range(33, 127) if not chr(code).isupper()} <= {*vocabulary}
    assert {f"##{letter}" for letter in "abcdefghijklmnopqrstuvwxyz0123456789"} <= {*vocabulary}
    mixed = ["[PAD]", "[unused3]", "[", "walk", "##ing", "\u00e9", "[MASK]"]
    assert kept_pieces(mixed) == [0, 2, 3, 4]


@pytest.mark.parametrize("words", [MAX_PIECES - 2, MAX_PIECES - 1, 5000])
def test_says_what_it_truncates(words, tokenizer, vocabulary):
    pieces = tokenizer.encode("walks " * words)
    assert pieces.truncated == (words > MAX_PIECES - 2)
    assert len(pieces.ids) == MAX_PIECES and vocabulary[pieces.ids[-1]] == "[SEP]"


def test_bytes_that_are_no_text_are_unknown(tokenizer, vocabulary):
    broken = b"walks \xff\xfe on".decode("utf-8", "surrogateescape")  # as a terminal may hand it on
    assert [vocabulary[p] for p in tokenizer.encode(broken).ids[1:-1]] == ["walks", "[UNK]", "on"]


def test_sentence_vectors_are_those_of_the_original(tower, tokenizer):
    wanted = load_file(GOLDENS / "text_vectors.safetensors")["vectors"].astype(np.float32)
    vectors = np.concatenate([embed(tower, [tokenizer.encode(p).ids]) for p in PROMPTS])
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1.0, atol=1e-5)
    cosines = (vectors * wanted).sum(axis=1) / np.linalg.norm(wanted, axis=1)
    assert cosines.min() >= LEAST_COSINE, PROMPTS[int(cosines.argmin())]


def test_padding_changes_nothing(tower, tokenizer):
    sentences = [tokenizer.encode(text).ids for text in ["", *PROMPTS[:6], "walks " * 500]]
    alone = np.concatenate([embed(tower, [pieces]) for pieces in sentences])
    np.testing.assert_allclose(embed(tower, sentences), alone, atol=1e-5)


def test_the_forward_pass_is_one_graph_for_any_batch_and_length(tower, tokenizer):
    batch, length = torch.export.Dim("batch", max=64), torch.export.Dim("length", max=MAX_PIECES)
    ids = torch.tensor([tokenizer.encode(PROMPTS[0]).ids] * 2)
    valid = torch.ones_like(ids, dtype=torch.bool)
    sizes = {0: batch, 1: length}
    graph = torch.export.export(tower, (ids, valid), dynamic_shapes=(sizes, sizes)).module()
    other = torch.tensor([tokenizer.encode("a person sits down and gets up").ids] * 3)
    valid = torch.ones_like(other, dtype=torch.bool)
    torch.testing.assert_close(graph(other, valid), tower(other, valid), atol=1e-5, rtol=0)


LEFT, RIGHT, CLOCKWISE, COUNTER = np.eye(4, dtype=int)
FAST, SLOW, IN_PLACE, SEATED, SITS_DOWN, GETS_UP = np.eye(6, dtype=int)


@pytest.mark.parametrize(
    ("wanted", "texts"),
    [
        (
            LEFT,
            ["Turns LEFT.", "left-handed", "lefthand punch", "leftward", "leftwards", "the left"],
        ),
        (LEFT, ["left\u2019s", "leftmost", "left_foot", "a left\u2013hander", "throws two lefts"]),
        (RIGHT, ["right", "right-footed kick", "righthanded", "to the right,", "rightwards"]),
        (LEFT + RIGHT, ["left/right", "from left to right", "throws lefts and rights"]),
        (
            CLOCKWISE,
            ["spins clockwise", "Clockwise!", "turns cw", "past a counter, then clockwise"],
        ),
        (COUNTER, ["counterclockwise", "counter-clockwise", "counter clockwise", "ccw"]),
        (COUNTER, ["anticlockwise", "ANTI-CLOCKWISE", "anti clockwise", "counter  -  clockwise"]),
        (COUNTER, [f"counter{dash}clockwise" for dash in "\u2010\u2011\u2013\u2212\u00ad"]),
        (CLOCKWISE + COUNTER, ["clockwise, then counter-clockwise", "ccw and clockwise"]),
        (RIGHT, ["turns right after the door", "jumps to the right there", "turn right now"]),
        (0 * RIGHT, ["a bear is right behind you", "crouch right down", "stand up right now"]),
        (0 * RIGHT, ["he is all right", "right away, run"]),
        (LEFT + COUNTER, ["kicks with the left foot, turning anti-clockwise"]),
        (
            0 * LEFT,
            ["", "stands upright", "copyright", "leftovers", "a cleft", "brightly", "righteous"],
        ),
    ],
)
def test_cue_words_of_the_sides(wanted, texts):
    for text in texts:
        assert cue_words(text)[:4] == tuple(wanted), text


@pytest.mark.parametrize(
    ("cue", "texts"),
    [
        (FAST, ["walks forward quickly", "a brisk walk", "she is hurrying home", "at full speed"]),
        (SLOW, ["walks slowly", "at a slow pace", "an unhurried stroll", "Leisurely he goes on"]),
        (IN_PLACE, ["jogs on the spot", "runs in place", "treadmill jogging", "in the same spot"]),
        (IN_PLACE, ["a light jog without moving forward", "run without going anywhere"]),
        (SEATED, ["sits on a high stool", "is seated, barely moving", "remains sitting"]),
        (SITS_DOWN, ["sits down on a stool", "take a seat", "walks to a stool and sits on it"]),
        (SITS_DOWN, ["a man sits back down", "sitting down", "she grabs a seat"]),
        (SITS_DOWN, ["plonks himself down on a park bench", "lowering herself into an armchair"]),
        (SEATED, ["slouched on the couch", "sat on a bench", "lounging", "sitting at the desk"]),
        (GETS_UP, ["gets up out of his chair", "leaves the sofa", "jumps off the bench"]),
        (SLOW, ["trudging home", "she takes her time", "drags his feet", "no rush at all"]),
        (FAST, ["runs flat out", "power walking", "like mad"]),
        (IN_PLACE, ["jogging but going nowhere", "runs, never moving forward"]),
        (GETS_UP, ["stands up from a stool", "gets back up", "rises to his feet"]),
        (GETS_UP, ["get off the sofa", "getting out of a low chair", "arise from your armchair"]),
        (SEATED + GETS_UP, ["sits on a low stool and then gets up"]),
        (SITS_DOWN + GETS_UP, ["sits down, then stands up again"]),
        (
            0 * FAST,
            ["", "a person walks forward", "stands still", "goes up the stairs", "in the spotlight"]
            + ["breakfast", "puts the cup in its placement", "reaches up", "stand in the slot"]
            + ["drops the ball on the table", "leaves the room", "gets the cup from the shelf"],
        ),
    ],
)
def test_cue_words_of_manner_and_posture(cue, texts):
    for text in texts:
        assert cue_words(text)[4:] == tuple(cue), text


def test_eight_bit_rows_are_half_a_step_away_at_most(rng):
    matrix = rng.normal(size=(40, 64)).astype(np.float32) * np.logspace(-6, 3, 40)[:, None]
    matrix[7] = 0.0
    packed = pack({"m": matrix.astype(np.float32)}, eight_bit=lambda name: name == "m")
    assert packed["m.int8"].dtype == np.int8 and packed["m.scale"].shape == (40, 1)
    error = np.abs(unpack(packed)["m"] - matrix)
    step = np.abs(matrix).max(axis=1, keepdims=True) / 127.0
    assert (error <= 0.5001 * step).all()
    assert (unpack(packed)["m"][7] == 0.0).all()


def test_the_rest_is_float16(rng):
    tensors = {"a": rng.normal(size=(3, 4, 5)).astype(np.float32), "b": np.float32([1.5, -2.0])}
    packed = pack(tensors)
    assert packed.keys() == tensors.keys() and packed["a"].dtype == np.float16
    unpacked = unpack(packed)
    np.testing.assert_allclose(unpacked["a"], tensors["a"], rtol=2**-11, atol=1e-7)
    np.testing.assert_array_equal(unpacked["b"], tensors["b"])
    assert {tensor.dtype for tensor in unpacked.values()} == {np.dtype(np.float32)}


def test_a_missing_scale_is_named():
    packed = pack({"m": np.ones((2, 2), np.float32)}, eight_bit=lambda _name: True)
    del packed["m.scale"]
    with pytest.raises(KeyError, match=r"m\.scale"):
        unpack(packed)


def test_a_model_hears_as_many_cues_as_its_text_size_has_room_for():
    tower = SentenceTowerConfig(num_pieces=1)
    for num_kinds, most in ((0, 394), (69, 463)):
        sizes = [fitting_text_size(tower, size, num_kinds) for size in (384, 388, 394, 463, 512)]
        assert sizes == [384, 388, 394, most, most]
    encoder = TextEncoder.open(STARTER, read_card(STARTER).parts["text"], torch.device("cpu"))
    short, whole = (encoder.embed_corpus(["turns left quickly"], size) for size in (388, 394))
    assert short[0, 384:].tolist() == [1, 0, 0, 0]
    assert whole[0, 384:].tolist() == [1, 0, 0, 0, 1, 0, 0, 0, 0, 0]


def test_prompts_are_read_in_the_words_of_the_captions():
    read = Reworded(
        {"chair": "low stool", "sits down": "sits down there", "sits down on": "rests on"}
    )
    assert read("She SITS DOWN on a Chair, chairs around her") == (
        "She rests on a low stool, chairs around her"
    )
    assert read("he sits down") == "he sits down there"
    assert Reworded({})("a chair") == "a chair"


def test_the_starter_sits_on_chairs_as_on_low_stools():
    networks = open_networks(STARTER, "cpu")
    vectors = networks.embed_text(
        ["a person sits down on a chair", "a person sits down", "a person sits down on a low stool"]
    ).vectors
    np.testing.assert_array_equal(vectors[0], vectors[2])
    np.testing.assert_array_equal(vectors[1], vectors[2])

"""CLIP's text tower out of its archive: tokens and vectors are those of the release."""

import gzip
import json
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from model_runtime.byte_pairs import BytePairs, plain
from tests.fetcher.original_clip import MERGES, Clip, golden_clip, write_originals
from weights_fetcher.clip import ARCHIVE, PAIRS, read_merges, read_text_tower
from weights_fetcher.errors import ConvertError
from weights_fetcher.tensor_reader import TensorFileError


@pytest.fixture(scope="module")
def strings(shared: Path) -> list[str]:
    file = shared / "fixtures" / "clip" / "strings.json"
    return json.loads(file.read_text(encoding="utf-8"))["strings"]


@pytest.fixture(scope="module")
def originals(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_originals(tmp_path_factory.mktemp("clip") / "clip", Clip(width=64, num_layers=1))


def stored(shared: Path, name: str) -> np.ndarray:
    from safetensors.numpy import load_file

    (array,) = load_file(shared / "fixtures" / "clip" / f"{name}.safetensors").values()
    return array


def test_tokens_are_clip_s_for_every_string(shared: Path, strings: list[str]):
    tokenizer = BytePairs(gzip.decompress(MERGES.read_bytes()).decode("utf-8").splitlines())
    expected = stored(shared, "tokens")
    for text, row in zip(strings, expected, strict=True):
        pieces = tokenizer.encode(text)
        assert pieces.ids == row.tolist()[: len(pieces.ids)], text
        assert not row[len(pieces.ids) :].any(), text


def test_texts_become_clip_s_vectors(
    on_each_backend: Callable[..., Any], shared: Path, strings: list[str]
):
    text = on_each_backend("t2m").embed_text(strings)
    np.testing.assert_allclose(text.vectors, stored(shared, "encode_text"), rtol=0, atol=1e-5)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("It\u2019s   \u201cFINE\u201d\n&amp;amp; caf\u00c3\u00a9", 'it\'s "fine" & caf\u00e9'),
        ("\x1b[31mred\x07 \ufb01ne \uff21", "red fine a"),
        ("if x<1 &amp; y", "if x<1 & y"),
        ("na\u00efve \u00c3", "na\u00efve \u00e3"),
    ],
)
def test_text_is_made_plain_as_before_clip(text: str, expected: str):
    assert plain(text) == expected


def test_the_image_tower_is_left_and_half_stays_half(originals: Path, shared: Path, tmp_path: Path):
    tower = read_text_tower(originals)
    assert tower.config["num_layers"] == 1 and tower.config["width"] == 64
    assert not any("visual" in name or "conv" in name for name in tower.tensors)
    assert tower.tensors["leave.weight"].shape == (512, 64)
    golden = golden_clip(shared / "fixtures" / "clip" / "text_tower.npz")
    kept = read_text_tower(write_originals(tmp_path / "golden", golden)).tensors
    assert kept["layers.0.qkv.weight"].dtype == kept["leave.weight"].dtype == np.float16
    assert kept["pieces.weight"].dtype == kept["norm.bias"].dtype == np.float32


def test_a_tower_that_is_not_clip_s_is_named(originals: Path, tmp_path: Path):
    wrong = Clip(width=64, num_layers=1)
    wrong.ln_final.bias = None
    folder = write_originals(tmp_path / "wrong", wrong)
    with pytest.raises(ConvertError, match=r"missing: ln_final\.bias"):
        read_text_tower(folder)


def test_code_in_a_scripted_archive_is_not_run(originals: Path, tmp_path: Path):
    """The code beside the tensors may be anything; a program that names a function is refused."""
    for name in ("good", "bad"):
        folder = tmp_path / name
        folder.mkdir()
        (folder / PAIRS).write_bytes((originals / PAIRS).read_bytes())
        with (
            zipfile.ZipFile(originals / ARCHIVE) as source,
            zipfile.ZipFile(folder / ARCHIVE, "w") as target,
        ):
            for member in source.namelist():
                content = source.read(member)
                if "/code/" in member:
                    content = b"import os; os.abort()"
                if member.endswith("/data.pkl") and name == "bad":
                    content = content.replace(b"c__torch__\nClip\n", b"cos\nabort\n", 1)
                    content = content.replace(b"c__torch__.tests", b"cos.tests", 1)
                target.writestr(member, content)
    assert read_text_tower(tmp_path / "good").config["width"] == 64
    with pytest.raises(TensorFileError, match="nothing in it was run"):
        read_text_tower(tmp_path / "bad")


@pytest.mark.parametrize(
    "content",
    [b"", b"no gzip", gzip.compress(b"title\na b\n"), gzip.compress(bytes(2**25))],
    ids=["empty", "other", "short", "bomb"],
)
def test_a_list_of_pairs_that_is_none_is_refused(tmp_path: Path, content: bytes):
    file = tmp_path / PAIRS
    file.write_bytes(content)
    with pytest.raises(ConvertError, match=PAIRS):
        read_merges(file)

"""Tokenizers that differ in one thing: trained, measured, tabulated."""

import json

import pytest
import torch
from tiny_training import write_data

from model_runtime.training.ablate_tokenizer import VARIANTS, main, read_variants

TINY = """
[common.data]
speeds = [1.0]
[common.rvq]
width = 8
code_size = 8
num_codes = 8
[common.rvq_training]
steps = 2
batch_size = 4
plain_steps = 1
[variants."V = 2"]
rvq = { num_quantizers = 3 }
[variants."V = 0"]
rvq = { num_quantizers = 1 }
"""


@pytest.fixture(autouse=True)
def one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def test_each_variant_is_trained_and_has_its_row(tmp_path, capsys):
    variants, out = tmp_path / "variants.toml", tmp_path / "out"
    variants.write_text(TINY, encoding="utf-8")
    arguments = ["--data", str(write_data(tmp_path / "data")), "--out", str(out)]
    assert main([*arguments, "--variants", str(variants)]) == 0
    found = json.loads((out / "tokenizers.json").read_text())
    assert [len(found[name]) for name in ("V = 2", "V = 0")] == [3, 1]
    assert all(row["root_aligned"] > 0.0 for rows in found.values() for row in rows)
    table = (out / "tokenizers.md").read_text().splitlines()
    assert [line.split(" | ")[0] for line in table[2:]] == ["| V = 2", "| V = 0"]
    assert table[-1] in capsys.readouterr().out


def test_ours_differ_in_one_thing_from_the_first():
    first, *others = read_variants(VARIANTS).values()
    for other in others:
        parts = [
            (key, value, vars(getattr(other, part))[key])
            for part in ("rvq", "rvq_training")
            for key, value in vars(getattr(first, part)).items()
        ]
        assert sum(one != two for _, one, two in parts) == 1


def test_an_unknown_key_is_named_in_one_line(tmp_path, capsys):
    variants = tmp_path / "variants.toml"
    variants.write_text('[variants."a"]\nrvq = { depht = 2 }\n', encoding="utf-8")
    arguments = ["--data", str(tmp_path), "--out", str(tmp_path), "--variants", str(variants)]
    assert main(arguments) != 0
    said = capsys.readouterr().err.strip()
    assert "variants.toml: unknown key rvq.depht" in said and "\n" not in said

"""A published tree becomes a weights folder, whole or not at all."""

import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from model_runtime.__main__ import main as graphs_command
from model_runtime.backends import open_networks
from model_runtime.nets.configs import LengthConfig, RvqConfig, TransformerConfig
from model_runtime.nets.rvq import Rvq
from model_runtime.nets.transformer import LengthEstimator, MaskedTransformer, ResidualTransformer
from model_runtime.onnx_backend import OnnxNetworks
from model_runtime.torch_backend import TorchNetworks
from model_runtime.weights_folder import read_card, read_statistics, read_tensors
from weights_fetcher import published_layout as layout
from weights_fetcher.__main__ import main
from weights_fetcher.convert import ConvertError, convert
from weights_fetcher.published_layout import OptionsError, Row, parse_options

REPOSITORY = Path(__file__).resolve().parents[2]
RVQ = "rvq_nq6_dc32_nc64_noshare_qdp0.2"
BASE = "t2m_nlayer2_nhead6_ld24_ff64_cdp0.1_rvq6ns"
SHARED = "tres_nlayer3_ld12_ff56_rvq6ns_cdp0.2_sw"
NONSHARED = "tres_nlayer2_ld12_ff48_rvq6ns_cdp0.2"


@pytest.fixture
def tree(shared: Path, tmp_path: Path) -> Path:
    """A copy of the HumanML3D part of the fixtures' tree, with one residual transformer."""
    folder = tmp_path / "checkpoints" / "t2m"
    for name in (RVQ, BASE, SHARED, "length_estimator"):
        source = shared / "fixtures" / "checkpoints" / "t2m" / name
        shutil.copytree(source, folder / name, copy_function=shutil.copyfile)
    for path in (folder, *folder.rglob("*")):
        path.chmod(0o755)  # the shared folder is read-only
    return folder


def edit_checkpoint(file: Path, change: Callable[[dict[str, Any]], object]) -> None:
    saved = torch.load(file, weights_only=True)
    change(saved)
    torch.save(saved, file)


def edit_options(folder: Path, old: str, new: str) -> None:
    file = folder / "opt.txt"
    text = file.read_text()
    assert old in text
    file.write_text(text.replace(old, new))


def refusal(tree: Path, out: Path, **options: str) -> str:
    with pytest.raises(ConvertError) as refused:
        convert(tree, out, **options)
    assert not out.exists()
    assert not list(out.parent.glob(f".{out.name}*"))
    return str(refused.value)


def published_configs(dataset: str = "t2m", **options: Any) -> tuple[dict[str, Any], ...]:
    rvq = layout.rvq_config({}, dataset)
    base = layout.transformer_config(options, rvq)
    return rvq, base, layout.transformer_config(options | {"share_weight": True}, rvq)


@pytest.mark.parametrize(("dataset", "suffix"), [("t2m", ""), ("kit", "_k")])
def test_tables_list_every_tensor_of_the_published_size(shared: Path, dataset: str, suffix: str):
    manifest = json.loads((shared / "fixtures" / "manifest_fullsize.json").read_text())
    rvq, base, residual = published_configs(dataset)
    tables = {
        f"rvq_nq6_dc512_nc512_noshare_qdp0.2{suffix}": layout.rvq_tensors(rvq),
        f"t2m_nlayer8_nhead6_ld384_ff1024_cdp0.1_rvq6ns{suffix}": layout.base_tensors(base),
        f"tres_nlayer8_ld384_ff1024_rvq6ns_cdp0.2_sw{suffix}": layout.residual_tensors(residual),
    }
    if dataset == "t2m":
        tables["length_estimator"] = layout.length_tensors()
    for name, rows in tables.items():
        entries = manifest["models"][f"{dataset}/{name}"]["state_dict"]
        expected = {key: tuple(shape) for key, (shape, _dtype) in entries.items()}
        assert {row.theirs: row.shape for row in rows} == expected, name


def ours(rows: list[Row]) -> dict[str, tuple[int, ...]]:
    """Names and shapes as the converter writes them."""
    shapes = {row.ours: row.shape for row in rows if row.ours}
    books = [shapes.pop(name) for name in list(shapes) if name.startswith("codebooks.")]
    if books:
        shapes["codebooks"] = (len(books), *books[0])
    if "bias" in shapes:
        shapes["bias"] = (shapes["bias"][0] - 1, shapes["bias"][1])
    return shapes


def test_tables_name_every_tensor_of_our_networks():
    rvq, base, residual = published_configs()
    nonshared = residual | {"shared": False}
    with torch.device("meta"):
        pairs = [
            (Rvq(RvqConfig(**rvq)), layout.rvq_tensors(rvq)),
            (MaskedTransformer(TransformerConfig(**base)), layout.base_tensors(base)),
            (ResidualTransformer(TransformerConfig(**residual)), layout.residual_tensors(residual)),
            (
                ResidualTransformer(TransformerConfig(**nonshared)),
                layout.residual_tensors(nonshared),
            ),
            (LengthEstimator(LengthConfig()), layout.length_tensors()),
        ]
    for network, rows in pairs:
        expected = {name: tuple(tensor.shape) for name, tensor in network.state_dict().items()}
        assert ours(rows) == expected


def test_every_number_arrives(tree: Path, tmp_path: Path):
    convert(tree.parent, tmp_path / "out")
    card = read_card(tmp_path / "out")
    assert card.sampling.guidance_scale == 4.0 and card.num_quantizers == 6
    rvq = card.parts["rvq"].config
    tables = {
        "rvq": (f"{RVQ}/model/net_best_fid.tar", "vq_model", layout.rvq_tensors(rvq)),
        "base": (
            f"{BASE}/model/latest.tar",
            "t2m_transformer",
            layout.base_tensors(card.parts["base"].config),
        ),
        "residual": (
            f"{SHARED}/model/net_best_fid.tar",
            "res_transformer",
            layout.residual_tensors(card.parts["residual"].config),
        ),
        "length": ("length_estimator/model/finest.tar", "estimator", layout.length_tensors()),
    }
    for part, (file, key, rows) in tables.items():
        saved = torch.load(tree / file, weights_only=True)[key]
        tensors = read_tensors(card.folder, card.parts[part])
        for row in rows:
            name, _, q = row.ours.partition("codebooks.")
            if q:
                assert np.array_equal(tensors["codebooks"][int(q)], saved[row.theirs].numpy())
            elif name:
                assert np.array_equal(tensors[name], saved[row.theirs].numpy())
    mean, std = read_statistics(card)
    assert np.array_equal(mean, np.load(tree / RVQ / "meta" / "mean.npy"))
    assert np.array_equal(std, np.load(tree / RVQ / "meta" / "std.npy"))


def test_older_names_and_what_trainers_leave_behind_are_accepted(tree: Path, tmp_path: Path):
    convert(tree, tmp_path / "new")
    rename = {"vq_model": "net", "t2m_transformer": "trans"}
    for folder, file in ((RVQ, "net_best_fid.tar"), (BASE, "latest.tar")):
        edit_checkpoint(
            tree / folder / "model" / file,
            lambda saved: [
                saved.update({rename.get(key, key): saved.pop(key)}) for key in list(saved)
            ],
        )
    edit_checkpoint(
        tree / BASE / "model" / "latest.tar",
        lambda saved: saved.update(
            opt_t2m_transformer={"state": {0: {"step": torch.tensor(3.0)}}, "param_groups": []},
            scheduler={"milestones": [1]},
            total_it=5,
        ),
    )
    edit_checkpoint(
        tree / BASE / "model" / "latest.tar",
        lambda saved: saved["trans"].update({"clip_model.ln.weight": torch.ones(2)}),
    )
    convert(tree, tmp_path / "old")
    for name in ("rvq", "base"):
        file = f"{name}.safetensors"
        assert (tmp_path / "new" / file).read_bytes() == (tmp_path / "old" / file).read_bytes()


def test_missing_unexpected_and_misshapen_tensors_are_named(tree: Path, tmp_path: Path):
    file = tree / BASE / "model" / "latest.tar"
    original = file.read_bytes()
    changes = {
        "missing: cond_emb.bias": lambda net: net.pop("cond_emb.bias"),
        "unexpected: cond_emb.scale": lambda net: net.update({"cond_emb.scale": torch.ones(1)}),
        "token_emb.weight is (65, 32) instead of (66, 32)": lambda net: net.update(
            {"token_emb.weight": torch.zeros(65, 32)}
        ),
        "cond_emb.bias is () instead of (24,)": lambda net: net.update({"cond_emb.bias": 3}),
        "cond_emb.bias holds no floating-point numbers": lambda net: net.update(
            {"cond_emb.bias": torch.zeros(24, dtype=torch.int64)}
        ),
        "position_enc.pe is not the usual sinusoids": lambda net: net["position_enc.pe"].mul_(2),
    }
    for words, change in changes.items():
        file.write_bytes(original)
        edit_checkpoint(file, lambda saved, change=change: change(saved["t2m_transformer"]))
        message = refusal(tree, tmp_path / "out")
        assert words in message and str(file) in message


def test_several_residual_transformers_need_a_name(shared: Path, tmp_path: Path):
    tree = shared / "fixtures" / "checkpoints"
    message = refusal(tree, tmp_path / "out")
    assert SHARED in message and NONSHARED in message
    message = refusal(tree, tmp_path / "out", residual="tres")
    assert "'tres'" in message
    convert(tree, tmp_path / "out", residual=NONSHARED)
    assert read_card(tmp_path / "out").parts["residual"].config["shared"] is False


def test_a_residual_transformer_of_another_rvq_is_not_taken(tree: Path, tmp_path: Path):
    edit_options(tree / SHARED, f"vq_name: {RVQ}", "vq_name: another")
    assert "no residual transformer that fits" in refusal(tree, tmp_path / "out")


def test_a_missing_network_is_named(tree: Path, tmp_path: Path):
    shutil.rmtree(tree / RVQ)
    assert f"no RVQ '{RVQ}'" in refusal(tree, tmp_path / "out")
    shutil.rmtree(tree / BASE)
    assert "no masked transformer" in refusal(tree, tmp_path / "out")


def test_a_tree_without_length_estimator_makes_a_model_without_one(tree: Path, tmp_path: Path):
    shutil.rmtree(tree / "length_estimator")
    convert(tree, tmp_path / "out")
    assert not read_card(tmp_path / "out").has("length")


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("vq_act: relu", "vq_act: gelu", "vq_act"),
        ("shared_codebook: False", "shared_codebook: True", "shared_codebook"),
        ("width: 24", "width: 24.5", "width"),
        ("width: 24", "width: 99999999999999999999", "width"),
        ("width: 24", "width: 24: 24", "line"),
    ],
)
def test_options_that_we_do_not_have_are_named(
    tree: Path, tmp_path: Path, old: str, new: str, words: str
):
    edit_options(tree / RVQ, old, new)
    assert words in refusal(tree, tmp_path / "out")


def test_missing_options_have_the_published_values(tree: Path, tmp_path: Path):
    edit_options(tree / RVQ, "dilation_growth_rate: 3\n", "")
    edit_options(tree / RVQ, "vq_norm: None\n", "")
    edit_options(tree / BASE, "n_heads: 6\n", "")
    convert(tree, tmp_path / "out")
    assert read_card(tmp_path / "out").parts["base"].config["num_heads"] == 6


def test_statistics_are_plain_numbers_only(tree: Path, tmp_path: Path):
    file = tree / RVQ / "meta" / "std.npy"
    for values in (np.zeros(251), np.array(["a"] * 263), np.array([object()] * 263)):
        np.save(file, values, allow_pickle=True)
        assert str(file) in refusal(tree, tmp_path / "out")
    file.unlink()
    assert str(file) in refusal(tree, tmp_path / "out")


def test_an_existing_folder_is_left_alone(tree: Path, tmp_path: Path):
    out = tmp_path / "out"
    out.mkdir()
    (out / "diary.txt").write_text("mine")
    with pytest.raises(ConvertError, match="exists already"):
        convert(tree, out)
    assert [path.name for path in out.iterdir()] == ["diary.txt"]
    (out / "diary.txt").unlink()
    convert(tree, out)
    assert (out / "model.json").is_file()


def test_options_are_parsed_and_never_evaluated():
    options = parse_options(
        "------------ Options -------------\n"
        "a: True\nb: False\nc: None\nd: [50000]\ne: 1e-05\nf: -3\ng: 0.05\nh: +2.5\n"
        "i: __import__('os').getcwd()\nj: .5\n\n"
        "-------------- End ----------------\n"
    )
    assert options == {
        "a": True,
        "b": False,
        "c": "None",
        "d": "[50000]",
        "e": "1e-05",
        "f": -3,
        "g": 0.05,
        "h": 2.5,
        "i": "__import__('os').getcwd()",
        "j": ".5",
    }
    for wrong in ("no colon", "a:b", "a: b: c"):
        with pytest.raises(OptionsError, match="line 1"):
            parse_options(wrong)


def test_the_command_line_says_what_is_wrong_in_one_line(
    tree: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    for arguments in (
        ["convert", str(tmp_path / "nowhere"), "--out", str(tmp_path / "out")],
        ["convert", str(tree), "--out", str(tree)],
        ["convert", str(tree), "--out", str(tmp_path / "out"), "--base", "other"],
    ):
        assert main(arguments) == 2
        assert capsys.readouterr().err.count("\n") == 1
    with pytest.raises(SystemExit) as stopped:
        main(["convert", str(tree)])
    assert stopped.value.code == 2
    assert capsys.readouterr().err.count("\n") == 1
    assert main(["convert", str(tree), "--out", str(tmp_path / "out")]) == 0


def test_the_converter_needs_no_pytorch(tree: Path, tmp_path: Path):
    program = (
        "import sys; sys.modules['torch'] = None\n"
        "from weights_fetcher.__main__ import main\n"
        f"sys.exit(main(['convert', {str(tree)!r}, '--out', {str(tmp_path / 'out')!r}]))"
    )
    ended = subprocess.run(
        [sys.executable, "-c", program], cwd=REPOSITORY, check=True, capture_output=True, text=True
    )
    assert "python -m model_runtime graphs" in ended.stdout
    out = tmp_path / "out"
    assert not read_card(out).graphs
    assert isinstance(open_networks(out, "cpu"), TorchNetworks)
    assert graphs_command(["graphs", str(out)]) == 0
    assert isinstance(open_networks(out, "cpu"), OnnxNetworks)

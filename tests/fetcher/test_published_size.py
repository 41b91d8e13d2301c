"""Trees with random numbers: of the published size, every key arrives without PyTorch; of others,
both backends agree."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from model_runtime.nets.transformer import sinusoids
from model_runtime.onnx_backend import OnnxNetworks
from model_runtime.pipeline import generate
from model_runtime.torch_backend import TorchNetworks
from model_runtime.weights_folder import read_card, read_tensors
from tests.fetcher.original_clip import Clip, in_half_precision, write_originals
from weights_fetcher import published_layout as layout
from weights_fetcher.convert import convert
from weights_fetcher.published_layout import POSITIONS

pytestmark = pytest.mark.slow
REPOSITORY = Path(__file__).resolve().parents[2]
RVQ, BASE, RESIDUAL = (
    "rvq_nq6_dc512_nc512_noshare_qdp0.2",
    "t2m_nlayer8_nhead6_ld384_ff1024_cdp0.1_rvq6ns",
    "tres_nlayer8_ld384_ff1024_rvq6ns_cdp0.2_sw",
)
CHECKPOINTS = {
    RVQ: ("net_best_fid.tar", "vq_model"),
    BASE: ("latest.tar", "t2m_transformer"),
    RESIDUAL: ("net_best_fid.tar", "res_transformer"),
    "length_estimator": ("finest.tar", "estimator"),
}


Shapes = dict[str, tuple[int, ...]]


def write_network(folder: Path, name: str, shapes: Shapes, options: dict[str, Any]) -> int:
    """One network's folder as published; `name` is its key in CHECKPOINTS. -> how many numbers."""
    file, key = CHECKPOINTS[name]
    generator, num_numbers, tensors = torch.Generator().manual_seed(3), 0, {}
    for tensor, shape in shapes.items():
        if tensor == POSITIONS:
            length, _, width = shape
            tensors[tensor] = sinusoids(length, width, torch.device("cpu")).unsqueeze(1)
        else:
            spread = 1.0 if "codebook" in tensor else 0.05
            tensors[tensor] = spread * torch.randn(shape, generator=generator)
            num_numbers += tensors[tensor].numel()
    (folder / "model").mkdir(parents=True)
    torch.save({key: tensors, "ep": 1}, folder / "model" / file)
    (folder / "opt.txt").write_text("".join(f"{k}: {v}\n" for k, v in options.items()))
    return num_numbers


def write_statistics(folder: Path, num_features: int) -> None:
    folder.mkdir()
    np.save(folder / "mean.npy", np.linspace(-1.0, 1.0, num_features))
    np.save(folder / "std.npy", np.ones(num_features))


def write_tree(tree: Path, manifest: dict[str, Any], dataset: str) -> int:
    """As published, from the manifest's keys and shapes. -> how many numbers it holds."""
    suffix, num_numbers = "_k" if dataset == "kit" else "", 0
    for name in CHECKPOINTS:
        folder = name if name == "length_estimator" else name + suffix
        if entry := manifest["models"].get(f"{dataset}/{folder}"):
            shapes = {key: tuple(shape) for key, (shape, _dtype) in entry["state_dict"].items()}
            options = {"dataset_name": dataset, "vq_name": RVQ + suffix}
            options |= {"share_weight": True} if name == RESIDUAL else {}
            num_numbers += write_network(tree / dataset / folder, name, shapes, options)
    write_statistics(tree / dataset / (RVQ + suffix) / "meta", layout.NUM_FEATURES[dataset])
    return num_numbers


def write_odd_tree(tree: Path, dataset: str, **changed: Any) -> None:
    """Of sizes that nobody published."""
    codes = {"width": 20, "code_dim": 28, "output_emb_width": 28, "nb_code": 40} | changed
    transformer = {"latent_dim": 24, "n_heads": 4, "n_layers": 1, "ff_size": 20} | changed
    rvq = layout.rvq_config(codes, dataset)
    config = layout.transformer_config(transformer, rvq)
    tables = {
        RVQ: (layout.rvq_tensors(rvq), codes),
        BASE: (layout.base_tensors(config), transformer),
        RESIDUAL: (layout.residual_tensors(config), transformer),
    }
    for name, (rows, options) in tables.items():
        shapes = {row.theirs: row.shape for row in rows}
        more = {"vq_name": RVQ, "gpu_id": 0, "milestones": "[50000]"}
        write_network(tree / dataset / name, name, shapes, options | more)
    write_statistics(tree / dataset / RVQ / "meta", layout.NUM_FEATURES[dataset])


def test_a_tree_of_other_sizes_runs_alike_on_both_backends(tmp_path: Path):
    sizes = {"num_quantizers": 2, "depth": 2, "dilation_growth_rate": 2, "n_heads": 3}
    write_odd_tree(tmp_path / "tree", "kit", **sizes, share_weight=True)
    assert convert(tmp_path / "tree", tmp_path / "model")
    networks = OnnxNetworks.open(tmp_path / "model")
    assert networks.is_kit
    compare(networks, TorchNetworks.open(tmp_path / "model", "cpu"))


@pytest.mark.parametrize("dataset", ["t2m", "kit"])
def test_a_tree_of_the_published_size_converts_without_pytorch_and_runs(
    shared: Path, tmp_path: Path, dataset: str
):
    manifest = json.loads((shared / "fixtures" / "manifest_fullsize.json").read_text())
    num_numbers = write_tree(tmp_path / "tree", manifest, dataset)
    options = []
    if dataset == "t2m":
        with torch.random.fork_rng():
            torch.manual_seed(1)
            clip = write_originals(tmp_path / "clip", in_half_precision(Clip()))
        options = ["--clip", str(clip)]
    arguments = ["convert", str(tmp_path / "tree"), "--out", str(tmp_path / "model"), *options]
    program = (
        "import sys; sys.modules['torch'] = sys.modules['onnx'] = None\n"
        f"from weights_fetcher.__main__ import main; sys.exit(main({arguments!r}))"
    )
    environment = os.environ | {"MOMASK_WEIGHTS": str(tmp_path)}
    ended = subprocess.run(
        [sys.executable, "-c", program],
        cwd=REPOSITORY,
        env=environment,
        check=True,
        capture_output=True,
        text=True,
    )
    assert "graphs" not in ended.stdout
    folder = tmp_path / "model"
    card = read_card(folder)
    parts = ("rvq", "base", "residual", *(["length"] if dataset == "t2m" else []))
    kept = sum(t.size for part in parts for t in read_tensors(folder, card.parts[part]).values())
    assert kept == num_numbers
    compare(OnnxNetworks.open(folder), TorchNetworks.open(folder, "cpu"))


def compare(onnx: OnnxNetworks, pytorch: TorchNetworks) -> None:
    """The same logits within 1e-4 and the same motion."""
    prompts = ["a person walks forward, then waves with the left hand"]
    if onnx.tokenizer:
        text, other = (networks.embed_text(prompts).vectors for networks in (onnx, pytorch))
        np.testing.assert_allclose(text, other, atol=1e-4)
        np.testing.assert_allclose(onnx.length_logits(text), pytorch.length_logits(text), atol=1e-4)
    else:
        text = np.random.default_rng(0).standard_normal((1, 512)).astype(np.float32)
    blank, valid = np.full((1, 12), -2), np.ones((1, 12), dtype=bool)
    logits = [each.predict_base(blank, text, valid, 4.0) for each in (onnx, pytorch)]
    np.testing.assert_allclose(*logits, atol=1e-4)
    made = [generate(each, text, [48], [7], each.card.sampling)[0] for each in (onnx, pytorch)]
    assert np.array_equal(made[0].tokens, made[1].tokens)
    most = np.abs(made[0].features).max()
    np.testing.assert_allclose(made[0].features, made[1].features, rtol=0, atol=1e-4 * most)

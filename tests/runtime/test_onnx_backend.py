"""ONNX Runtime gives PyTorch's numbers and tokens, without PyTorch, and refuses foreign graphs."""

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest

from model_runtime.networks import Networks
from model_runtime.onnx_backend import OnnxNetworks
from model_runtime.sampling import (
    MASK,
    Sampling,
    SeededNoise,
    add_residual_layers,
    fill_masked,
    with_unknown_layers,
)
from model_runtime.torch_backend import TorchNetworks
from model_runtime.training import graphs
from model_runtime.weights_folder import SHIPPED_WEIGHTS, WeightsError, file_part
from tests.runtime.test_weights_folder import edit_card, edit_tensors

ROOT = Path(__file__).resolve().parents[2]
STARTER = SHIPPED_WEIGHTS / "starter"
LENGTHS = [1, 13, 49]  # tokens
PUBLISHED = [("t2m", True), ("t2m", False), ("kit", True)]
PROMPTS = [
    "a person walks forward",
    "a man jumps to the left and sits down",
    "someone dances",
    "",
    "a person runs in a circle clockwise",
]

Pair = tuple[Networks, Networks]


@pytest.fixture(scope="module")
def starter() -> Pair:
    return OnnxNetworks.open(STARTER), TorchNetworks.open(STARTER, "cpu")


@pytest.fixture
def folder(tiny_weights: Path, tmp_path: Path) -> Path:
    """A copy of the tiny model that a test may damage."""
    return shutil.copytree(tiny_weights, tmp_path / "model")


def check_numbers(onnx_networks: Networks, torch_networks: Networks, length: int) -> None:
    """Every raw run within 1e-4 of PyTorch's, and encoding to the same tokens."""
    rng, configs = np.random.default_rng(length), torch_networks.configs
    num_codes, num_quantizers = configs.rvq.num_codes, configs.rvq.num_quantizers
    texts = rng.standard_normal((2, configs.base.text_size)).astype(np.float32)
    texts[1] = 0.0
    tokens = rng.integers(0, num_codes, (2, length, num_quantizers))
    masked = np.where(rng.random((2, length)) < 0.5, num_codes, tokens[..., 0])

    def compare(run: str, *inputs: Any) -> np.ndarray:
        ours, theirs = (getattr(n, run)(*inputs) for n in (onnx_networks, torch_networks))
        assert ours.dtype == theirs.dtype and ours.shape == theirs.shape
        np.testing.assert_allclose(ours, theirs, rtol=0, atol=1e-4, err_msg=run)
        return ours

    compare("run_base", masked, texts)
    made = configs.residual.num_quantizers
    for layer in range(1, made):
        history = np.where(np.arange(made) < layer, tokens[..., :made], num_codes)
        compare("run_residual", history, layer, texts)
    if configs.length:
        compare("run_length", texts)
    tokens[:, ::3, -1] = -1  # ABSENT
    normed = compare("run_decoder", tokens)
    compare("run_encoder", normed)


@pytest.mark.parametrize("length", LENGTHS)
def test_the_starter_gives_pytorch_s_numbers(starter: Pair, length: int):
    check_numbers(*starter, length)


@pytest.mark.parametrize(("dataset", "is_shared"), PUBLISHED)
def test_converted_checkpoints_give_pytorch_s_numbers(
    published: Callable[..., Any], dataset: str, is_shared: bool
):
    pair = (published(dataset, is_shared, backend) for backend in ("onnx", "torch"))
    onnx_networks, torch_networks = pair
    for length in LENGTHS:
        check_numbers(onnx_networks, torch_networks, length)


def test_texts_become_the_same_vectors(starter: Pair):
    ours, theirs = (networks.embed_text([*PROMPTS, "walks " * 500]) for networks in starter)
    np.testing.assert_allclose(ours.vectors, theirs.vectors, rtol=0, atol=1e-5)
    assert ours.truncated == theirs.truncated == [False] * len(PROMPTS) + [True]


def test_the_same_seed_gives_pytorch_s_tokens(starter: Pair):
    """All of them, on this machine's arithmetic: no narrow decision has to be excused."""
    found = []
    for networks in starter:
        text = networks.embed_text(PROMPTS).vectors
        found.append(tokens_of(networks, text, [49, 20, 31, 12, 40]))
    assert np.array_equal(*found)


def tokens_of(networks: Networks, text: np.ndarray, lengths: list[int]) -> np.ndarray:
    valid = np.arange(max(lengths)) < np.array(lengths)[:, None]
    noises = [SeededNoise(seed) for seed in range(len(lengths))]
    base = fill_masked(
        lambda now: networks.predict_base(now, text, valid, 4.0),
        np.full(valid.shape, MASK),
        valid,
        Sampling(),
        noises,
    )
    return add_residual_layers(
        lambda now, layer: networks.predict_residual(now, layer, text, valid, 5.0),
        with_unknown_layers(base, networks.card.num_sampled),
        valid,
        Sampling(),
        noises,
    )


def test_logits_are_bit_identical_alone_in_company_and_again(starter: Pair):
    networks, lengths = starter[0], np.array([20, 49, 7])
    text = networks.embed_text(PROMPTS[:3]).vectors
    tokens = np.random.default_rng(0).integers(0, 512, (3, 49, 6))
    valid = np.arange(49) < lengths[:, None]
    base = networks.predict_base(tokens[..., 0], text, valid, 4.0)
    residual = networks.predict_residual(tokens, 3, text, valid, 5.0)
    other = OnnxNetworks.open(STARTER)
    for clip, length in enumerate(lengths):
        row, cut = slice(clip, clip + 1), slice(0, length)
        own = other.predict_base(tokens[row, cut, 0], text[row], valid[row, cut], 4.0)
        assert np.array_equal(own[0], base[clip, cut])
        own = other.predict_residual(tokens[row, cut], 3, text[row], valid[row, cut], 5.0)
        assert np.array_equal(own[0], residual[clip, cut])


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="Linux alone binds processes")
def test_no_more_threads_than_the_process_may_use():
    allowed = os.sched_getaffinity(0)
    if len(allowed) < 2:
        pytest.skip("there is only one processor")
    everywhere, on_one = count_threads(allowed), count_threads({min(allowed)})
    assert on_one < everywhere


def count_threads(processors: set[int]) -> int:
    """Of a process that has the starter open and may use these processors."""
    program = (
        "import os; from pathlib import Path\n"
        "from model_runtime.onnx_backend import OnnxNetworks\n"
        f"os.sched_setaffinity(0, {processors})\n"
        f"networks = OnnxNetworks.open(Path({str(STARTER)!r}))\n"
        "print(len(os.listdir('/proc/self/task')))"
    )
    ended = subprocess.run(
        [sys.executable, "-c", program],
        cwd=ROOT,
        env=os.environ | {"OPENBLAS_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        check=True,
    )
    return int(ended.stdout)


WITHOUT_TORCH = """
import sys
from pathlib import Path

class Refused:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in ("torch", "onnx", "onnxscript"):
            raise ImportError(f"{name} is refused here")

sys.meta_path.insert(0, Refused())
from model_runtime.backends import open_networks
from model_runtime.pipeline import generate

networks = open_networks(Path(sys.argv[1]), "cpu")
text = networks.embed_text(["a person walks forward"]).vectors
motion = generate(networks, text, [None], [3], networks.card.sampling)[0]
assert motion.joints.shape[1:] == (22, 3) and "torch" not in sys.modules
print(networks.runs_on)
networks.close()
"""


def test_generating_needs_no_pytorch():
    ended = subprocess.run(
        [sys.executable, "-c", WITHOUT_TORCH, str(STARTER)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert ended.returncode == 0, ended.stderr
    assert ended.stdout.startswith("CPU (ONNX Runtime ")


def test_the_shipped_graphs_are_those_of_the_code_and_small():
    from model_runtime.networks import Configs, read_card

    made = graphs.graphs_of(Configs.of(read_card(STARTER)).by_part())
    assert len(made) == 8
    for name, graph in made.items():
        assert graph == (STARTER / f"{name}.onnx").read_bytes(), name
        assert len(graph) < 200_000


def refusal(folder: Path) -> str:
    with pytest.raises(WeightsError) as refused:
        OnnxNetworks.open(folder).encode(np.zeros((8, 263)))
    message = str(refused.value)
    assert "\n" not in message and len(message) < 600
    assert str(folder) in message
    return message


def edit_graph(folder: Path, name: str, change: Callable[[onnx.ModelProto], object]) -> None:
    """Change a graph and its hash: a folder made with bad intent."""
    file = folder / f"{name}.onnx"
    model = onnx.load_from_string(file.read_bytes())
    change(model)
    file.write_bytes(model.SerializeToString())
    edit_card(folder, lambda card: card["graphs"][name].update(file_part(file)))


@pytest.mark.parametrize("name", ["base", "residual", "length", "text", "encode", "decode"])
def test_a_missing_or_changed_graph_is_named(folder: Path, name: str):
    file = folder / f"{name}.onnx"
    content = file.read_bytes()
    file.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    message = refusal(folder)
    assert file.name in message and "SHA-256" in message
    file.unlink()
    message = refusal(folder)
    assert file.name in message and "again" in message


def test_a_card_without_one_graph_is_refused(folder: Path):
    edit_card(folder, lambda card: card["graphs"].pop("decode"))
    assert "no entry 'decode'" in refusal(folder)


@pytest.mark.parametrize("name", ["../base.onnx", "/etc/hostname", "sub/base.onnx"])
def test_a_card_whose_graph_lies_elsewhere_is_refused(folder: Path, name: str):
    shutil.copyfile(folder / "base.onnx", folder.parent / "base.onnx")
    edit_card(folder, lambda card: card["graphs"]["base"].update(file=name))
    assert "outside its folder" in refusal(folder)


@pytest.mark.parametrize("content", [b"", b"PK not a graph", b"\x08\x0a" * 40])
def test_a_graph_that_is_none_is_refused(folder: Path, content: bytes):
    file = folder / "base.onnx"
    file.write_bytes(content)
    edit_card(folder, lambda card: card["graphs"]["base"].update(file_part(file)))
    assert "base.onnx" in refusal(folder)


@pytest.mark.parametrize("place", ["/etc/passwd", "../stray", "stray", "base.safetensors", ""])
@pytest.mark.parametrize("where", ["initializer", "constant"])
def test_a_graph_that_reads_files_is_refused(
    folder: Path, place: str, where: str, monkeypatch: pytest.MonkeyPatch
):
    """Wherever the process stands, and with a file of the right size there to be read."""
    for stray in (folder / "stray", folder.parent / "stray"):
        np.zeros(512, np.float32).tofile(stray)
    monkeypatch.chdir(folder)

    def point(model: onnx.ModelProto) -> None:
        tensor = onnx.TensorProto(name="stray", data_type=1, dims=[4])
        tensor.data_location = onnx.TensorProto.EXTERNAL
        tensor.external_data.add(key="location", value=place)
        if where == "initializer":
            model.graph.initializer.append(tensor)
            read = onnx.helper.make_node("Identity", ["stray"], ["seen"])
        else:
            read = onnx.helper.make_node("Constant", [], ["seen"], value=tensor)
        model.graph.node.append(read)
        model.graph.output.append(onnx.helper.make_tensor_value_info("seen", 1, [4]))

    edit_graph(folder, "base", point)
    assert "base.onnx" in refusal(folder)


def test_a_graph_that_points_into_memory_is_refused(folder: Path):
    victim = np.zeros(1024, np.float32)

    def point(model: onnx.ModelProto) -> None:
        entries = model.graph.initializer.add(
            name="stray", data_type=1, dims=[64], data_location=onnx.TensorProto.EXTERNAL
        ).external_data
        entries.add(key="location", value="*/_ORT_MEM_ADDR_/*")
        entries.add(key="offset", value=str(victim.ctypes.data))
        entries.add(key="length", value="256")
        model.graph.output.append(onnx.helper.make_tensor_value_info("stray", 1, [64]))

    edit_graph(folder, "base", point)
    assert "base.onnx" in refusal(folder)


def test_an_operator_of_another_domain_is_refused(folder: Path):
    def foreign(model: onnx.ModelProto) -> None:
        model.opset_import.append(onnx.helper.make_opsetid("com.example", 1))
        model.graph.node[0].domain = "com.example"

    edit_graph(folder, "base", foreign)
    assert "base.onnx" in refusal(folder)


def test_tensors_that_do_not_fit_the_graph_are_named(folder: Path):
    edit_tensors(folder, "base", lambda tensors: tensors.pop("tokens.weight"))
    message = refusal(folder)
    assert "tokens.weight" in message and "base.safetensors" in message


def test_a_tensor_of_another_shape_or_name_is_refused(folder: Path):
    edit_tensors(folder, "rvq", lambda t: t.update(codebooks=t["codebooks"][:, :-1]))
    message = refusal(folder)
    assert "decode.onnx" in message and "rvq.safetensors" in message
    edit_tensors(folder, "length", lambda t: t.update(extra=np.zeros(3, np.float32)))
    assert "onnx" in refusal(folder)


def test_a_graph_of_another_configuration_is_refused(folder: Path):
    edit_card(folder, lambda card: card["length"]["config"].update(num_classes=49))
    assert "50 numbers instead of 49" in refusal(folder)


def test_memory_is_given_back():
    if not sys.platform.startswith("linux"):
        pytest.skip("reads the resident size from /proc")
    script = (
        "import os, sys; from pathlib import Path; import onnxruntime\n"
        "from model_runtime.onnx_backend import OnnxNetworks\n"
        "size = lambda: int(Path('/proc/self/statm').read_text().split()[1]) * 4096 / 2**20\n"
        "before = size(); networks = OnnxNetworks.open(Path(sys.argv[1]))\n"
        "networks.embed_text(['a person walks']); loaded = size()\n"
        "networks.close(); print(before, loaded, size())\n"
    )
    ended = subprocess.run(
        [sys.executable, "-c", script, str(STARTER)],
        cwd=ROOT,
        env=dict(os.environ),
        capture_output=True,
        text=True,
        check=True,
    )
    before, loaded, after = (float(value) for value in ended.stdout.split())
    assert loaded - before > 100.0  # MB: the weights are really there
    assert after - before < 0.25 * (loaded - before)

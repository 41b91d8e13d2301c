"""Published MoMask checkpoints -> a weights folder of ours.

A published tree has one folder per data set with one folder per network inside (reference, section
2.1). Which network a folder holds is read from its checkpoint, not from its name. Nothing in the
tree is run or evaluated.
"""

import math
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors.numpy import save

from model_runtime.nets.configs import (
    ClipTowerConfig,
    LengthConfig,
    RvqConfig,
    TransformerConfig,
    build_config,
)
from model_runtime.ready_graphs import ready_graphs
from model_runtime.weights_folder import differences, file_part, write_folder
from weights_fetcher import published_layout as layout
from weights_fetcher.clip import TextTower, read_text_tower
from weights_fetcher.errors import ConvertError
from weights_fetcher.published_layout import Options, OptionsError, Row
from weights_fetcher.tensor_reader import TensorArchive, TensorRef

Tensors = dict[str, NDArray]

OPTIONS_FILE = "opt.txt"
GUIDANCE = {"t2m": 4.0, "kit": 2.0}  # of the release's own evaluation
RESIDUAL_GUIDANCE, STEPS = 5.0, 10  # the same for both
DATA = {
    "t2m": "HumanML3D, whose motions come from AMASS and HumanAct12",
    "kit": "KIT Motion-Language",
}
LICENCE = (
    "The authors published these weights without separate terms; the motion data they were trained "
    "on is licensed for non-commercial research."
)


@dataclass(frozen=True)
class Kind:
    """Where the release keeps one kind of network and how it calls its tensors."""

    words: str
    file: str
    keys: tuple[str, ...]  # at the top of the checkpoint; later ones are older names


RVQ = Kind("RVQ", "net_best_fid.tar", ("vq_model", "net"))
BASE = Kind("masked transformer", "latest.tar", ("t2m_transformer", "trans"))
RESIDUAL = Kind("residual transformer", "net_best_fid.tar", ("res_transformer",))
LENGTH = Kind("length estimator", "finest.tar", ("estimator",))


@dataclass(frozen=True)
class Published:
    """The folders that make one model, and the options of the networks that have any."""

    rvq: Path
    base: Path
    residual: Path
    length: Path | None
    options: dict[Path, Options]


def convert(
    tree: Path,
    out: Path,
    dataset: str | None = None,
    base: str | None = None,
    residual: str | None = None,
    clip: Path | None = None,
) -> bool:
    """Write the weights folder `out`, which must not exist or be empty.

    Returns whether it has graphs for ONNX Runtime.

    `dataset` is t2m or kit, None: what the tree holds. `base` and `residual` name a transformer's
    folder where the tree holds several; `clip` holds CLIP's files, without which the model cannot
    read prompts. Raises ConvertError, TensorFileError or OSError; nothing is left behind then.
    """
    out = out.absolute()
    if out.exists() and not (out.is_dir() and not any(out.iterdir())):
        raise ConvertError(f"{out} exists already. Choose a new folder.")
    dataset = dataset or dataset_of(tree)
    published = find_networks(tree, dataset, base, residual)
    packed, configs = read_networks(published, dataset)
    tower = read_text_tower(clip) if clip else None
    about = {
        "name": out.name,
        "description": f"Published MoMask weights, converted from {published.base.name}",
        "licence": LICENCE,
        "data": DATA[dataset],
        "sampling": {
            "steps": STEPS,
            "guidance_scale": GUIDANCE[dataset],
            "residual_guidance_scale": RESIDUAL_GUIDANCE,
        },
    }
    graphs = _graphs(configs | ({"text": tower.config} if tower else {}))
    out.parent.mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory(prefix=f".{out.name}.", dir=out.parent) as scratch:
        draft = Path(scratch) / out.name
        about["text"] = _write_text_tower(draft, tower) if tower else None
        write_folder(draft, about, packed, configs, graphs)
        if out.exists():
            out.rmdir()  # it is empty; Windows renames onto nothing
        draft.replace(out)
    return bool(graphs)


def _write_text_tower(folder: Path, tower: TextTower) -> dict[str, Any]:
    """Write it and return the card's entry."""
    folder.mkdir()
    weights, merges = folder / "text.safetensors", folder / "merges.txt"
    weights.write_bytes(save({k: np.ascontiguousarray(v) for k, v in tower.tensors.items()}))
    merges.write_text(tower.merges, encoding="utf-8", newline="\n")
    part = {"kind": "clip", "config": tower.config, "vocabulary": file_part(merges)}
    return file_part(weights) | part


def _graphs(configs: dict[str, dict[str, Any]]) -> dict[str, bytes]:
    """Graphs for ONNX Runtime: the ready ones of the published sizes, else made with PyTorch; none
    where that is not installed."""
    kinds = {"rvq": RvqConfig, "length": LengthConfig, "text": ClipTowerConfig}
    networks = {
        name: build_config(kinds.get(name, TransformerConfig), config)
        for name, config in configs.items()
    }
    if ready := ready_graphs(networks):
        return ready
    try:
        from model_runtime.training.graphs import graphs_of
    except ImportError:
        return {}
    return graphs_of(networks)


def dataset_of(tree: Path) -> str:
    """HumanML3D's, unless the tree has KIT-ML's alone."""
    roots = (tree / "checkpoints", tree)
    there = [name for name in DATA if any((root / name).is_dir() for root in roots)]
    named = [name for name in DATA if name == tree.resolve().name]
    return [*there, *named, "t2m"][0]


def find_networks(tree: Path, dataset: str, base: str | None, residual: str | None) -> Published:
    """The networks of a tree that belong together. Raises ConvertError."""
    root = next((root for root in (tree / "checkpoints", tree) if (root / dataset).is_dir()), None)
    folder = root / dataset if root else tree
    if not folder.is_dir():
        raise ConvertError(f"{tree} is not a folder.")
    base_folder = _choose(_holding(folder, BASE), BASE, base, folder)
    options = {base_folder: read_options(base_folder)}
    rvq_name = options[base_folder].get("vq_name")
    rvq = _choose(_holding(folder, RVQ), RVQ, None if rvq_name is None else str(rvq_name), folder)
    options[rvq] = read_options(rvq)
    fitting = []
    for candidate in _holding(folder, RESIDUAL):
        options[candidate] = read_options(candidate)
        if options[candidate].get("vq_name", rvq.name) == rvq.name:
            fitting.append(candidate)
    residual_folder = _choose(fitting, RESIDUAL, residual, folder)
    length = next(iter(_holding(folder, LENGTH)), None)
    return Published(rvq, base_folder, residual_folder, length, options)


def _holding(folder: Path, kind: Kind) -> list[Path]:
    """The folders that hold a network of one kind."""
    found = []
    for file in sorted(folder.glob(f"*/model/{kind.file}")):
        with TensorArchive(file) as archive:
            if isinstance(archive.contents, dict) and any(k in archive.contents for k in kind.keys):
                found.append(file.parent.parent)
    return found


def _choose(folders: list[Path], kind: Kind, name: str | None, where: Path) -> Path:
    chosen = [folder for folder in folders if name in (None, folder.name)]
    if len(chosen) == 1:
        return chosen[0]
    there = ", ".join(folder.name for folder in folders) or "none"
    if chosen:
        raise ConvertError(f"{where} holds more than one {kind.words}; name one of {there}.")
    wanted = f" '{name}'" if name else ""
    raise ConvertError(f"{where} holds no {kind.words}{wanted} that fits (there is: {there}).")


def read_options(folder: Path) -> Options:
    file = folder / OPTIONS_FILE
    try:
        return layout.parse_options(file.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, OptionsError) as error:
        raise ConvertError(f"Cannot read {file}: {error}") from error


def read_networks(
    published: Published, dataset: str
) -> tuple[dict[str, Tensors], dict[str, dict[str, Any]]]:
    """Tensors under our names, and configurations, by part of a weights folder."""
    try:
        configs = {"rvq": layout.rvq_config(published.options[published.rvq], dataset)}
        for part in ("base", "residual"):
            options = published.options[getattr(published, part)]
            configs[part] = layout.transformer_config(options, configs["rvq"])
    except OptionsError as error:
        raise ConvertError(f"The options in {published.rvq.parent} do not fit: {error}") from error
    packed = {
        "statistics": read_statistics(published.rvq / "meta", configs["rvq"]["num_features"]),
        "rvq": read_network(published.rvq, RVQ, layout.rvq_tensors(configs["rvq"])),
        "base": read_network(published.base, BASE, layout.base_tensors(configs["base"])),
        "residual": read_network(
            published.residual, RESIDUAL, layout.residual_tensors(configs["residual"])
        ),
    }
    _stack_codebooks(packed["rvq"])
    _drop_unused_bias(packed["residual"])
    if published.length:
        configs["length"] = layout.length_config()
        packed["length"] = read_network(published.length, LENGTH, layout.length_tensors())
    return packed, configs


def read_statistics(folder: Path, num_features: int) -> Tensors:
    """mean and std (D,) as published, in float64."""
    statistics: Tensors = {}
    for name in ("mean", "std"):
        file = folder / f"{name}.npy"
        try:
            values = np.load(file, allow_pickle=False)
        except (OSError, ValueError, EOFError) as error:
            raise ConvertError(f"Cannot read {file}: {error}") from error
        if getattr(values, "shape", None) != (num_features,) or values.dtype.kind != "f":
            raise ConvertError(f"{file} does not hold {num_features} numbers.")
        statistics[name] = values.astype(np.float64)
    return statistics


def read_network(folder: Path, kind: Kind, rows: list[Row]) -> Tensors:
    """A checkpoint's tensors under our names, float32. Raises ConvertError that names what is
    missing, unexpected or of another shape."""
    file = folder / "model" / kind.file
    with TensorArchive(file) as archive:
        saved = next((archive.contents[key] for key in kind.keys if key in archive.contents), None)
        if not isinstance(saved, dict):
            raise ConvertError(f"{file} holds no {kind.words}.")
        stored = {k: v for k, v in saved.items() if not str(k).startswith("clip_model.")}
        shapes = {k: v.shape if isinstance(v, TensorRef) else () for k, v in stored.items()}
        if wrong := differences({row.theirs: row.shape for row in rows}, shapes):
            raise ConvertError(f"{file} is not a {kind.words} of its options: {wrong}.")
        tensors = {row.ours: _float32(archive, stored[row.theirs], row) for row in rows}
    if layout.POSITIONS in stored:
        _check_positions(tensors.pop(""), file)
    return tensors


def _float32(archive: TensorArchive, ref: TensorRef, row: Row) -> NDArray:
    tensor = archive.array(ref)
    if tensor.dtype.kind != "f":
        raise ConvertError(f"{archive.file}: {row.theirs} holds no floating-point numbers.")
    return tensor.astype(np.float32)


def _check_positions(stored: NDArray, file: Path) -> None:
    """Our networks compute the sinusoids (length, 1, width) instead of storing them.

    The tolerance is float32's rounding of an angle of 5000 radians.
    """
    length, _, width = stored.shape
    angle = np.arange(length)[:, None] * np.exp(np.arange(0, width, 2) * (-math.log(1e4) / width))
    computed = np.stack([np.sin(angle), np.cos(angle)], axis=-1).reshape(length, -1)
    if not np.abs(stored[:, 0] - computed).max() < 1e-3:
        raise ConvertError(f"{file}: {layout.POSITIONS} is not the usual sinusoids.")


def _stack_codebooks(tensors: Tensors) -> None:
    names = sorted((name for name in tensors if name.startswith("codebooks.")), key=_number)
    tensors["codebooks"] = np.stack([tensors.pop(name) for name in names])


def _number(name: str) -> int:
    return int(name.rpartition(".")[2])


def _drop_unused_bias(tensors: Tensors) -> None:
    if "bias" in tensors:
        tensors["bias"] = tensors["bias"][:-1]

"""A weights folder and its card.

`model.json` describes the folder: which file holds which network, its configuration and SHA-256,
what it was trained on and under which terms. Files are hashed before they are opened.
"""

import hashlib
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.numpy import load, save

from model_runtime.packing import Tensors, unpack
from model_runtime.sampling import Sampling
from momask_blender.contract.weights_root import weights_root

Array = NDArray[np.floating]
Shapes = Mapping[str, tuple[int, ...]]  # of tensors, by name

FORMAT = 1  # of model.json; a newer one is refused
CARD_FILE = "model.json"
SHIPPED_WEIGHTS = Path(__file__).with_name("weights")
REQUIRED_PARTS = ("rvq", "base", "residual")
NETWORK_PARTS = (*REQUIRED_PARTS, "length", "text")
OTHER_PARTS = ("known_prompts", "action_kinds")  # see familiarity.py and action_kinds.py
TEXT_KINDS = ("sentence", "clip")
GRAPHS = {  # what runs on ONNX Runtime -> the part whose weights it takes
    "base": "base",
    "residual": "residual",
    "length": "length",
    "text": "text",
    "encode": "rvq",
    "decode": "rvq",
    "base_int8": "base",
    "residual_int8": "residual",
}
INT8_GRAPHS = {
    "base_int8": "base",
    "residual_int8": "residual",
}  # of drafts; a folder may lack them


class WeightsError(ValueError):
    """A weights folder that cannot be used; the message says which file and what to do."""


@dataclass(frozen=True)
class Part:
    """One network, or the statistics, of a weights folder."""

    file: str
    sha256: str
    config: dict[str, Any] = field(default_factory=dict)
    vocabulary: "Part | None" = None  # of a text tower
    kind: str | None = None  # of a text tower: one of TEXT_KINDS


@dataclass(frozen=True)
class ModelCard:
    folder: Path
    name: str
    licence: str
    data: str
    sampling: Sampling
    statistics: Part  # mean (D,) and std (D,)
    parts: dict[str, Part]  # by NETWORK_PARTS and OTHER_PARTS
    graphs: dict[str, Part]  # by GRAPHS; empty in folders that PyTorch alone can run
    read_as: dict[str, str]  # words of prompts, and in which words the model knows them

    @property
    def num_quantizers(self) -> int:
        """Layers of tokens that code a recording."""
        return self.parts["rvq"].config.get("num_quantizers", 6)

    @property
    def num_sampled(self) -> int:
        """The first of these, which the transformers make; the rest is ABSENT where they did."""
        return self.parts["residual"].config.get("num_quantizers", 6)

    def has(self, part: str) -> bool:
        return part in self.parts


def find_weights(name: str) -> Path:
    """Folder of a model by name, shipped or in the weights folder, or by path.

    Raises WeightsError that lists the known names.
    """
    roots = [SHIPPED_WEIGHTS, weights_root()]
    plain = name == Path(name).name
    candidates = [root / name for root in roots] if plain else []
    try:
        for folder in [*candidates, Path(name)]:
            if name and (folder / CARD_FILE).is_file():
                return folder
        if name and Path(name).is_dir():
            raise WeightsError(f"{name} holds no {CARD_FILE}; it is not a weights folder.")
    except OSError as error:  # longer than a file name can be, or no right to look
        raise WeightsError(f"Cannot look for the model '{name[:80]}': {error.strerror}.") from error
    known = sorted({card.parent.name for root in roots for card in root.glob(f"*/{CARD_FILE}")})
    raise WeightsError(
        f"There is no model '{name}'. Known models: {', '.join(known) or 'none'}; "
        f"or give a folder that holds a {CARD_FILE}."
    )


def read_card(folder: Path) -> ModelCard:
    """Raises WeightsError for a card that is damaged, too new, or names files elsewhere."""
    file = folder / CARD_FILE
    try:
        fields = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise WeightsError(f"Cannot read {file}: {error}. Fetch the model again.") from error
    version = fields.get("format") if isinstance(fields, dict) else None
    if not isinstance(version, int) or version < 1:
        raise WeightsError(f"{file} is not a model card. Fetch the model again.")
    if version > FORMAT:
        raise WeightsError(f"{file} needs a newer version of this software.")
    try:
        return _card(folder, fields)
    except KeyError as error:
        raise WeightsError(f"{file} has no entry {error}. Fetch the model again.") from error
    except (AttributeError, TypeError, ValueError) as error:
        if isinstance(error, WeightsError):
            raise
        raise WeightsError(f"{file} is damaged ({error}). Fetch the model again.") from error


def _card(folder: Path, fields: dict[str, Any]) -> ModelCard:
    text = fields.get("text")
    if text and text["kind"] not in TEXT_KINDS:
        raise WeightsError(
            f"{folder / CARD_FILE} needs a newer version of this software: "
            f"its text tower is of the kind '{text['kind']}'."
        )
    names = (*NETWORK_PARTS, *OTHER_PARTS)
    present = [name for name in names if fields.get(name) or name in REQUIRED_PARTS]
    return ModelCard(
        folder=folder,
        name=str(fields["name"]),
        licence=str(fields["licence"]),
        data=str(fields["data"]),
        sampling=Sampling(**fields.get("sampling", {})),
        statistics=_read_part(fields["statistics"], folder),
        parts={name: _read_part(fields[name], folder) for name in present},
        graphs=_read_graphs(fields.get("graphs") or {}, folder, present),
        read_as={str(k): str(v) for k, v in fields.get("read_as", {}).items()},
    )


def _read_graphs(fields: dict[str, Any], folder: Path, present: list[str]) -> dict[str, Part]:
    """All graphs of the networks that are there, or none; those of drafts if there are any."""
    wanted = [name for name, part in GRAPHS.items() if part in present] if fields else []
    wanted = [name for name in wanted if name in fields or name not in INT8_GRAPHS]
    return {name: _read_part(fields[name], folder) for name in wanted}


def _read_part(fields: dict[str, Any], folder: Path) -> Part:
    vocabulary = fields.get("vocabulary")
    part = Part(
        file=str(fields["file"]),
        sha256=str(fields["sha256"]),
        config=dict(fields.get("config", {})),
        vocabulary=_read_part(vocabulary, folder) if vocabulary else None,
        kind=fields.get("kind"),
    )
    if not _is_inside(folder, part.file):
        raise WeightsError(
            f"{folder / CARD_FILE} points outside its folder ('{part.file}'); it is not used."
        )
    return part


def _is_inside(folder: Path, name: str) -> bool:
    """Whether `name` is a plain name that no link leads out of the folder."""
    if Path(name).name != name or "\\" in name or "\0" in name:
        return False
    return Path(os.path.realpath(folder / name)).parent == Path(os.path.realpath(folder))


def read_verified(folder: Path, part: Part) -> bytes:
    """The bytes of a part's file, after their hash was found right. Raises WeightsError."""
    file = folder / part.file
    try:
        content = file.read_bytes()
    except OSError as error:
        raise WeightsError(
            f"Cannot read {file}: {error.strerror}. Fetch or copy it again."
        ) from error
    if hashlib.sha256(content).hexdigest() != part.sha256:
        raise WeightsError(
            f"{file} is damaged: its SHA-256 is not the one in {CARD_FILE}. Fetch or copy it again."
        )
    return content


def read_tensors(folder: Path, part: Part) -> Tensors:
    """Float32 tensors by name. Raises WeightsError."""
    try:
        return unpack(_load(folder, part))
    except (KeyError, ValueError) as error:
        if isinstance(error, WeightsError):
            raise
        raise WeightsError(
            f"{folder / part.file} holds an 8-bit tensor without a fitting scale ({error})."
        ) from error


def read_statistics(card: ModelCard) -> tuple[Array, Array]:
    """Mean and standard deviation of the features, (D,) float64 each. Raises WeightsError."""
    file = card.folder / card.statistics.file
    tensors = _load(card.folder, card.statistics)
    shapes = {name: tensor.shape for name, tensor in tensors.items()}
    num_features = card.parts["rvq"].config.get("num_features", 263)
    if wrong := differences({"mean": (num_features,), "std": (num_features,)}, shapes):
        raise WeightsError(f"{file} does not fit {CARD_FILE}: {wrong}.")
    mean, std = (tensors[name].astype(np.float64) for name in ("mean", "std"))
    if not (np.isfinite(mean).all() and np.isfinite(std).all() and (std > 0.0).all()):
        raise WeightsError(f"{file} holds a mean or a deviation that is no usable number.")
    return mean, std


def _load(folder: Path, part: Part) -> Tensors:
    """Tensors as stored, after the hash was found right."""
    content = read_verified(folder, part)
    try:
        return load(content)
    except (SafetensorError, KeyError, ValueError) as error:
        file = folder / part.file
        raise WeightsError(f"{file} is not a complete safetensors file ({error}).") from error


def differences(expected: Shapes, found: Shapes) -> str:
    """What is missing, unexpected or of another shape, in words; empty if nothing is."""
    both = [name for name in expected if name in found]
    wrong = [
        f"{name} is {found[name]} instead of {expected[name]}"
        for name in both
        if tuple(found[name]) != tuple(expected[name])
    ]
    groups = {
        "missing": [name for name in expected if name not in found],
        "unexpected": [name for name in found if name not in expected],
        "wrong shape": wrong,
    }
    return "; ".join(f"{title}: {_listed(names)}" for title, names in groups.items() if names)


def _listed(names: list[str], most: int = 5) -> str:
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(names[:most]) + more


def write_folder(
    folder: Path,
    about: dict[str, Any],
    packed: dict[str, Tensors],
    configs: dict[str, Any],
    graphs: Mapping[str, bytes],
) -> None:
    """Write one safetensors file per entry of `packed` ("statistics", "rvq", ...), the graphs (see
    `GRAPHS`) and the card.

    `about` holds name, licence, data and, if wanted, sampling and a ready "text" part. An old card
    goes first, the new one comes last and by renaming: a folder with a card is complete.
    """
    folder.mkdir(parents=True, exist_ok=True)
    (folder / CARD_FILE).unlink(missing_ok=True)
    card: dict[str, Any] = {"format": FORMAT} | about
    for name, tensors in packed.items():
        file = folder / f"{name}.safetensors"
        file.write_bytes(save({key: np.ascontiguousarray(value) for key, value in tensors.items()}))
        card[name] = file_part(file) | ({"config": configs[name]} if name in configs else {})
    _write_graphs(folder, card, graphs)


def add_graphs(folder: Path, graphs: Mapping[str, bytes]) -> None:
    """Write graphs into a complete folder; its card is replaced last. Raises OSError."""
    card = json.loads((folder / CARD_FILE).read_text(encoding="utf-8"))
    _write_graphs(folder, card, graphs)


def _write_graphs(folder: Path, card: dict[str, Any], graphs: Mapping[str, bytes]) -> None:
    card["graphs"] = {}
    for name, graph in graphs.items():
        file = folder / f"{name}.onnx"
        file.write_bytes(graph)
        card["graphs"][name] = file_part(file)
    draft = folder / f"{CARD_FILE}.part"
    draft.write_text(json.dumps(card, indent=2) + "\n", encoding="utf-8")
    os.replace(draft, folder / CARD_FILE)


def file_part(file: Path) -> dict[str, Any]:
    """The card's entry for a file."""
    return {"file": file.name, "sha256": hashlib.sha256(file.read_bytes()).hexdigest()}

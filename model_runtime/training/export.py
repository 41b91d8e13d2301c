"""Trained checkpoints -> a weights folder that the runtime opens."""

import json
import os
import shutil
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
from safetensors import SafetensorError
from safetensors.numpy import load_file, save_file

from model_runtime.nets.configs import SentenceTowerConfig
from model_runtime.packing import Tensors, pack
from model_runtime.training.checkpoint import CheckpointError
from model_runtime.training.graphs import graphs_of
from model_runtime.training.recipe import Recipe, as_config
from model_runtime.weights_folder import CARD_FILE, ModelCard, Part, file_part, write_folder

TOWER_FILES = ("text.safetensors", "vocabulary.txt")


def save_statistics(mean: np.ndarray, std: np.ndarray, out: Path) -> None:
    out.mkdir(parents=True, exist_ok=True)
    save_file({"mean": mean, "std": std}, out / "statistics.safetensors")


def text_part(folder: Path, config: dict[str, Any] | None = None) -> Part:
    """The text tower of a folder that may not have a card yet; `config` of unusual sizes."""
    file, vocabulary = (folder / name for name in TOWER_FILES)
    pieces = len(vocabulary.read_text(encoding="utf-8").splitlines())
    entry, words = file_part(file), file_part(vocabulary)
    config = {"num_pieces": pieces} | (config or {})
    return Part(**entry, config=config, vocabulary=Part(**words), kind="sentence")


def export(
    recipe: Recipe,
    tower: Path,
    checkpoints: Path,
    out: Path,
    tower_config: dict[str, Any] | None = None,
) -> None:
    """Pack the best checkpoints of each stage; `_in_rows` says what is kept in 8 bits."""
    packed: dict[str, Tensors] = {"statistics": _read(checkpoints / "statistics.safetensors")}
    for name in ("rvq", "base", "residual", "length"):
        tensors = _read(_checkpoint(checkpoints, name))
        packed[name] = pack(tensors, _in_rows(name, tensors).__contains__)
    if tower.resolve() != out.resolve():
        out.mkdir(parents=True, exist_ok=True)
        for name in TOWER_FILES:
            shutil.copyfile(tower / name, out / name)
    about = {
        "name": recipe.name,
        "description": recipe.description,
        "licence": recipe.licence,
        "data": recipe.data_notice,
        "sampling": asdict(recipe.sampling),
        "read_as": recipe.read_as,
        "text": asdict(text_part(out, tower_config)),
    }
    configs = {
        name: as_config(getattr(recipe, name)) for name in ("rvq", "base", "residual", "length")
    }
    networks = {name: getattr(recipe, name) for name in configs}
    networks["text"] = SentenceTowerConfig(**about["text"]["config"])
    write_folder(out, about, packed, configs, graphs_of(networks))


def write_part(card: ModelCard, name: str, tensors: dict[str, np.ndarray], config: dict) -> None:
    """A file of tensors, matrices in 8-bit rows, and its entry in the card."""
    file = card.folder / f"{name}.safetensors"
    draft = file.with_suffix(".part")
    whole = {key: each.astype(np.float32) for key, each in tensors.items()}
    save_file(pack(whole, lambda key: tensors[key].ndim == 2), draft)
    os.replace(draft, file)
    card_file = card.folder / CARD_FILE
    fields = json.loads(card_file.read_text(encoding="utf-8"))
    fields.pop(name, None)
    fields[name] = file_part(file) | {"config": config}
    draft = card_file.with_suffix(".json.part")
    draft.write_text(json.dumps(fields, indent=2) + "\n", encoding="utf-8")
    os.replace(draft, card_file)


def _checkpoint(folder: Path, name: str) -> Path:
    """Where a part's weights are; the tokenizer's decoder may have been trained further."""
    refined = folder / "decoder.safetensors"
    return refined if name == "rvq" and refined.is_file() else folder / f"{name}.safetensors"


def _read(file: Path) -> Tensors:
    if not file.is_file():
        raise CheckpointError(f"There is no {file} to export. Train the missing stages first.")
    try:
        return load_file(file)
    except (OSError, SafetensorError) as error:
        raise CheckpointError(f"{file} is damaged ({error}). Train its stage again.") from error


def _in_rows(part: str, tensors: Tensors) -> set[str]:
    """Tables and matrices of the transformers, and the codebooks. All else becomes float16."""
    if part in ("base", "residual"):
        return {name for name, tensor in tensors.items() if tensor.ndim > 1}
    return {"codebooks"} & tensors.keys()

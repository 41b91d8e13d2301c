"""`python -m model_runtime evaluate`."""

import json
import sys
from argparse import ArgumentParser, Namespace
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from model_runtime.backends import open_networks
from model_runtime.networks import Networks
from model_runtime.weights_folder import (
    SHIPPED_WEIGHTS,
    ModelCard,
    WeightsError,
    find_weights,
    read_card,
)
from momask_blender.contract.targets import check_target

if TYPE_CHECKING:
    from model_runtime.evaluation.evaluator import Reads
    from model_runtime.evaluation.judged import Judged
    from model_runtime.evaluation.protocol import Example
    from model_runtime.evaluation.report import Evaluation
    from model_runtime.evaluation.sweep import Found
    from model_runtime.torch_backend import TextEncoder


def add_evaluate_arguments(parser: ArgumentParser) -> None:
    """Also those of `sweep`."""
    parser.add_argument("--weights", default="starter", metavar="NAME|DIR", help="model to judge")
    parser.add_argument("--data", required=True, type=Path, help="folder of clips and captions")
    parser.add_argument("--split", default="val", help="which of its lists (default: val)")
    parser.add_argument("--repeats", type=int, default=20, help="rounds of generation (default 20)")
    parser.add_argument("--json", type=Path, metavar="FILE", help="also write all figures here")
    parser.add_argument(
        "--evaluator", type=Path, metavar="FILE.safetensors", help="learned evaluator for FID etc."
    )


@dataclass(frozen=True)
class Opened:
    """What is measured, on what, by whom."""

    networks: Networks
    examples: "list[Example]"
    training: "list[Example]"
    judged: "Judged | None"


def open_all(chosen: Namespace) -> Opened:
    """What the arguments name, after they were checked. Raises ValueError or OSError."""
    from model_runtime.evaluation.protocol import read_examples, read_training

    if chosen.repeats < 1:
        raise ValueError(f"--repeats must be at least 1, got {chosen.repeats}.")
    if chosen.json:
        check_target(chosen.json, (".json",))
    examples = read_examples(chosen.data, chosen.split)
    training = read_training(chosen.data)
    networks = open_networks(find_weights(chosen.weights))
    if not networks.card.has("text"):
        raise WeightsError(f"The model '{networks.card.name}' has no text tower to read captions.")
    judged = open_judged(chosen.evaluator, networks.card) if chosen.evaluator else None
    return Opened(networks, examples, training, judged)


def run(chosen: Namespace) -> None:
    """Raises ValueError or OSError with a line for the user."""
    from model_runtime.evaluation import table
    from model_runtime.evaluation.report import evaluate

    opened = open_all(chosen)
    found = evaluate(
        opened.networks, opened.examples, opened.training, chosen.repeats, show, opened.judged
    )
    found.data["folder"], found.data["split"] = chosen.data.resolve().name, chosen.split
    print("\n".join(table.lines(found)))
    if chosen.json:
        write_json(chosen.json, found)


def open_judged(file: Path, card: ModelCard) -> "Judged":
    """The evaluator with the text tower whose words it was trained on: the model's or the
    starter's. Without that tower it judges motions only. Raises WeightsError."""
    from model_runtime.evaluation.evaluator import open_evaluator, pad_words
    from model_runtime.evaluation.judged import Judged

    judge = open_evaluator(file)
    encoder = _reader(judge.reads, judge.evaluator.config.word_size, card)
    if encoder is None:
        print(
            f"{file.name} reads '{judge.reads.words}' words of a text tower that is not here: "
            "motions are judged only."
        )
        return Judged(judge, None)

    def embed_captions(captions: list[str]) -> NDArray[np.floating]:
        return judge.embed_texts(
            pad_words(encoder.words(captions), judge.evaluator.config.role_size)
        )

    return Judged(judge, embed_captions)


def _reader(reads: "Reads", word_size: int, card: ModelCard) -> "TextEncoder | None":
    from model_runtime.evaluation.evaluator import TOWER
    from model_runtime.torch_backend import TextEncoder, choose_device

    for own in (card, read_card(SHIPPED_WEIGHTS / "starter")):
        tower = own.parts.get("text")
        if reads.words != TOWER or tower is None or tower.kind != "sentence":
            continue
        if reads.tower_sha256 in ("", tower.sha256):
            encoder = TextEncoder.open(own.folder, tower, choose_device("cpu"))
            if encoder.width == word_size:
                return encoder
    return None


def write_json(file: Path, found: "Evaluation | Found") -> None:
    file.write_text(json.dumps(asdict(found), indent=2) + "\n", encoding="utf-8")
    print(f"Wrote {file}")


def show(phase: str) -> None:
    if sys.stderr.isatty():
        print(phase, file=sys.stderr)

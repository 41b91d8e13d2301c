"""A model measured on a split of a data folder: as a table and as JSON."""

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from model_runtime.evaluation import protocol
from model_runtime.evaluation.judged import Judged, judge_reconstruction, judge_rounds
from model_runtime.evaluation.measures import (
    is_exploded,
    is_frozen,
    jerk,
    nearest_training,
    plausibility,
    reconstruction,
    skating,
    token_use,
    window_error,
)
from model_runtime.evaluation.metrics import interval
from model_runtime.evaluation.protocol import Decoded, Example, Round
from model_runtime.evaluation.random_prompts import measure_random_prompts
from model_runtime.networks import CARD_FILE, ModelCard, Networks

Array = NDArray[np.floating]
Tokens = NDArray[np.int64]
Report = Callable[[str], None]
Fields = dict[str, Any]

UNITS = {
    "skate": "cm/s",
    "slide_share": "of contact steps",
    "contact_share": "of steps",
    "penetration": "cm",
    "deepest": "cm",
    "floating_share": "of frames",
    "jerk": "m/s^3",
    "bone_variation": "%",
    "path_acceleration": "m/s^2",
}


@dataclass(frozen=True)
class Evaluation:
    """All that was found; `asdict` is the JSON."""

    weights: Fields
    data: Fields
    reconstruction: list[Fields]  # by number of layers
    plausibility: Fields  # measure -> generated, split, training
    copying: Fields
    seeds: Fields
    failures: Fields
    random_prompts: Fields
    codebooks: list[Fields]  # by codebook
    judged: Fields | str  # "no evaluator"


def evaluate(
    networks: Networks,
    examples: Sequence[Example],
    training: Sequence[Example],
    repeats: int,
    report: Report,
    judged: Judged | None = None,
) -> Evaluation:
    """Everything on one split. `training` may be empty; then what needs it is None."""
    report("Reconstructing the split")
    tokens = [networks.encode(example.features) for example in examples]
    num_quantizers = networks.card.num_quantizers
    layers = range(1, num_quantizers + 1)
    decoded = {n: protocol.reconstruct(networks, tokens, n) for n in layers}
    sampling = networks.card.sampling
    rounds = []
    for repeat in range(repeats):
        report(f"Generating, repeat {repeat + 1} of {repeats}")
        rounds.append(protocol.generate_round(networks, examples, sampling, repeat))
    report("Comparing with the training clips")
    copying = measure_copying(rounds[0], examples, training, decoded[num_quantizers])
    report("Generating several seeds of one prompt")
    seeds = measure_seeds(networks, [*examples, *training], protocol.spread_examples(examples))
    report("Generating random prompts")
    random_prompts = measure_random_prompts(networks, [*examples, *training])
    return Evaluation(
        weights=describe_weights(networks.card),
        data={"clips": len(examples), "training_clips": len(training), "repeats": repeats},
        reconstruction=measure_reconstruction(decoded, examples, judged),
        plausibility=measure_plausibility(rounds, examples, training),
        copying=copying,
        seeds=seeds,
        failures=count_failures(rounds),
        random_prompts=random_prompts,
        codebooks=measure_codebooks(rounds, tokens, networks.card),
        judged=judge_rounds(judged, networks, rounds, examples, training)
        if judged
        else "no evaluator",
    )


def describe_weights(card: ModelCard) -> Fields:
    """The card's hash stands for the whole folder: it holds the hash of every file."""
    digest = hashlib.sha256((card.folder / CARD_FILE).read_bytes()).hexdigest()
    sampling = asdict(card.sampling)
    return {"name": card.name, "model_json_sha256": digest, "sampling": sampling}


def measure_reconstruction(
    decoded: Mapping[int, Decoded], examples: Sequence[Example], judged: Judged | None
) -> list[Fields]:
    """decoded: number of layers -> the split coded with so many."""
    truth = [example.joints for example in examples]
    rows = []
    for num_layers, clips in decoded.items():
        row: Fields = {"layers": num_layers} | asdict(reconstruction(clips.joints, truth))
        row["jerk_ratio"] = jerk(clips.joints) / max(jerk(truth), 1e-9)
        row["skate"] = skating(clips.joints)[0]
        row["fid"] = judge_reconstruction(judged, clips, examples) if judged else "no evaluator"
        rows.append(row)
    return rows


def measure_plausibility(
    rounds: Sequence[Round], examples: Sequence[Example], training: Sequence[Example]
) -> Fields:
    """Each measure of the generated clips over the repeats, and of the data beside it."""
    generated = [asdict(plausibility(one.joints)) for one in rounds]
    split = asdict(plausibility([example.joints for example in examples]))
    trained = asdict(plausibility([example.joints for example in training])) if training else {}
    return {
        name: {
            "unit": UNITS[name],
            "generated": asdict(interval([one[name] for one in generated])),
            "split": value,
            "training": trained.get(name),
        }
        for name, value in split.items()
    }


def measure_copying(
    one: Round, examples: Sequence[Example], training: Sequence[Example], decoded: Decoded
) -> Fields:
    """Distance to the nearest training window, mm, of one repeat and of the split itself; and the
    share of generated clips that are nearer than the tokenizer's own error."""
    truth = [example.joints for example in examples]
    error = window_error(decoded.joints, truth)
    fields: Fields = {"tokenizer_error_mm": 1000.0 * error}
    if not training:
        return fields | {"note": "no training split"}
    clips = protocol.with_mirrored([example.joints for example in training])
    both = np.array(nearest_training([*one.joints, *truth], clips))
    ours, theirs = np.split(both, [len(one.joints)])
    return fields | {
        "generated_mm": float(1000.0 * np.median(ours)),
        "split_mm": float(1000.0 * np.median(theirs)),
        "nearer_than_tokenizer_error": float((ours < error).mean()),
        "split_nearer_than_tokenizer_error": float((theirs < error).mean()),
    }


def measure_seeds(networks: Networks, data: Sequence[Example], asked: Sequence[Example]) -> Fields:
    """How far apart seeds of one prompt are, mm, beside clips of the data that share a caption."""
    num_seeds = protocol.SPREAD_SEEDS
    motions = protocol.generate_seeds(networks, asked, networks.card.sampling, num_seeds)
    generated = protocol.spread([[motion.joints for motion in clips] for clips in motions])
    groups = protocol.same_caption_groups(data)
    of_data = protocol.spread([[example.joints for example in clips] for clips in groups])
    return {
        "prompts": len(asked),
        "seeds": num_seeds,
        "generated_mm": 1000.0 * generated if generated is not None else None,
        "data_mm": 1000.0 * of_data if of_data is not None else None,
    }


def measure_codebooks(
    rounds: Sequence[Round], tokens: Sequence[Tokens], card: ModelCard
) -> list[Fields]:
    """Use of each codebook by the encoded split and by as many generated clips.

    The residual transformer may leave a token out; such tokens are not counted.
    """
    num_codes = card.parts["rvq"].config.get("num_codes", 512)
    split = token_use(tokens, num_codes)
    drawn = [token_use([motion.tokens for motion in one.motions], num_codes) for one in rounds]
    return [
        {
            "codebook": q,
            "split": asdict(use),
            "generated": {
                "perplexity": asdict(interval([one[q].perplexity for one in drawn])),
                "used_share": asdict(interval([one[q].used_share for one in drawn])),
            },
        }
        for q, use in enumerate(split)
    ]


def count_failures(rounds: Sequence[Round]) -> Fields:
    """How many of all generated clips stand dead still for a second, or explode."""
    clips = [clip for one in rounds for clip in one.joints]
    return {
        "clips": len(clips),
        "frozen": sum(is_frozen(clip) for clip in clips),
        "exploded": sum(is_exploded(clip) for clip in clips),
    }

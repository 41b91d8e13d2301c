"""What the settings of sampling do: the paper's Tables 1 and 2 and Figure 7 on any data folder.

Each setting is measured alike: over the repeats by the learned judge and by measures that need
none, and by how well prompts are followed. Fewer layers are the same tokens, decoded without the
others.
"""

import copy
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from model_runtime.evaluation import protocol
from model_runtime.evaluation.judged import (
    Judged,
    generate_variety,
    judge_motions,
    judge_same_captions,
    judge_variety,
    over_repeats,
)
from model_runtime.evaluation.measures import plausibility
from model_runtime.evaluation.metrics import Interval, fid, interval
from model_runtime.evaluation.prompt_following import follow
from model_runtime.evaluation.protocol import Example, Round
from model_runtime.evaluation.report import describe_weights, measure_reconstruction
from model_runtime.networks import Networks
from model_runtime.sampling import ABSENT, Sampling

Array = NDArray[np.floating]
Fields = dict[str, Any]
Report = Callable[[str], None]
Prompts = Mapping[str, Mapping[str, Any]]  # set -> prompt -> what is checked

STEPS = (5, 10, 18)  # the paper's choice is 10, the release's 18
GUIDANCE = (1, 2, 3, 4, 5, 6)
LAYERS = (1, 3, 6)  # V of 0, 2 and 5; all layers are added


@dataclass(frozen=True)
class Setting:
    """How motions are sampled, and how many layers of their tokens are decoded."""

    sampling: Sampling
    num_layers: int


def default_values(num_layers: int) -> dict[str, Sequence[float]]:
    """What is swept over unless told otherwise."""
    fewer = [number for number in LAYERS if number < num_layers]
    return {"steps": STEPS, "guidance": GUIDANCE, "layers": [*fewer, num_layers]}


def vary(standard: Setting, name: str, value: float) -> Setting:
    """`standard` with another number of steps, guidance scale or number of layers. Raises
    ValueError that states the limit."""
    if name == "guidance":
        return replace(standard, sampling=replace(standard.sampling, guidance_scale=float(value)))
    if value != int(value):
        raise ValueError(f"{name} must be whole numbers, got {value:g}.")
    if name == "steps":
        return replace(standard, sampling=replace(standard.sampling, steps=int(value)))
    if not 1 <= value <= standard.num_layers:
        raise ValueError(f"This model has 1 to {standard.num_layers} layers, got {value:g}.")
    return replace(standard, num_layers=int(value))


def with_setting(networks: Networks, setting: Setting) -> Networks:
    """The same networks, sampling and decoding as the setting says."""
    view = copy.copy(networks)
    view.card = replace(networks.card, sampling=setting.sampling)

    def run_decoder(tokens: protocol.Tokens) -> Array:
        kept = np.arange(tokens.shape[-1]) < setting.num_layers
        return networks.run_decoder(np.where(kept, tokens, ABSENT))

    view.run_decoder = run_decoder
    return view


@dataclass(frozen=True)
class Found:
    """All that was found; `asdict` is the JSON. What needs a judge is missing without one."""

    weights: Fields
    data: Fields
    real: Fields  # the measures of the data itself
    reconstruction: list[Fields]  # by number of layers
    sweeps: dict[str, list[Fields]]  # what was varied -> its values, each with its measures
    multimodality: list[Fields]  # by number of layers, as the model ships


class Sweeper:
    """One model on one split; what several settings share is made once."""

    def __init__(
        self,
        networks: Networks,
        examples: Sequence[Example],
        training: Sequence[Example],
        judged: Judged | None,
        report: Report,
    ) -> None:
        self.networks, self.examples, self.training = networks, examples, training
        self.judged, self.report = judged, report
        self.standard = Setting(networks.card.sampling, networks.card.num_quantizers)
        features = [example.features for example in examples]
        self._truth = judged.judge.embed_motions(features) if judged else None
        self._rounds: dict[Sampling, list[Round]] = {}
        self._measured: dict[Setting, Fields] = {}

    def run(self, varied: Mapping[str, Sequence[float]], repeats: int, prompts: Prompts) -> Found:
        """varied: steps, guidance or layers -> values. Raises ValueError before any work."""
        settings = {
            name: {value: vary(self.standard, name, value) for value in values}
            for name, values in varied.items()
        }
        sweeps = {
            name: [
                {"value": value} | self._measure(setting, repeats, prompts)
                for value, setting in values.items()
            ]
            for name, values in settings.items()
        }
        layers = [setting.num_layers for setting in settings.get("layers", {}).values()]
        variety = self._measure_variety(self.judged, layers, repeats) if self.judged else []
        return Found(
            weights=describe_weights(self.networks.card),
            data={"clips": len(self.examples), "repeats": repeats},
            real=self._measure_data(repeats),
            reconstruction=self._reconstruct(layers),
            sweeps=sweeps,
            multimodality=variety,
        )

    def _measure(self, setting: Setting, repeats: int, prompts: Prompts) -> Fields:
        """Measure -> mean and half width over the repeats; "following": set -> share."""
        if setting not in self._measured:
            rounds = self._generate(setting.sampling, repeats)
            self.report(f"Measuring {setting.num_layers} layers")
            each = [self._measure_round(one, setting, n) for n, one in enumerate(rounds)]
            view = with_setting(self.networks, setting)
            shares = {name: list(follow(view, dict(own)).values()) for name, own in prompts.items()}
            following = {name: float(np.mean(values)) for name, values in shares.items()}
            self._measured[setting] = over_repeats(each) | {"following": following}
        return self._measured[setting]

    def _generate(self, sampling: Sampling, repeats: int) -> list[Round]:
        if sampling not in self._rounds:
            self.report(
                f"Generating with {sampling.steps} steps, guidance {sampling.guidance_scale:g}"
            )
            self._rounds[sampling] = [
                protocol.generate_round(self.networks, self.examples, sampling, repeat)
                for repeat in range(repeats)
            ]
        return self._rounds[sampling]

    def _measure_round(self, one: Round, setting: Setting, repeat: int) -> dict[str, float]:
        tokens = [motion.tokens for motion in one.motions]
        decoded = protocol.reconstruct(self.networks, tokens, setting.num_layers)
        found = asdict(plausibility(decoded.joints))
        if self.judged and self._truth is not None:
            motion = self.judged.judge.embed_motions(decoded.features)
            text = self.judged.read(one.captions)
            found |= judge_motions(motion, self._truth, text, repeat)
        return found

    def _measure_data(self, repeats: int) -> Fields:
        """The split's own measures; "training": those of the training split, or of this one where
        there is no other; "training_fid": of as many training clips to the split."""
        measured: Fields = {
            "training": asdict(plausibility(_joints(self.training or self.examples)))
        }
        if not self.judged or self._truth is None:
            return measured
        captions = [protocol.draw_captions(self.examples, n) for n in range(repeats)]
        measured |= over_repeats(
            [
                judge_motions(self._truth, self._truth, self.judged.read(drawn), repeat)
                for repeat, drawn in enumerate(captions)
            ]
        )
        data = [*self.examples, *self.training]
        measured["multimodality"] = judge_same_captions(self.judged, data)
        if len(self.training) >= len(self.examples):
            trained = self.judged.judge.embed_motions([one.features for one in self.training])
            measured["training_fid"] = asdict(_fid_of_as_many(trained, self._truth, repeats))
        return measured

    def _reconstruct(self, layers: Sequence[int]) -> list[Fields]:
        tokens = [self.networks.encode(example.features) for example in self.examples]
        decoded = {n: protocol.reconstruct(self.networks, tokens, n) for n in layers}
        return measure_reconstruction(decoded, self.examples, self.judged)

    def _measure_variety(self, judged: Judged, layers: Sequence[int], repeats: int) -> list[Fields]:
        """Multimodality of the model as it ships."""
        self.report("Generating many motions of one text")
        by_text = generate_variety(self.networks, self.examples) if layers else []
        rows = []
        for num_layers in layers:
            features = [
                protocol.reconstruct(
                    self.networks, [m.tokens for m in motions], num_layers
                ).features
                for motions in by_text
            ]
            rows.append({"layers": num_layers} | judge_variety(judged, features, repeats))
        return rows


def _fid_of_as_many(motion: Array, truth: Array, repeats: int) -> Interval:
    """FID of random rows of `motion` (m, E), as many as `truth` (n, E) has: what real
    clips of other captions get."""
    drawn = [
        np.random.default_rng(repeat).choice(motion, len(truth), replace=False)
        for repeat in range(repeats)
    ]
    return interval([fid(rows, truth) for rows in drawn])


def _joints(examples: Sequence[Example]) -> list[Array]:
    return [example.joints for example in examples]

"""The published metrics of a model, from a learned evaluator (NumPy; the evaluator comes in)."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from model_runtime.evaluation import metrics, protocol
from model_runtime.evaluation.metrics import interval
from model_runtime.evaluation.protocol import Decoded, Example, Generated, Round
from model_runtime.networks import Networks

Array = NDArray[np.floating]
Fields = dict[str, Any]

MULTIMODALITY_TEXTS = 3 * metrics.BATCH  # the release's three batches
MULTIMODALITY_MOTIONS = 30


class EmbedsMotions(Protocol):
    def embed_motions(self, clips: Sequence[Array]) -> Array:
        """Physical features (T, D) each -> (n, size)."""
        ...


@dataclass(frozen=True)
class Judged:
    """An evaluator; without `embed_captions`, what needs texts is left out."""

    judge: EmbedsMotions
    embed_captions: Callable[[list[str]], Array] | None

    def read(self, captions: list[str]) -> Array | None:
        return self.embed_captions(captions) if self.embed_captions else None


def judge_reconstruction(judged: Judged, decoded: Decoded, examples: Sequence[Example]) -> float:
    """FID of decoded clips to the clips that were encoded."""
    truth = judged.judge.embed_motions([example.features for example in examples])
    return metrics.fid(judged.judge.embed_motions(decoded.features), truth)


def judge_rounds(
    judged: Judged,
    networks: Networks,
    rounds: Sequence[Round],
    examples: Sequence[Example],
    training: Sequence[Example],
) -> Fields:
    """Each metric of generated clips and of the data, with its interval over the repeats.

    Multimodality is drawn from one set of 30 motions per text; its repeats draw other pairs. That
    of the data is over clips of both splits that share a caption.
    """
    truth = judged.judge.embed_motions([example.features for example in examples])
    generated, data = [], []
    for repeat, one in enumerate(rounds):
        motion = judged.judge.embed_motions([clip.features for clip in one.motions])
        text = judged.read(one.captions)
        generated.append(judge_motions(motion, truth, text, repeat))
        data.append(judge_motions(truth, truth, text, repeat))
    ours, theirs = over_repeats(generated), over_repeats(data)
    fields = {name: {"generated": ours[name], "split": theirs[name]} for name in ours}
    by_text = [[clip.features for clip in clips] for clips in generate_variety(networks, examples)]
    fields["multimodality"] = {
        "generated": judge_variety(judged, by_text, len(rounds)),
        "split": judge_same_captions(judged, [*examples, *training]),
    }
    return fields


def over_repeats(repeats: Sequence[Mapping[str, float]]) -> dict[str, Fields]:
    """The interval of each metric."""
    return {name: asdict(interval([one[name] for one in repeats])) for name in repeats[0]}


def judge_motions(motion: Array, truth: Array, text: Array | None, repeat: int) -> dict[str, float]:
    """The metrics of one repeat: embeddings (n, E) of motions, true motions and captions.

    Batches of R-precision are shuffled; a split of fewer than 32 clips has none.
    """
    rng = np.random.default_rng(repeat)
    pairs = metrics.draw_pairs(rng, len(motion), metrics.num_diversity_pairs(len(motion)))
    found = {
        "fid": metrics.fid(motion, truth),
        "diversity": metrics.diversity(motion, pairs),
    }
    if text is None:
        return found
    found["multimodal_distance"] = metrics.multimodal_distance(text, motion)
    if len(text) >= metrics.BATCH:
        order = rng.permutation(len(text))
        shares = metrics.r_precision(text[order], motion[order])
        found |= {f"r_precision_top{n}": float(share) for n, share in enumerate(shares, start=1)}
    return found


def generate_variety(networks: Networks, examples: Sequence[Example]) -> list[list[Generated]]:
    """30 motions for each of at most 96 captions, as in the release."""
    asked = examples[:MULTIMODALITY_TEXTS]
    return protocol.generate_seeds(networks, asked, networks.card.sampling, MULTIMODALITY_MOTIONS)


def judge_variety(judged: Judged, by_text: Sequence[Sequence[Array]], repeats: int) -> Fields:
    """Multimodality: how far apart motions of one text are. Features of as many of each text."""
    embedded = np.stack([judged.judge.embed_motions(clips) for clips in by_text])
    values = []
    for repeat in range(repeats):
        rng = np.random.default_rng(repeat)
        pairs = metrics.draw_pairs(rng, embedded.shape[1], metrics.MULTIMODALITY_PAIRS)
        values.append(metrics.multimodality(embedded, pairs))
    return asdict(interval(values))


def judge_same_captions(judged: Judged, data: Sequence[Example]) -> Fields:
    """Multimodality of the data: the mean distance of clips that share a caption, mean over
    captions. 0 where no two clips do."""
    apart = []
    for clips in protocol.same_caption_groups(data):
        embedded = judged.judge.embed_motions([clip.features for clip in clips])
        above = np.triu_indices(len(clips), 1)
        apart.append(metrics.distances(embedded, embedded)[above].mean())
    return asdict(metrics.Interval(float(np.mean(apart)) if apart else 0.0))

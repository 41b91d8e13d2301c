"""Prompts that nobody chose: do their motions freeze or explode?"""

from collections.abc import Sequence
from typing import Any

import numpy as np

from model_runtime.evaluation.measures import is_exploded, is_frozen
from model_runtime.evaluation.protocol import Example, generate
from model_runtime.networks import Networks
from model_runtime.training.foreign import foreign_prompts
from model_runtime.training.layouts import MIN_FRAMES
from model_runtime.training.paraphrase import paraphrases
from momask_blender.contract.skeleton import FRAMES_PER_TOKEN, MAX_FRAMES

NUM_PROMPTS = 200
WORDINGS = 12  # of each caption


def measure_random_prompts(networks: Networks, examples: Sequence[Example]) -> dict[str, Any]:
    """Of 200 motions of random length: which stand dead still for a second, and which explode.

    Half of the prompts are captions of the data in other words, half are `foreign.toml`'s, which
    most models do not know: they are asked for as well.
    """
    rng = np.random.default_rng(0)
    prompts = random_prompts(examples, rng)
    shortest, longest = MIN_FRAMES // FRAMES_PER_TOKEN, MAX_FRAMES // FRAMES_PER_TOKEN
    lengths = FRAMES_PER_TOKEN * rng.integers(shortest, longest, len(prompts), endpoint=True)
    text = networks.embed_text(prompts).vectors
    seeds = range(len(prompts))
    motions = generate(networks, text, lengths.tolist(), seeds, networks.card.sampling)
    pairs = list(zip(prompts, motions, strict=True))
    return {
        "prompts": len(prompts),
        "frozen": [prompt for prompt, motion in pairs if is_frozen(motion.joints)],
        "exploded": [prompt for prompt, motion in pairs if is_exploded(motion.joints)],
    }


def random_prompts(examples: Sequence[Example], rng: np.random.Generator) -> list[str]:
    captions = sorted({caption for example in examples for caption in example.captions})
    drawn = [str(caption) for caption in rng.choice(captions, NUM_PROMPTS // 2)]
    reworded = [str(rng.choice(paraphrases(caption, WORDINGS, seed=1))) for caption in drawn]
    strange = rng.choice(foreign_prompts(), NUM_PROMPTS - len(reworded), replace=False)
    return reworded + [str(prompt) for prompt in strange]

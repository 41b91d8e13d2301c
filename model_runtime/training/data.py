"""Clips and captions -> features, their versions and statistics."""

import random
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import cycle, islice

import numpy as np
from numpy.typing import NDArray

from model_runtime.features import (
    COLUMNS,
    WIDTHS,
    heading_quaternions,
    joints_to_features,
    place_at_origin,
)
from model_runtime.training import compose
from model_runtime.training.layouts import MIN_FRAMES, Clip
from model_runtime.training.paraphrase import mirror_caption, paraphrases
from model_runtime.training.recipe import DataRecipe
from model_runtime.training.user_prompts import user_prompts
from momask_blender.contract import rotation
from momask_blender.contract.resample import catmull_rom
from momask_blender.contract.skeleton import MAX_FRAMES, MIRRORED

Array = NDArray[np.floating]

LEAST_STD = 1e-3  # of columns that a small data set never changes, such as contacts


@dataclass(frozen=True)
class Motion:
    """One training example: a clip, perhaps mirrored or at another speed."""

    features: Array  # (T, 263) float32, physical
    captions: tuple[str, ...]
    weight: float
    is_one_action: bool = True  # which a short part of the clip can show


def mirror_joints(joints: Array) -> Array:
    """The same motion with left and right exchanged. (T, 22, 3) -> (T, 22, 3)."""
    return (joints * (-1.0, 1.0, 1.0))[:, MIRRORED]


def change_speed(joints: Array, speed: float) -> Array:
    """Play `speed` times as fast."""
    if speed == 1.0:
        return joints
    return catmull_rom(joints, np.arange(0.0, len(joints) - 1, speed))


def clip_features(joints: Array) -> Array:
    """joints (T, 22, 3) -> features (T, 263) float32, one row per frame.

    The clip is turned so that its smoothed heading is +Z at frame 0, where the reference forces it
    to be: no jump in the first row. One frame is extrapolated, as T frames hold T - 1 steps.
    """
    placed = place_at_origin(joints)
    placed = rotation.rotate(heading_quaternions(placed)[0], placed)
    following = 2.0 * placed[-1] - placed[-2]
    return joints_to_features(np.concatenate([placed, [following]])).astype(np.float32)


def versions(clip: Clip, recipe: DataRecipe) -> Iterator[tuple[Array, tuple[str, ...]]]:
    """Joints and captions of a clip, its mirror image and both at other speeds."""
    sides = [(clip.joints, clip.captions)]
    if recipe.mirror:
        captions = tuple(mirror_caption(caption) for caption in clip.captions)
        sides.append((mirror_joints(clip.joints), captions))
    for joints, captions in sides:
        for speed in recipe.speeds:
            changed = change_speed(joints, speed)
            if MIN_FRAMES <= len(changed) <= MAX_FRAMES:
                yield changed, captions


def training_motions(clips: list[Clip], recipe: DataRecipe) -> list[Motion]:
    """All versions of all clips, weighted."""
    return [
        Motion(clip_features(joints), reworded(captions, recipe, one_action=True), weight)
        for clip, weight in zip(clips, weights(clips, recipe), strict=True)
        for joints, captions in versions(clip, recipe)
    ]


def joined_motions(clips: list[Clip], recipe: DataRecipe) -> list[Motion]:
    """Clips that go on, and pairs of actions, each kind with its share of all draws."""
    examples = [
        compose.Example(clip_features(joints), captions, kind, weight)
        for clip, weight in zip(clips, weights(clips, recipe), strict=True)
        for joints, captions, kind in _sides(clip, recipe)
    ]
    total = sum(weights(clips, recipe)) * sum(1 for _ in versions(clips[0], recipe))
    motions = []
    for make, count, share, one_action in (
        (compose.prolonged, recipe.prolonged, recipe.prolonged_share, True),
        (compose.settled, recipe.settled, recipe.settled_share, True),
        (compose.two_part, recipe.two_part, recipe.two_part_share, False),
    ):
        made = make(examples, count, seed=0)
        weight = share * total / max(1, len(made))  # equal: clips were drawn by theirs
        motions += [
            Motion(
                each.features,
                reworded(each.captions, recipe, one_action=one_action),
                weight,
                one_action,
            )
            for each in made
        ]
    return motions


def _sides(clip: Clip, recipe: DataRecipe) -> Iterator[tuple[Array, tuple[str, ...], str]]:
    """Joints, captions and kind of a clip and its mirror image, at their own speed."""
    own_speed = replace(recipe, speeds=(1.0,))
    for joints, captions in versions(clip, own_speed):
        yield joints, captions, captions[0]


def weights(clips: list[Clip], recipe: DataRecipe) -> list[float]:
    """How often each clip is drawn: families and, within them, the actions that their first
    captions name count by roots of their frames, so that rare ones are not lost among dances."""
    families, kinds = Counter[str](), Counter[str]()
    for clip in clips:
        families[clip.family] += len(clip.joints)
        kinds[clip.captions[0]] += len(clip.joints)
    return [
        recipe.family_weights.get(clip.family, 1.0)
        * len(clip.joints)
        / (families[clip.family] ** 0.25 * kinds[clip.captions[0]] ** 0.5)
        for clip in clips
    ]


def reworded(captions: tuple[str, ...], recipe: DataRecipe, *, one_action: bool) -> tuple[str, ...]:
    """The captions, repeated to a quarter of all but users' prompts; paraphrases of each; and of
    one action what users would say for it, `recipe.user_prompts` times as many as all these."""
    count = recipe.paraphrases if one_action else recipe.paraphrases // 4
    others = tuple(other for caption in captions for other in paraphrases(caption, count, seed=0))
    said = captions * max(1, count // 3) + others
    if not one_action:
        return said
    asked = list(dict.fromkeys(each for caption in captions for each in user_prompts(caption)))
    random.Random(f"{captions}").shuffle(asked)  # noqa: S311 - no secrets here
    return said + tuple(islice(cycle(asked), round(recipe.user_prompts * len(said))))


def plain_motions(clips: list[Clip]) -> list[Motion]:
    """The clips as they are, for validation."""
    return [Motion(clip_features(clip.joints), clip.captions, 1.0) for clip in clips]


def statistics(motions: list[Motion], root_emphasis: float) -> tuple[Array, Array]:
    """Mean (263,) and std (263,), the std averaged within each kind of column (HumanML3D).

    Root and contact std are divided by `root_emphasis`, which raises their weight in the loss.
    """
    rows = np.concatenate([motion.features for motion in motions]).astype(np.float64)
    mean, std = rows.mean(axis=0), rows.std(axis=0)
    for name in WIDTHS:
        std[COLUMNS[name]] = max(std[COLUMNS[name]].mean(), LEAST_STD)
    for name in ("heading_step", "root_step", "root_height", "contacts"):
        std[COLUMNS[name]] /= root_emphasis
    return mean, std

"""Fill the gaps of a motion: encode it, sample what is missing, decode, join.

The motion is encoded and decoded as a whole, whatever its length. Then each gap is brought to the
place, heading and pose of its kept frames.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from model_runtime.features import features_to_joints, joints_to_features, place_at_origin
from model_runtime.floor import above_floor
from model_runtime.gap_tokens import asks_for_more, fill_tokens, unknown_tokens
from model_runtime.gap_travel import bring_home
from model_runtime.gap_turns import blend, turning
from model_runtime.networks import Networks
from model_runtime.pipeline import Report, Silence
from model_runtime.sampling import MASK, Sampling, SeededNoise
from model_runtime.source_motion import FADE_FRAMES, SourceMotion, interpolate_pose
from momask_blender.contract import rotation
from momask_blender.contract.pose import Pose, pose_to_joints, solve_pose
from momask_blender.contract.seams import (
    Gap,
    find_gaps,
    join_positions,
    join_rotations,
)
from momask_blender.contract.skeleton import FPS, FRAMES_PER_TOKEN, MAX_FRAMES, tokens_for

Array = NDArray[np.floating]
Kept = NDArray[np.bool_]
Tokens = NDArray[np.int64]

SHORTEST_GAP = FRAMES_PER_TOKEN  # a shorter one is interpolated
STRICTER = 1.75  # at the usual scale of 4 somebody who stands goes on standing, at 7 waves or kicks
NUM_CANDIDATES = 4  # sampled for each seed; the one that meets its kept frames best is taken
CANDIDATE_STEP = 2**31  # between their seeds: more than any seed that can be asked for
BLENDED = 0.7 * FPS  # frames from a kept one within which interpolation has a share
MOST_UNASKED = 0.5  # share of what is made where no words ask for more than is kept
WHOLE_TURN = 1.0 * FPS  # frames; in shorter gaps nobody turns once more, whatever words say
LONGEST_BLENDED = 2 * FPS  # frames; longer gaps were not measured
FASTEST_TURN = np.radians(600.0) / FPS  # radians per frame; nobody turns faster
MARGIN = 10  # frames around a gap, for smooth hinges; more than the seams need


@dataclass(frozen=True)
class Filled:
    """A motion with its gaps filled, and as the model made it: somewhere else, and feet that stand
    stand still, as nothing was moved or blended yet. In gaps without a model both are the same."""

    pose: Pose
    made: Pose


def check_fills(networks: Networks) -> None:
    """Raises ValueError for a model that knows another skeleton than that of the gaps."""
    if networks.is_kit:
        raise ValueError(
            f"The model '{networks.card.name}' knows the 21 joints of KIT only and cannot fill "
            "gaps. Choose another model."
        )


def inpaint(
    networks: Networks,
    text: Array,
    source: SourceMotion,
    seeds: Sequence[int],
    sampling: Sampling,
    report: Report | None = None,
) -> list[Filled]:
    """A whole motion for each seed; frames of `source` that are kept (T,) come out as they are.

    text is the prompt's, (E,) or (P, E) of P actions, or zeros for none. What `source` holds in its
    gaps does not matter. A seed gives the same fill alone or in any batch.
    """
    report = report or Silence()
    is_kept = source.is_kept
    guess = interpolate_pose(source.pose, is_kept)
    known = is_kept | in_short_gaps(is_kept)
    if known.all():
        return [Filled(guess, guess)] * len(seeds)
    near = _within_reach(known)
    seen, known = cut(guess, near), known[near]
    tokens = np.where(unknown_tokens(known)[:, None], MASK, encode(networks, seen))
    noises = [
        SeededNoise(seed + CANDIDATE_STEP * candidate)
        for seed in seeds
        for candidate in range(NUM_CANDIDATES)
    ]
    texts = np.repeat(text[None], len(noises), axis=0)
    filled = fill_tokens(networks, texts, tokens, noises, sampling, report)
    report.begin("Decoding")
    most = 1.0 if asks_for_more(networks, text, tokens) else MOST_UNASKED
    fills = []
    for candidates in filled.reshape(len(seeds), NUM_CANDIDATES, *tokens.shape):
        best = _best(networks, candidates, seen, known, most)
        fills.append(Filled(_replaced(guess, near, best.pose), _replaced(guess, near, best.made)))
        report.step()
    return fills


def sampling_for_gaps(usual: Sampling, has_prompt: bool) -> Sampling:
    """A model's usual settings, changed for gaps: kept frames pull against the words."""
    if not has_prompt:
        return replace(usual, guidance_scale=0.0, residual_guidance_scale=0.0)
    return replace(usual, guidance_scale=min(20.0, STRICTER * usual.guidance_scale))


def in_short_gaps(is_kept: Kept) -> Kept:
    """Which frames are in gaps that are interpolated, not generated. (T,)."""
    short = np.zeros_like(is_kept)
    for gap in find_gaps(is_kept):
        short[gap.frames] = gap.num_frames < SHORTEST_GAP
    return short


def about_short_gaps(is_kept: Kept, names: Sequence[str] = ()) -> str:
    """Words for the user about gaps that are interpolated; empty if there are none. `names` of all
    gaps, in order; without them they are called by their frames, counted from 0."""
    gaps, short = find_gaps(is_kept), in_short_gaps(is_kept)
    if len(names) != len(gaps):
        names = [f"{gap.start}:{gap.stop - 1}" for gap in gaps]
    places = [name for gap, name in zip(gaps, names, strict=True) if short[gap.start]]
    if not places:
        return ""
    return (
        f"Too short for the model, which makes {SHORTEST_GAP / FPS:g} s at a time, and therefore "
        f"interpolated: {', '.join(places)}."
    )


def encode(networks: Networks, pose: Pose) -> Tokens:
    """(T) frames -> (N, Q) tokens that cover them; the last frame is held to fill the last one."""
    joints = place_at_origin(pose_to_joints(pose))
    num_steps = tokens_for(len(joints)) * FRAMES_PER_TOKEN
    held = np.repeat(joints[-1:], num_steps + 1 - len(joints), axis=0)
    return networks.encode(joints_to_features(np.concatenate([joints, held])))


def cut(pose: Pose, frames: slice) -> Pose:
    return Pose(pose.root[frames], pose.rotations[frames])


def join(made: Pose, kept: Pose, is_kept: Kept, most: float) -> tuple[Pose, float]:
    """A decoded pose -> the kept pose with its gaps filled from it, and the strain.

    `kept` is interpolated in the gaps; what is made has a share of at most `most` in short ones.
    The strain is what had to be put right, in metres: the travel that was missing and how far
    joints were from the kept ones beside the gaps, summed over the gaps.
    """
    root, rotations, strain = kept.root.copy(), kept.rotations.copy(), 0.0
    for gap in find_gaps(is_kept):
        wide = slice(max(0, gap.start - MARGIN), gap.stop + MARGIN)
        own, is_own, local = cut(kept, wide), is_kept[wide], gap.seen_from(wide)
        before = local.start - 1 if gap.start else local.stop
        after = local.stop if gap.stop < len(is_kept) else local.start - 1
        freely = most == 1.0 and gap.num_frames > WHOLE_TURN
        home = bring_home(cut(made, wide), own, before, after, freely)
        strain += home.missing + _apart(home.pose, own, local)
        moved = join_positions(home.pose.root, own.root, is_own, FADE_FRAMES)
        turned = join_rotations(home.pose.rotations, own.rotations, is_own, FADE_FRAMES)
        share = _share_of_made(gap, len(is_kept), most)
        root[gap.frames] += share * (moved[local.frames] - root[gap.frames])
        if home.more_turns:
            own = interpolate_pose(own, is_own, home.more_turns)
        rotations[gap.frames] = blend(own.rotations, turned, local, share)
    return Pose(root, rotation.continuous(rotations)), strain


def _best(networks: Networks, candidates: Tokens, kept: Pose, is_kept: Kept, most: float) -> Filled:
    """The candidate (C, N, Q) with the least strain, joined to the kept frames; one in which
    somebody whips around has the more of it."""
    floor = pose_to_joints(kept)[..., 1].min()
    attempts = []
    for tokens in candidates:
        joints = above_floor(features_to_joints(networks.decode(tokens)[: len(is_kept)]))
        made = solve_pose(joints + (0.0, floor, 0.0))
        pose, strain = join(made, kept, is_kept, most)
        whips = max(0.0, float(np.abs(turning(pose.rotations)).max()) - FASTEST_TURN)
        attempts.append((strain + whips, Filled(pose, made)))
    return min(attempts, key=lambda attempt: attempt[0])[1]


def _share_of_made(gap: Gap, num_frames: int, most: float) -> Array:
    """How much of each frame (N, 1) in a gap is made, the rest being interpolated.

    On training clips it brings fills of 1 and 2 s nearer (L2Q) to what was recorded, although the
    model knows these clips. Gaps with one side have nothing to interpolate between.
    """
    if gap.start == 0 or gap.stop == num_frames or gap.num_frames > LONGEST_BLENDED:
        return np.ones((gap.num_frames, 1))
    frames = np.arange(gap.num_frames)
    distance = np.minimum(frames + 1, gap.num_frames - frames)
    share = np.clip(distance / BLENDED, 0.0, 1.0)[:, None]
    return most * share * share * (3.0 - 2.0 * share)


def _apart(made: Pose, kept: Pose, gap: Gap) -> float:
    """Mean distance of the joints at the kept frames beside a gap, in metres."""
    near = cut(made, gap.surroundings), cut(kept, gap.surroundings)
    apart = np.linalg.norm(pose_to_joints(near[0]) - pose_to_joints(near[1]), axis=-1).mean(axis=1)
    inside = gap.seen_from(gap.surroundings).frames
    return float(np.delete(apart, inside).mean())


def _within_reach(is_known: Kept) -> slice:
    """The gaps with as much around them as the model can see, from whole tokens on."""
    unknown = np.flatnonzero(~is_known)
    start = max(0, unknown[0] - MAX_FRAMES) // FRAMES_PER_TOKEN * FRAMES_PER_TOKEN
    return slice(int(start), int(unknown[-1]) + 1 + MAX_FRAMES)


def _replaced(pose: Pose, frames: slice, part: Pose) -> Pose:
    root, rotations = pose.root.copy(), pose.rotations.copy()
    root[frames], rotations[frames] = part.root, part.rotations
    return Pose(root, rotation.continuous(rotations))

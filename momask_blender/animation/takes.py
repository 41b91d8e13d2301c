"""A take: one Action and the request that made it, stored on it."""

import json
import math
from collections.abc import Generator
from dataclasses import asdict, dataclass, field
from functools import lru_cache
from typing import Any
from zipfile import BadZipFile

import bpy
import numpy as np
from bpy.types import Action, Object
from numpy.typing import NDArray

from ..contract.messages import Finished, Generate
from ..contract.pose import Pose
from ..errors import UserError
from ..refs import Ref
from ..retarget.channels import BoneKeys
from ..retarget.fit import FEET, STARTS, TRAVEL, Fit
from ..rig.wiring import Switch
from .actions import bind_action, is_in_strips, new_channels
from .pose_keys import write_bone, write_held_rotation, write_rest_pose, write_switch

Array = NDArray[np.floating]

STORED_AS = "momask_take"  # custom property of the Action: JSON, so that it is only ever data
MAX_NAME = 63  # bytes that an ID's name may have


@dataclass(frozen=True, kw_only=True)
class Take:
    """What made a take, enough to make it again."""

    prompt: str
    seed: int = 0
    num_keys: int
    fps: float
    first_frame: int
    num_frames: int | None = None  # at 20 fps, as asked for; None: the model decided
    settings: dict[str, Any] = field(default_factory=dict)  # model, steps, guidance, ...
    character: str = ""
    fit: dict[str, Any] = field(default_factory=dict)  # of a `Fit`; older takes have none
    gaps: list[list[int]] = field(default_factory=list)  # frames, if it fills those of another


@dataclass(frozen=True, kw_only=True)
class Span:
    """Where on the timeline: `num_keys` None is as long as the motion is."""

    first_frame: int
    fps: float
    num_keys: int | None = None

    def keys_for(self, num_frames: int, model_fps: float) -> int:
        return self.num_keys or max(1, round(num_frames / model_fps * self.fps))


def made_by(request: Generate, finished: Finished, seed: int) -> dict[str, Any]:
    """The fields of a `Take` that tell how to make the same motion again."""
    settings = finished.settings | {"ran on": finished.runs_on}
    return {
        "prompt": request.prompt,
        "seed": seed,
        "num_frames": request.num_frames,
        "settings": settings,
    }


def read_pose(file: str, as_made: bool = False) -> Pose:
    """The pose (20 fps, model axes) in a worker's `.npz`; a fill `as_made`, before it was moved and
    joined to what is kept. Raises UserError."""
    try:
        with np.load(file, allow_pickle=False) as motion:
            prefix = "made_" if as_made and "made_root" in motion else ""
            root, rotations = (motion[f"{prefix}{name}"] for name in ("root", "rotations"))
            return Pose(root.astype(float), rotations.astype(float))
    except (OSError, KeyError, ValueError, EOFError, BadZipFile) as error:
        raise UserError(f"The motion that was made cannot be read ({error}). Try again.") from error


@dataclass(frozen=True, eq=False)
class TakeKeys:
    """All that a take is keyed with. Values and names only: undo kills references."""

    bones: list[BoneKeys]
    at_rest: tuple[str, ...] = ()  # bones that would spoil the pose if they kept theirs
    switches: tuple[Switch, ...] = ()
    held: dict[str, Array] = field(default_factory=dict)  # bone -> its rotation (4,) throughout


def make_take(
    armature: Object, take: Take, keys: TakeKeys
) -> Generator[None, None, tuple[str, list[str]]]:
    """A new Action with these keys, in short steps; nothing plays it yet.

    Between steps the armature and the Action may be renamed or deleted. Returns the Action's name,
    which Blender may have changed, and what could not be keyed, in words. If it is closed or fails,
    the Action is removed.
    """
    rig, made = Ref.of(armature), _new_action(take)
    fit = fit_of(take)
    said = []
    try:
        for each in keys.bones:
            reduce = fit.reduce_keys and (fit.reduce_legs or not each.carries_feet)
            armature, channels = _resolved(rig, made)
            said.append(write_bone(channels, armature, each, take.first_frame, reduce))
            yield
        armature, channels = _resolved(rig, made)
        _write_held(channels, armature, keys, take.first_frame)
        return made.resolve().name, [words for words in said if words]
    except BaseException:
        if (action := made.find()) is not None:
            bpy.data.actions.remove(action)
        raise


def _new_action(take: Take) -> Ref:
    action = bpy.data.actions.new(action_name(take.prompt))
    action.use_fake_user = True  # takes that are not played stay in the file
    mark_take(action, take)
    return Ref.of(action)


def mark_take(action: Action, take: Take) -> None:
    """Store on the Action what made it."""
    action[STORED_AS] = json.dumps(asdict(take))


def _resolved(rig: Ref, made: Ref) -> tuple[Object, Any]:
    armature = rig.resolve()
    return armature, new_channels(made.resolve(), armature)


def _write_held(channels: Any, armature: Object, keys: TakeKeys, frame: int) -> None:
    bones = armature.pose.bones
    for name in keys.at_rest:
        write_rest_pose(channels, bones[name], frame)
    for switch in keys.switches:
        write_switch(channels, switch, frame)
    for name, quat in keys.held.items():
        write_held_rotation(channels, bones[name], quat, frame)


def fit_of(take: Take) -> Fit:
    """How the motion was fitted; of a note that may say anything, what means something."""
    plain = asdict(Fit())
    choices = {"feet": FEET, "travel": TRAVEL, "start": STARTS}

    def has_meaning(name: str, value: Any) -> bool:
        if name in choices:
            return value in choices[name]
        return type(value) is type(plain[name]) and math.isfinite(value)

    return Fit(**{n: v for n, v in take.fit.items() if n in plain and has_meaning(n, v)})


def play_take(armature: Object, action: Action) -> Action | None:
    """Let the armature play it. -> the Action that it played before, if that is the user's own.

    That one is given a fake user if nothing else keeps it. Raises UserError.
    """
    if armature.library is not None:  # Blender would take it and forget it with the file
        raise UserError(
            f"'{armature.name}' is linked from another file. Make a library override of it first: "
            "Object > Library Override > Make."
        )
    data = armature.animation_data
    if is_in_strips(armature, action):
        _show_strips_of(armature, action)
        return None
    if data is not None and data.use_tweak_mode:
        raise UserError(
            f"A strip of '{armature.name}' is being tweaked in the NLA editor. Leave tweak mode "
            "(Tab), then apply the motion again."
        )
    before = data.action if data else None
    bind_action(armature, action)
    if before is None or before == action or read_take(before) is not None:
        return None
    if before.users == 0 and before.library is None:
        before.use_fake_user = True
    return before


def _show_strips_of(armature: Object, action: Action) -> None:
    """Of fills that lie in strips above the animation one is seen."""
    for track in armature.animation_data.nla_tracks:
        takes = [read_take(strip.action) for strip in track.strips if strip.action]
        if any(take is not None and take.gaps for take in takes):
            track.mute = all(strip.action != action for strip in track.strips)


def read_take(action: Action) -> Take | None:
    """None for an Action that is no take of ours, or whose note is damaged."""
    stored = action.get(STORED_AS)
    return _parsed(stored) if isinstance(stored, str) else None


@lru_cache(maxsize=256)
def _parsed(stored: str) -> Take | None:
    try:
        fields = json.loads(stored)
        take = Take(**fields)
        whole = all(
            isinstance(value, kind)
            for value, kind in (
                *((take.prompt, str), (take.seed, int), (take.num_keys, int)),
                *((take.fps, int | float), (take.settings, dict), (take.character, str)),
                (take.fit, dict),
                (take.gaps, list),
                (take.num_frames, int | None),
            )
        )
    except (TypeError, ValueError, RecursionError):
        return None
    return take if whole else None


def delete_take(action: Action) -> None:
    """Characters that play it stop where they are."""
    bpy.data.actions.remove(action)


def action_name(prompt: str) -> str:
    """The prompt in one line, cut to what Blender allows."""
    return " ".join(prompt.split()).encode("utf-8")[:MAX_NAME].decode("utf-8", errors="ignore")

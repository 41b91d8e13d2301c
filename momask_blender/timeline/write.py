"""Put fills into the file: each one a new Action, or strips above the others."""

from collections.abc import Generator
from dataclasses import dataclass
from typing import Any

import bpy
from bpy.types import Action, Object

from ..animation.actions import copy_of_action, new_channels, strip_above
from ..animation.takes import Take, action_name, mark_take
from ..refs import Ref
from ..retarget.channels import BoneKeys
from .fill import Filling
from .splice import Gap, bake_modified, write_bone_in_gap, write_rest_in_gap, write_switch_in_gap

GapKeys = list[tuple[Gap, list[BoneKeys]]]


@dataclass(frozen=True)
class Written:
    action: str  # its name
    warnings: tuple[str, ...] = ()


def write_fill(
    armature: Object, filling: Filling, keys: GapKeys, take: Take
) -> Generator[None, None, Written]:
    """A new Action with these keys in its gaps, in short steps; nothing plays it yet.

    It holds whatever the armature's own Action holds, unless strips play: then only the gaps. The
    Action is removed if this is closed or fails.
    """
    rig = Ref.of(armature)
    in_strips = filling.destination.in_strips
    name = action_name(take.prompt) or "fill"
    action = _new_action(name) if in_strips else copy_of_action(armature, name)
    made = Ref.of(action)
    said: list[str] = []
    try:
        mark_take(action, take)
        said += bake_modified(new_channels(action, armature), _paths(filling), filling.wish.whole)
        yield
        for gap, bones in keys:
            each = Gap(gap.frames, False, False) if in_strips else gap
            for bone in bones:
                armature, action = rig.resolve(), made.resolve()
                write_bone_in_gap(new_channels(action, armature), armature, bone, each)
                yield
            armature, action = rig.resolve(), made.resolve()
            channels = new_channels(action, armature)
            for name in filling.rig.between if not filling.wish.parts else ():
                write_rest_in_gap(channels, armature, name, each, in_strips)
            _write_switches(channels, armature, filling, each)
            yield
        return Written(made.resolve().name, tuple(said))
    except BaseException:
        if (action := made.find()) is not None:
            bpy.data.actions.remove(action)
        raise


def play_fill(armature: Object, action: Action, filling: Filling, is_shown: bool) -> None:
    """In strips of its own, above those that are there."""
    for gap in filling.gaps:
        strip_above(armature, action, (gap.frames.first, gap.frames.last), is_shown)


def _new_action(name: str) -> Action:
    action = bpy.data.actions.new(name)
    action.use_fake_user = True
    return action


def _write_switches(channels: Any, armature: Object, filling: Filling, gap: Gap) -> None:
    for switch in filling.rig.controls.switches if filling.rig.controls else ():
        write_switch_in_gap(channels, armature, switch, gap)


def _paths(filling: Filling) -> tuple[str, ...]:
    return tuple(f'pose.bones["{name}"].' for name in filling.rig.target.bones)

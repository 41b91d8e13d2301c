"""Which gaps the animator means: the list of ranges, or the place on the timeline."""

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
from bpy.types import Object, Scene

from ..animation.actions import bound_channels
from ..animation.fcurves import read_keys
from ..errors import UserError
from ..retarget.roles import ROLES
from .ranges import Frames, gap_around, gaps_between

PARTS = {
    "ALL": (),
    "UPPER": ("spine", "neck", "head", "collar", "upperarm", "forearm", "hand"),
    "ARMS": ("collar", "upperarm", "forearm", "hand"),
    "LEGS": ("hips", "thigh", "shin", "foot", "toe"),
    "HEAD": ("neck", "head"),
}


def roles_of(part: str) -> frozenset[str]:
    """All roles of a part of the body; none for the whole."""
    words = PARTS[part]
    return frozenset(role for role in ROLES if role.split("_")[-1].rstrip("123") in words)


def scene_frames(scene: Scene) -> Frames:
    return Frames(scene.frame_start, scene.frame_end)


def keyed_frames(armature: Object, bones: Iterable[str], selected: bool = False) -> list[int]:
    """Whole frames at which any of the bones has a key; selected keys only where asked for."""
    channels = bound_channels(armature)
    starts = tuple(f'pose.bones["{name}"].' for name in bones)
    frames: set[int] = set()
    for curve in channels.fcurves if channels else ():
        if curve.data_path.startswith(starts):
            keys = read_keys(curve)
            wanted = keys[keys["select_control_point"]] if selected else keys
            frames |= set(np.rint(wanted["co"][:, 0]).astype(int).tolist())
    return sorted(frames)


def around_playhead(armature: Object, bones: Sequence[str], frame: int) -> tuple[Frames, Frames]:
    """-> the gap between the keys around a frame, and the keyed frames as a whole."""
    keyed = _keyed(armature, bones)
    return gap_around(frame, keyed), Frames(keyed[0], keyed[-1])


def before_keys(armature: Object, bones: Sequence[str], count: int) -> tuple[Frames, Frames]:
    """-> `count` frames before the first key, and these with all keyed frames."""
    keyed = _keyed(armature, bones)
    gap = Frames(keyed[0] - count, keyed[0] - 1)
    return gap, Frames(gap.first, keyed[-1])


def after_keys(armature: Object, bones: Sequence[str], count: int) -> tuple[Frames, Frames]:
    """-> `count` frames after the last key, and these with all keyed frames."""
    keyed = _keyed(armature, bones)
    gap = Frames(keyed[-1] + 1, keyed[-1] + count)
    return gap, Frames(keyed[0], gap.last)


def selected_frames(armature: Object, bones: Sequence[str], scene: Scene) -> Frames:
    """From the first to the last selected key, or else the preview range. Raises UserError."""
    frames = keyed_frames(armature, bones, selected=True)
    if len(frames) > 1:
        return Frames(frames[0], frames[-1])
    if scene.use_preview_range:
        return Frames(scene.frame_preview_start, scene.frame_preview_end)
    raise UserError(
        "Nothing is selected: select keys in the Dope Sheet, or set a preview range with P."
    )


def marked_frames(scene: Scene) -> list[Frames]:
    """Ranges between pairs of selected markers. Raises UserError."""
    frames = sorted(marker.frame for marker in scene.timeline_markers if marker.select)
    if not frames or len(frames) % 2:
        raise UserError(
            f"{len(frames)} markers are selected: select two for each range, its first and its "
            "last frame."
        )
    return [Frames(*pair) for pair in zip(frames[::2], frames[1::2], strict=True)]


def listed(settings: Any) -> tuple[list[Frames], Frames]:
    """The gaps that the list of kept ranges leaves in the scene. Raises UserError."""
    whole = scene_frames(settings.id_data)
    kept = [Frames(each.first, each.last) for each in settings.kept]
    return gaps_between(kept, whole), whole


def _keyed(armature: Object, bones: Sequence[str]) -> list[int]:
    """Of the bones; a control rig has its keys on others. Raises UserError."""
    frames = keyed_frames(armature, bones) or keyed_frames(armature, armature.pose.bones.keys())
    if not frames:
        raise UserError(
            f"'{armature.name}' plays no Action with keys on its body. Key a pose first, or make a "
            "new motion."
        )
    return frames

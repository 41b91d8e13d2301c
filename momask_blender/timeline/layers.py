"""Where the keys of a gap belong: into the Action that plays, or into a strip above the others."""

from dataclasses import dataclass

from bpy.types import AnimData, Object

from ..animation.actions import bound_channels
from ..errors import UserError
from ..fitting import Rig
from .ranges import Frames

PUSH_DOWN = "Push the Action down in the NLA editor first, or clear its strips."


@dataclass(frozen=True)
class Destination:
    in_strips: bool  # strips on a new NLA track that show nothing outside the gaps
    warnings: tuple[str, ...] = ()


def destination_of(armature: Object, rig: Rig, whole: Frames) -> Destination:
    """Raises UserError where no place keeps the rest as it is shown."""
    data = armature.animation_data
    if data is None:
        return Destination(in_strips=False)
    if data.use_tweak_mode:
        raise UserError(
            f"A strip of '{armature.name}' is being tweaked in the NLA editor. Leave tweak mode "
            "(Tab) first."
        )
    channels = bound_channels(armature)
    driven = _driven_curves(channels, rig)
    _refuse_locked(driven, channels)
    if not _has_strips(data, whole):
        return Destination(in_strips=False)
    if not driven:
        return Destination(in_strips=True)
    if data.action_blend_type != "REPLACE" or data.action_influence < 1.0:
        raise UserError(
            f"The Action of '{armature.name}' is mixed with its NLA strips: kept frames could not "
            f"stay as they are. {PUSH_DOWN}"
        )
    keyed = {curve.data_path.split('"')[1] for curve in driven}
    lacking = [bone for bone in rig.target.bones if bone not in keyed and bone != _root(rig)]
    if lacking:
        raise UserError(
            f"Some bones are moved by the Action, others, as '{lacking[0]}', by NLA strips. "
            + PUSH_DOWN
        )
    return Destination(in_strips=False)


def _root(rig: Rig) -> str:
    return rig.target.bones[rig.target.root] if rig.target.root >= 0 else ""


def _driven_curves(channels: object, rig: Rig) -> list:
    if channels is None:
        return []
    starts = tuple(f'pose.bones["{name}"].' for name in rig.target.bones if name != _root(rig))
    return [curve for curve in channels.fcurves if curve.data_path.startswith(starts)]


def _refuse_locked(curves: list, channels: object) -> None:
    for curve in curves:
        if curve.lock or (curve.group is not None and curve.group.lock):
            bone = curve.data_path.split('"')[1]
            raise UserError(
                f"The F-curves of '{bone}' are locked. Unlock them in the Graph editor or the Dope "
                "Sheet, then try again."
            )


def _has_strips(data: AnimData, whole: Frames) -> bool:
    return any(
        not track.mute
        and any(not strip.mute and strip.frame_start <= whole.last for strip in track.strips)
        for track in data.nla_tracks
    )

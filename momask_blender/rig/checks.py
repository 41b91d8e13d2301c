"""What must be so before anything is changed, in words that say what to do."""

from collections.abc import Iterable, Iterator, Sequence

import numpy as np
from bpy.types import Constraint, Object
from numpy.typing import NDArray

from ..animation.actions import bound_channels
from ..errors import UserError
from ..retarget.roles import spoken
from ..retarget.target import Target
from .wiring import Wiring

Array = NDArray[np.floating]

EVEN = 0.01  # share by which scale may differ between the axes
SHORT = 1e-3  # of the rig's height: a limb below it has no direction
SEGMENTS = tuple(
    (f"{side}_{part}", f"{side}_{next_part}")
    for side in "lr"
    for part, next_part in (
        ("thigh", "shin"),
        ("shin", "foot"),
        ("upperarm", "forearm"),
        ("forearm", "hand"),
    )
)


def check_armature(armature: Object | None) -> None:
    """Whether poses can be keyed on it and mean what they say. Raises UserError."""
    if armature is None or armature.type != "ARMATURE":
        raise UserError(
            "Select the armature of a character first."
            if armature is None
            else f"'{armature.name}' is no armature. Select the armature of a character.",
            fix="momask.use_new_character",
        )
    if armature.library is not None:
        raise UserError(
            f"'{armature.name}' is linked from another file. Make a library override of it first: "
            "Object > Library Override > Make."
        )
    if armature.data.is_editmode:
        raise UserError(f"The bones of '{armature.name}' are being edited. Leave Edit Mode first.")
    if len(armature.data.bones) == 0:
        raise UserError(f"'{armature.name}' has no bones.", fix="momask.use_new_character")
    _check_scale(armature)


def _check_scale(armature: Object) -> None:
    axes = np.array(armature.matrix_world)[:3, :3]
    sizes = np.linalg.norm(axes, axis=0)
    how = "Apply it first: Object > Apply > Scale, on the armature and its meshes."
    if sizes.min() < 1e-9:
        raise UserError(f"'{armature.name}' has the scale 0. Give it a size first.")
    if np.linalg.det(axes) < 0.0:
        raise UserError(f"'{armature.name}' has a negative scale: it is mirrored. {how}")
    spread = sizes.max() / sizes.min()
    slant = np.abs((axes / sizes).T @ (axes / sizes) - np.eye(3)).max()
    if spread > 1.0 + EVEN or slant > EVEN:
        words = ", ".join(f"{size:.3g}" for size in sizes)
        raise UserError(f"'{armature.name}' has an uneven scale ({words}). {how}")


def check_steady_scale(armature: Object, worlds: Array, frames: Sequence[float]) -> None:
    """Whether the object has its present size at all frames, by its matrices (T, 4, 4). Raises
    UserError."""
    now = np.linalg.norm(np.array(armature.matrix_world)[:3, :3], axis=0)
    sizes = np.linalg.norm(worlds[:, :3, :3], axis=1)
    off = np.abs(sizes / now - 1.0).max(axis=1)
    if off.max() > EVEN:
        frame = int(np.argmax(off > EVEN))
        raise UserError(
            f"The scale of '{armature.name}' changes: {now.mean():.3g} now, "
            f"{sizes[frame].mean():.3g} at frame {frames[frame]:.0f}. Delete the scale keys of the "
            "armature object, or of what carries it, first."
        )


def check_lengths(target: Target) -> None:
    """Whether every limb has a direction: its next bone begins elsewhere. Raises UserError."""
    size = np.ptp(target.heads, axis=0).max()
    for role, next_role in SEGMENTS:
        if role not in target.roles or next_role not in target.roles:
            continue
        bone, next_bone = target.roles[role], target.roles[next_role]
        if np.linalg.norm(target.heads[next_bone] - target.heads[bone]) < SHORT * size:
            name, other = target.bones[bone], target.bones[next_bone]
            raise UserError(
                f"'{name}' ({spoken(role)}) has no length: '{other}' begins where it begins. "
                "Choose another bone for one of them."
            )


def notes_on(armature: Object) -> list[str]:
    """What does not stand in the way but would surprise."""
    if armature.data.pose_position == "REST":
        return [
            f"'{armature.name}' is shown in Rest Position: set it to Pose Position, in the "
            "armature's properties, to see the motion."
        ]
    return []


def notes_on_travel(armature: Object) -> list[str]:
    """Of an object that travels itself, what a new motion on its bones does not know."""
    notes = []
    movers = [f"the constraint '{c.name}'" for c in _working(armature)]
    movers += [f"'{ob.name}'" for ob in _parents(armature) if _is_animated(ob)]
    if movers:
        notes.append(
            f"'{armature.name}' as a whole is moved by {', '.join(movers)}: that adds to the "
            "motion. Set Travel to In Place if the motion is not to add its own."
        )
    channels = bound_channels(armature)
    paths = {curve.data_path for curve in channels.fcurves} if channels else set()
    if any(path.startswith(("location", "rotation", "delta_")) for path in paths):
        notes.append(
            f"The Action that moved '{armature.name}' as a whole does not play now: the object "
            "stays where it stood at this frame."
        )
    return notes


def _working(ob: Object) -> list[Constraint]:
    return [each for each in ob.constraints if not each.mute and each.influence > 0.0]


def _parents(ob: Object) -> Iterator[Object]:
    while (ob := ob.parent) is not None:
        yield ob


def _is_animated(ob: Object) -> bool:
    data = ob.animation_data
    has_keys = data is not None and bool(data.action or data.drivers or len(data.nla_tracks))
    return has_keys or bool(_working(ob))


def note_on_ridden(armature: Object) -> str:
    """Where feet stand on what carries the object, so that it was taken for the floor."""
    return (
        f"The feet of '{armature.name}' stand on what moves its object, not on the scene's floor: "
        "the motion goes on upon that."
    )


def notes_on_held(armature: Object, keyed: Iterable[str]) -> list[str]:
    """Bones that are keyed though constraints or drivers have the last word on them."""
    wiring = Wiring(armature)
    if wiring.is_bare:
        return []
    keyed = list(keyed)
    constrained = [
        f"'{bone}' ({', '.join(constraint.name for constraint in active)})"
        for bone in keyed
        if (active := wiring.active_constraints(bone))
    ]
    driven = [f"'{bone}'" for bone in keyed if bone in wiring.with_drivers]
    notes = []
    if constrained:
        notes.append(
            f"Keyed, but constraints may change what is seen: {', '.join(constrained)}. Mute them "
            "or set their influence to 0 if the motion looks wrong."
        )
    if driven:
        notes.append(
            f"Keyed, but drivers win over the keys: {', '.join(driven)}. Remove or mute the "
            "drivers to see the motion there."
        )
    return notes

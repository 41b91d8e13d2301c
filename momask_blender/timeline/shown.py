"""What a rig shows around its gaps, as the motion of what would be keyed."""

from collections.abc import Generator, Sequence
from dataclasses import replace

from bpy.types import Object

from ..contract import rotation
from ..fitting import Rig
from ..refs import Ref
from ..retarget.target import BoneMotion
from ..rig.sample import sample_motion

LIMBS = ("thigh", "shin", "foot", "toe", "upperarm", "forearm", "hand")


def shown_motion(
    armature: Object, rig: Rig, frames: Sequence[float]
) -> Generator[None, None, tuple[BoneMotion, BoneMotion]]:
    """-> (what the mesh follows, how the keyed bones would show the same). In short steps.

    Limbs of a control rig may be in IK, where their FK controls stand elsewhere: these are turned
    as the bones that follow them in FK.
    """
    held = Ref.of(armature)
    plain = yield from sample_motion(held.resolve(), rig.plain, frames)
    if rig.controls is None:
        return plain, plain
    keyed = yield from sample_motion(held.resolve(), rig.target, frames)
    turns = keyed.turns.copy()
    for role, control in rig.target.roles.items():
        if role.endswith(LIMBS):
            turns[:, control] = plain.turns[:, rig.plain.roles[role]]
    return plain, replace(keyed, turns=rotation.continuous(turns))

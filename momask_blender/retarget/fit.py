"""How a motion is fitted to a rig: the animator's choices. No bpy."""

from dataclasses import dataclass

FEET = ("OFF", "ON", "STRICT")
TRAVEL = ("WORLD", "IN_PLACE", "ROOT_BONE")
STARTS = ("PRESENT", "CURSOR")


@dataclass(frozen=True, kw_only=True)
class Fit:
    """Checked by whoever reads it from the panel or the command line."""

    feet: str = "ON"  # planted feet: not at all, as the motion shows, also where it is unsure
    travel: str = "WORLD"  # who carries the travel: the hips, nobody, the root bone
    start: str = "PRESENT"  # where the character stands now, or the 3D cursor
    ground: float = 0.0  # metres that the floor lies above the rig's own
    reduce_keys: bool = False  # fewer keys above the hips
    reduce_legs: bool = False  # and on hips and legs, which costs planted feet
    relaxed_hands: bool = False  # fingers that have no keys bend a little
    ik_feet: bool = False  # on control rigs: key the IK feet instead of the FK legs

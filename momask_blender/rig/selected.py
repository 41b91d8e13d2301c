"""Which armature the animator means."""

from bpy.types import Object


def armature_of(ob: Object | None) -> Object | None:
    """The object itself, the armature that bends it, or the one that carries it."""
    if ob is None or ob.type == "ARMATURE":
        return ob
    benders = [m.object for m in ob.modifiers if m.type == "ARMATURE" and m.object is not None]
    return benders[0] if benders else armature_of(ob.parent)

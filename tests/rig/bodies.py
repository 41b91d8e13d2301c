"""Bodies in arrays: a human's rest pose under any names, and what mapping makes of them."""

from collections.abc import Callable

import numpy as np

from momask_blender.contract.skeleton import PARENTS, REST_JOINTS
from momask_blender.retarget.border import to_blender
from momask_blender.retarget.roles import JOINT_OF, ROLES
from momask_blender.rig.rest_bones import RestBones

HEADS = dict(zip(ROLES, to_blender(REST_JOINTS), strict=True))
UP = {role: ROLES[parent] for role, parent in zip(ROLES, PARENTS, strict=True) if parent >= 0}


class Body:
    """Bones added one by one, parents first."""

    def __init__(self) -> None:
        self.names: list[str] = []
        self.parents: list[int] = []
        self.heads: list[np.ndarray] = []

    def add(self, name: str, parent: str, head: object) -> "Body":
        self.parents.append(self.names.index(parent) if parent else -1)
        self.names.append(name)
        self.heads.append(np.asarray(head, float))
        return self

    def add_human(
        self,
        bones: dict[str, str],
        above: str = "",
        place: object = (0.0, 0.0, 0.0),
        rename: Callable[[str], str] = str,
    ) -> "Body":
        """The bones of some roles in our rest pose; what lacks is left out of the chain."""
        for role in sorted(bones, key=JOINT_OF.__getitem__):
            parent = UP.get(role)
            while parent and parent not in bones:
                parent = UP.get(parent)
            name = rename(bones[parent]) if parent else above
            self.add(rename(bones[role]), name, HEADS[role] + np.asarray(place))
        return self

    def rest(self) -> RestBones:
        heads = np.array(self.heads).reshape(-1, 3)
        return RestBones(
            names=tuple(self.names),
            parents=tuple(self.parents),
            heads=heads,
            tails=heads + (0.0, 0.0, 0.1),
            rotations=np.tile((1.0, 0.0, 0.0, 0.0), (len(heads), 1)),
            deforms=(True,) * len(heads),
        )


def human(bones: dict[str, str], rename: Callable[[str], str] = str) -> RestBones:
    return Body().add_human(bones, rename=rename).rest()

"""Fingers bend towards the palm, on any hand."""

from itertools import pairwise

import numpy as np
import pytest

from momask_blender.contract import rotation
from momask_blender.retarget.target import Target
from momask_blender.rig.hands import relaxed_fingers
from momask_blender.rig.rest_bones import RestBones

FINGERS = {"index": -0.02, "middle": 0.0, "pinky": 0.02}  # along Y; the thumb is in front: -Y


def hand(side: float, turn: np.ndarray, thumb: str = "thumb", palm_bones: bool = False):
    """A left (1) or right (-1) hand of a T-pose, turned about the wrist. -> rest, target."""
    names, parents, heads, tails = ["hand"], [-1], [np.zeros(3)], [np.array([side * 0.08, 0, 0])]

    def add_chain(name: str, points: list) -> None:
        parent = 0
        for number, (head, tail) in enumerate(pairwise(points)):
            names.append(f"{name}{number}")
            parents.append(parent)
            heads.append(np.array(head) * (side, 1.0, 1.0))
            tails.append(np.array(tail) * (side, 1.0, 1.0))
            parent = len(names) - 1

    for name, y in FINGERS.items():
        first = [(0.02, y, 0.0)] if palm_bones else []
        add_chain(name, [*first, (0.09, y, 0), (0.12, y, 0), (0.145, y, 0), (0.165, y, 0)])
    add_chain(thumb, [(0.02, -0.03, 0), (0.045, -0.055, 0), (0.07, -0.07, 0), (0.09, -0.08, 0)])
    rng = np.random.default_rng(3)
    rest = RestBones(
        names=tuple(names),
        parents=tuple(parents),
        heads=rotation.rotate(turn, np.array(heads)),
        tails=rotation.rotate(turn, np.array(tails)),
        rotations=rotation.normalized(rng.normal(size=(len(names), 4))),
        deforms=(True,) * len(names),
    )
    role = "l_hand" if side > 0 else "r_hand"
    target = Target(
        bones=("hand",),
        parents=(-1,),
        heads=rest.heads[:1],
        axes=rest.rotations[:1],
        roles={role: 0},
        spine=(),
        necks=(),
        carrier=0,
        to_rig=rotation.IDENTITY,
    )
    return rest, target


def tips(rest: RestBones, bent: dict) -> dict[str, np.ndarray]:
    """Where the ends of all bones are when these are bent."""
    turns, places, found = {}, {}, {}
    for bone, parent in enumerate(rest.parents):
        own = bent.get(rest.names[bone], rotation.IDENTITY)
        axes = rest.rotations[bone]
        turn = rotation.multiply(axes, rotation.multiply(own, rotation.inverse(axes)))
        carried = turns.get(parent, rotation.IDENTITY)
        start = places.get(parent, np.zeros(3))
        offset = rest.heads[bone] - (rest.heads[parent] if parent >= 0 else 0.0)
        places[bone] = start + rotation.rotate(carried, offset)
        turns[bone] = rotation.multiply(carried, turn)
        along = rest.tails[bone] - rest.heads[bone]
        found[rest.names[bone]] = places[bone] + rotation.rotate(turns[bone], along)
    return found


@pytest.mark.parametrize("side", [1.0, -1.0])
@pytest.mark.parametrize("thumb", ["thumb", "finger5_"])
@pytest.mark.parametrize(
    "turn",
    [
        rotation.IDENTITY,
        rotation.about_axis((0.0, 1.0, 0.0), np.array(0.8)),
        rotation.about_axis((1.0, 0.0, 0.0), np.array(-1.5)),
        rotation.normalized(np.array([0.3, 0.5, -0.2, 0.7])),
    ],
    ids=["T-pose", "arm aside", "palms turned", "any"],
)
def test_every_finger_bends_towards_the_palm(side, thumb, turn):
    rest, target = hand(side, turn, thumb)
    bent = relaxed_fingers(rest, target)
    assert len(bent) == 12
    palm = rotation.rotate(turn, np.array([0.0, 0.0, -1.0]))
    ends = tips(rest, bent)
    before = dict(zip(rest.names, rest.tails, strict=True))
    for name in ("index2", "middle2", "pinky2"):
        assert 0.02 < np.dot(ends[name] - before[name], palm) < 0.06
        aside = np.linalg.norm(np.cross(ends[name] - before[name], palm))
        assert aside < 0.03, "it bends, it does not spread"
    assert np.dot(ends[f"{thumb}2"] - before[f"{thumb}2"], palm) > 0.003


def test_bones_of_the_palm_stay():
    rest, target = hand(1.0, rotation.IDENTITY, palm_bones=True)
    bent = relaxed_fingers(rest, target)
    assert not {"index0", "middle0", "pinky0"} & set(bent)
    assert {"index1", "index2", "index3", "thumb0"} <= set(bent)


def test_a_hand_without_fingers_has_nothing_to_bend():
    rest, target = hand(1.0, rotation.IDENTITY)
    alone = RestBones(
        names=("hand",),
        parents=(-1,),
        heads=rest.heads[:1],
        tails=rest.tails[:1],
        rotations=rest.rotations[:1],
        deforms=(True,),
    )
    assert relaxed_fingers(alone, target) == {}

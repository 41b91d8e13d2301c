"""Skeletons at rest in any pose, with any number of spine bones and any axes; and a motion."""

import numpy as np

from momask_blender.contract import rotation
from momask_blender.contract.pose import Pose, solve_pose
from momask_blender.contract.skeleton import FPS, JOINTS, PARENTS, REST_JOINTS, REST_OFFSETS
from momask_blender.retarget.border import pose_to_blender, to_blender
from momask_blender.retarget.roles import JOINT_OF, ROLES
from momask_blender.rig.joint_map import JointMap
from momask_blender.rig.rest_bones import RestBones

OFFSETS = to_blender(REST_OFFSETS)
HALF = np.sqrt(0.5)
TURNED = {
    "as ours": rotation.IDENTITY,
    "facing +X": np.array([HALF, 0.0, 0.0, HALF]),
    "facing +Y": np.array([0.0, 0.0, 0.0, 1.0]),
    "Y up": np.array([HALF, -HALF, 0.0, 0.0]),
    "askew": rotation.normalized(np.array([0.8, 0.0, 0.0, 0.6])),
}


def skeleton(
    turned: str = "as ours",
    *,
    arms_down: float = 0.0,
    elbows_bent: float = 0.0,
    spine: int = 3,
    size: float = 1.0,
    root: bool = False,
    seed: int = 0,
) -> tuple[RestBones, JointMap]:
    """Our proportions, random axes of bones; radians. `root`: with a bone on the floor."""
    heads, names, parents = to_blender(REST_JOINTS), list(JOINTS), list(PARENTS)
    for side, sign in (("l", 1.0), ("r", -1.0)):
        down = rotation.about_axis((0.0, 1.0, 0.0), np.array(sign * arms_down))
        bend = rotation.about_axis((0.0, 0.0, 1.0), np.array(-sign * elbows_bent))
        shoulder, elbow, hand = (
            JOINT_OF[f"{side}_{part}"] for part in ("upperarm", "forearm", "hand")
        )
        heads[elbow] = heads[shoulder] + rotation.rotate(down, OFFSETS[elbow])
        lower = rotation.rotate(rotation.multiply(down, bend), OFFSETS[hand])
        heads[hand] = heads[elbow] + lower
    heads *= size
    roles = dict(zip(ROLES, JOINTS, strict=True))
    heads, names, parents, roles = _with_spine(heads, names, parents, roles, spine)
    if root:
        heads = np.concatenate([np.zeros((1, 3)), heads])
        names, parents = ["root", *names], [-1, *(parent + 1 for parent in parents)]
    heads = rotation.rotate(TURNED[turned], heads)
    axes = rotation.normalized(np.random.default_rng(seed).normal(size=(len(names), 4)))
    rest = RestBones(tuple(names), tuple(parents), heads, heads + 0.05, axes, (True,) * len(names))
    return rest, JointMap(roles)


def _with_spine(heads, names, parents, roles, count):
    """`count` bones, evenly from the lowest joint of the spine to the neck, in place of three."""
    if count == 3:
        return heads, names, parents, roles
    low, neck = JOINT_OF["spine1"], JOINT_OF["neck"]
    places = [heads[low] + (heads[neck] - heads[low]) * k / count for k in range(count)]
    spine = [f"back {number}" for number in range(count)]
    taken = {"spine1": 0, "spine2": (count - 1) // 2, "spine3": count - 1}
    if count < 3:
        del taken["spine2"]
    if count < 2:
        del taken["spine3"]
    roles = {
        role: bone for role, bone in roles.items() if role not in ("spine1", "spine2", "spine3")
    }
    roles |= {role: spine[number] for role, number in taken.items()}
    old = [names.index(name) for name in ("spine1", "spine2", "spine3")]
    kept = [row for row in range(len(names)) if row not in old]
    order = [0, *(("new", number) for number in range(count)), *kept[1:]]
    position = {row: place for place, row in enumerate(order)}

    def parent_of(row):
        if isinstance(row, tuple):
            return 0 if row[1] == 0 else position[("new", row[1] - 1)]
        above = parents[row]
        return position[("new", count - 1)] if above in old else position.get(above, -1)

    return (
        np.array([places[row[1]] if isinstance(row, tuple) else heads[row] for row in order]),
        [spine[row[1]] if isinstance(row, tuple) else names[row] for row in order],
        [parent_of(row) for row in order],
        roles,
    )


def walking(seconds: float = 3.0, yaw: float = 0.0) -> Pose:
    """Made in code: travels, turns, swings bent arms and legs, bows. Blender axes, 20 fps."""
    time = np.arange(round(seconds * FPS)) / FPS
    joints = np.repeat(REST_JOINTS[None], len(time), axis=0)

    def swing(pivot: str, axis: tuple[float, float, float], angles: np.ndarray) -> None:
        start = JOINTS.index(pivot)
        below = [start]
        for joint, parent in enumerate(PARENTS):
            if parent in below:
                below.append(joint)
        turn = rotation.about_axis(axis, angles)[:, None]
        center = joints[:, start : start + 1]
        joints[:, below] = center + rotation.rotate(turn, joints[:, below] - center)

    for side, sign in (("left", 1.0), ("right", -1.0)):
        swing(f"{side}_elbow", (0.0, -sign, 0.0), 0.7 + 0.4 * np.sin(4.0 * time))
        swing(f"{side}_shoulder", (0.0, 0.0, 1.0), sign * (-1.1 + 0.2 * np.sin(2.0 * time)))
        swing(f"{side}_shoulder", (1.0, 0.0, 0.0), sign * 0.6 * np.sin(5.0 * time))
        swing(f"{side}_knee", (1.0, 0.0, 0.0), 0.5 - 0.4 * sign * np.sin(5.0 * time))
        swing(f"{side}_hip", (1.0, 0.0, 0.0), -0.25 - sign * 0.5 * np.sin(5.0 * time))
    swing("spine1", (1.0, 0.0, 0.0), 0.2 + 0.1 * np.sin(3.0 * time))
    swing("spine3", (0.0, 1.0, 0.0), 0.3 * np.sin(5.0 * time))
    swing("neck", (1.0, 0.0, 0.0), -0.2 * np.sin(3.0 * time))
    facing = rotation.about_axis((0.0, 1.0, 0.0), yaw + 0.7 * time)
    path = np.stack([0.3 * time**2, 0.03 * np.sin(10.0 * time), 1.1 * time], axis=-1)
    turned = rotation.about_axis((0.0, 1.0, 0.0), np.full(len(time), yaw))
    path = rotation.rotate(turned, path)
    return pose_to_blender(solve_pose(rotation.rotate(facing[:, None], joints) + path[:, None]))


def joints_of(pose: Pose) -> np.ndarray:
    """Joints of a pose in Blender axes. (T, 22, 3)."""
    joints = np.empty((len(pose.root), len(JOINTS), 3))
    for joint, parent in enumerate(PARENTS):
        joints[:, joint] = (
            pose.root
            if parent < 0
            else joints[:, parent] + rotation.rotate(pose.rotations[:, parent], OFFSETS[joint])
        )
    return joints

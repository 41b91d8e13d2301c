"""From joints to a BVH file as the published release does it, written by us, to compare with.

Its inverse kinematics turn one joint after the other until the children lie where they should, 100
rounds, with the whole skeleton's positions reckoned anew before each joint (reference, section
3.7). The release writes two files for each motion; what it does to feet before the second one is
left out.
"""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from momask_blender.contract import rotation
from momask_blender.contract.skeleton import FPS, JOINTS, PARENTS, REST_OFFSETS

Array = NDArray[np.floating]

ROUNDS = 100
CHILDREN = {
    joint: [child for child, parent in enumerate(PARENTS) if parent == joint]
    for joint in range(len(JOINTS))
}


def write_motion(joints: Array, file: Path) -> None:
    """joints (T, 22, 3) -> a BVH file."""
    write_bvh(joints[:, 0], solve(joints), file)


def solve(joints: Array, rounds: int = ROUNDS) -> Array:
    """Local rotations (T, 22, 4) that bring a skeleton of fixed lengths near joints (T, 22, 3)."""
    local = np.zeros((*joints.shape[:2], 4))
    local[..., 0] = 1.0
    for _ in range(rounds):
        for joint, children in CHILDREN.items():
            if children:
                _turn(local, joints, joint, children)
    return local


def _turn(local: Array, wanted: Array, joint: int, children: list[int]) -> None:
    """Turn one joint of local (T, 22, 4) so that its children lie towards where they should."""
    world, places = positions(local, wanted[:, 0])
    here = places[:, joint, None]
    now = rotation.normalized(places[:, children] - here)
    then = rotation.normalized(wanted[:, children] - here)
    angle = np.arccos(np.clip(np.sum(now * then, axis=-1), -1.0, 1.0))
    away = rotation.inverse(world[:, joint, None])
    axis = rotation.normalized(rotation.rotate(away, np.cross(now, then)))
    mean = (axis * angle[..., None]).mean(axis=1)
    local[:, joint] = rotation.multiply(local[:, joint], rotation.from_vector(mean))


def positions(local: Array, root: Array) -> tuple[Array, Array]:
    """World rotations (T, 22, 4) and positions (T, 22, 3) of local rotations."""
    world, places = local.copy(), np.empty((*local.shape[:2], 3))
    places[:, 0] = root
    for joint, parent in enumerate(PARENTS[1:], start=1):
        world[:, joint] = rotation.multiply(world[:, parent], local[:, joint])
        offset = rotation.rotate(world[:, parent], REST_OFFSETS[joint])
        places[:, joint] = places[:, parent] + offset
    return world, places


def write_bvh(root: Array, local: Array, file: Path) -> None:
    """root (T, 3), local rotations (T, 22, 4); turns about Z, Y and X in degrees."""
    w, x, y, z = np.moveaxis(local, -1, 0)
    about_z = np.arctan2(2 * (w * z + x * y), 1 - 2 * (y * y + z * z))
    about_y = np.arcsin(np.clip(2 * (w * y - z * x), -1.0, 1.0))
    about_x = np.arctan2(2 * (w * x + y * z), 1 - 2 * (x * x + y * y))
    turns = np.degrees(np.stack([about_z, about_y, about_x], axis=-1))
    rows = np.concatenate([root, turns[:, list(depth_first(0))].reshape(len(root), -1)], axis=1)
    lines = ["HIERARCHY", *_hierarchy(0, ""), "MOTION", f"Frames: {len(rows)}"]
    lines.append(f"Frame Time: {1.0 / FPS:f}")
    lines += [" ".join(f"{number:f}" for number in row) for row in rows]
    file.write_text("\n".join(lines) + "\n", encoding="utf-8")


def depth_first(joint: int):
    """Joints in the order of a BVH file."""
    yield joint
    for child in CHILDREN[joint]:
        yield from depth_first(child)


def _hierarchy(joint: int, indent: str) -> list[str]:
    offset = " ".join(f"{number:f}" for number in REST_OFFSETS[joint])
    places = "" if joint else "Xposition Yposition Zposition "
    channels = f"CHANNELS {3 if joint else 6} {places}Zrotation Yrotation Xrotation"
    lines = [f"{indent}{'JOINT' if joint else 'ROOT'} {JOINTS[joint]}", f"{indent}{{"]
    lines += [f"{indent}\tOFFSET {offset}", f"{indent}\t{channels}"]
    for child in CHILDREN[joint]:
        lines += _hierarchy(child, indent + "\t")
    if not CHILDREN[joint]:
        lines += [
            f"{indent}\tEnd Site",
            f"{indent}\t{{",
            f"{indent}\t\tOFFSET 0 0 0",
            f"{indent}\t}}",
        ]
    return [*lines, f"{indent}}}"]

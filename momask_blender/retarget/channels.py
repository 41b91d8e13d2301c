"""Turns of bones in body axes <-> what pose bones are keyed with. No bpy.

A pose bone turns away from its rest as its parent carries it, about its own axes, whatever its roll
and its rest pose are.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..contract import rotation
from .roles import ROLES
from .target import BoneMotion, Target, bone_heads

Array = NDArray[np.floating]

GIMBAL = 1e-7  # cosine of the middle angle below which the outer two angles are one

LEGS = ("hips", *(role for role in ROLES if role.endswith(("_thigh", "_shin", "_foot", "_toe"))))


@dataclass(frozen=True, eq=False)
class BoneKeys:
    """What one pose bone is keyed with, frame by frame."""

    bone: str
    rotations: Array | None  # (T, 4) from rest
    location: Array | None = None  # (T, 3) in the armature's units
    carries_feet: bool = False  # feet slide when it is a little off


def bone_keys(target: Target, motion: BoneMotion) -> list[BoneKeys]:
    """The keys of all driven bones, parents first."""
    basis = basis_rotations(target, motion.turns)
    locations = {target.carrier: carrier_location(target, motion)}
    if target.root >= 0 and motion.root is not None:
        locations[target.root] = root_location(target, motion)
    feet = _carriers_of_feet(target)
    return [
        BoneKeys(name, basis[:, bone], locations.get(bone), bone in feet)
        for bone, name in enumerate(target.bones)
    ]


def _carriers_of_feet(target: Target) -> set[int]:
    """Legs, hips and whatever those hang from."""
    found = {target.carrier, target.root} - {-1}
    waiting = [target.roles[role] for role in LEGS if role in target.roles]
    while waiting:
        bone = waiting.pop()
        if bone >= 0:
            found.add(bone)
            waiting.append(target.parents[bone])
    return found


def basis_rotations(target: Target, turns: Array) -> Array:
    """turns (T, B, 4) in body axes -> rotations of the pose bones from rest, (T, B, 4).

    C^-1 Q_parent^-1 Q C, with C the bone's own axes; no Q_parent where Inherit Rotation is off.
    """
    carried = np.stack([_carried_by(target, turns, bone) for bone in range(len(target.bones))], 1)
    turned = rotation.multiply(rotation.inverse(carried), turns)
    return rotation.continuous(_conjugated(rotation.inverse(target.axes), turned))


def turns_from_basis(target: Target, basis: Array) -> Array:
    """The inverse of `basis_rotations`. (T, B, 4) -> (T, B, 4)."""
    turned = _conjugated(target.axes, basis)
    turns = np.empty_like(turned)
    for bone in range(len(target.bones)):
        turns[:, bone] = rotation.multiply(_carried_by(target, turns, bone), turned[:, bone])
    return rotation.continuous(turns)


def carrier_location(target: Target, motion: BoneMotion) -> Array:
    """Location channel of the carrier, in the armature's units. (T, 3)."""
    return _location(target, motion, target.carrier, target.location_axes)


def root_location(target: Target, motion: BoneMotion) -> Array:
    """Location channel of the root bone, which takes the travel. (T, 3)."""
    return _location(target, motion, target.root, None)


def _location(target: Target, motion: BoneMotion, bone: int, along: Array | None) -> Array:
    """How far the head is from where its parent carries it, along axes that the parent turns."""
    heads = bone_heads(target, motion)
    parent = target.parents[bone]
    if parent < 0:
        turn, shift = target.anchor
        carried = rotation.rotate(turn, target.heads[bone]) + shift
    else:
        turn = motion.turns[:, parent]
        offset = target.heads[bone] - target.heads[parent]
        carried = heads[:, parent] + rotation.rotate(turn, offset)
    axes = rotation.multiply(turn, target.axes[bone] if along is None else along)
    return rotation.rotate(rotation.inverse(axes), heads[:, bone] - carried) / target.scale


def adjusted_rotations(
    target: Target, bone: int, before: BoneMotion, after: BoneMotion, basis: Array
) -> Array:
    """What a bone is keyed with (T, 4), `basis`, so that it turns as in `after` instead.

    Whatever else turns it, as bones do that are not driven, stays.
    """
    parent = target.parents[bone]
    turned = _conjugated(target.axes[bone], basis)
    carried = rotation.multiply(before.turns[:, bone], rotation.inverse(turned))
    if parent >= 0 and not (target.turns_with_parent and not target.turns_with_parent[bone]):
        change = rotation.multiply(
            after.turns[:, parent], rotation.inverse(before.turns[:, parent])
        )
        carried = rotation.multiply(change, carried)
    turned = rotation.multiply(rotation.inverse(carried), after.turns[:, bone])
    return rotation.continuous(_conjugated(rotation.inverse(target.axes[bone]), turned))


def adjusted_location(
    target: Target, before: BoneMotion, after: BoneMotion, basis: Array, location: Array
) -> Array:
    """Location channel (T, 3) of the carrier so that it is where `after` has it; its parents and
    its own rotation, `basis` (T, 4), stay as they are."""
    turned = _conjugated(target.axes[target.carrier], basis)
    carried = rotation.multiply(before.turns[:, target.carrier], rotation.inverse(turned))
    along = target.axes[target.carrier] if target.location_axes is None else target.location_axes
    axes = rotation.multiply(carried, along)
    moved = rotation.rotate(rotation.inverse(axes), after.location - before.location)
    return location + moved / target.scale


def _carried_by(target: Target, turns: Array, bone: int) -> Array:
    """The turn (T, 4) that a bone has from its parent before it turns itself."""
    parent = target.parents[bone]
    if target.turns_with_parent and not target.turns_with_parent[bone]:
        carried = rotation.IDENTITY
    else:
        carried = target.anchor[0] if parent < 0 else turns[:, parent]
    return np.broadcast_to(carried, turns[:, bone].shape)


def _conjugated(axes: Array, quats: Array) -> Array:
    return rotation.multiply(axes, rotation.multiply(quats, rotation.inverse(axes)))


def to_euler(quats: Array, order: str) -> Array:
    """quats (T, 4) -> angles (T, 3) about X, Y, Z without jumps between frames.

    `order` as Blender's rotation modes: 'XYZ' turns about X first, then about Y, then about Z.
    """
    first, middle, last = ("XYZ".index(axis) for axis in order)
    sign = 1.0 if (middle - first) % 3 == 1 else -1.0  # of the permutation
    matrices = rotation.to_matrix(quats)
    across = np.hypot(matrices[:, first, first], matrices[:, middle, first])
    b = sign * np.arctan2(-matrices[:, last, first], across)
    a = sign * np.arctan2(matrices[:, last, middle], matrices[:, last, last])
    a = _held(a, across > GIMBAL)
    unturned = _about(first, -a) @ _about(middle, -b)
    rest = matrices @ unturned  # what is left turns about the last axis only
    c = sign * np.arctan2(rest[:, middle, first], rest[:, first, first])
    angles = np.empty((len(quats), 3))
    angles[:, [first, middle, last]] = _without_jumps(np.stack([a, b, c], axis=-1))
    return angles


def from_euler(angles: Array, order: str) -> Array:
    """The inverse of `to_euler`. (T, 3) -> (T, 4)."""
    first, middle, last = (
        rotation.about_axis(np.eye(3)["XYZ".index(axis)], angles[:, "XYZ".index(axis)])
        for axis in order
    )
    return rotation.multiply(last, rotation.multiply(middle, first))


def to_axis_angle(quats: Array) -> Array:
    """quats (T, 4) -> angle and unit axis (T, 4) without jumps between frames."""
    vectors = quats[:, 1:]
    turned = np.linalg.norm(vectors, axis=-1) > GIMBAL
    axes = rotation.normalized(_held(vectors, turned))
    axes[~axes.any(axis=-1)] = (0.0, 1.0, 0.0)  # as Blender has it at rest
    axes = rotation.continuous(axes)
    angles = 2.0 * np.arctan2(np.sum(vectors * axes, axis=-1), quats[:, 0])
    return np.column_stack([np.unwrap(angles), axes])


def from_axis_angle(values: Array) -> Array:
    """The inverse of `to_axis_angle`. (T, 4) -> (T, 4)."""
    axes = rotation.normalized(values[:, 1:])
    half = 0.5 * values[:, :1]
    return np.concatenate([np.cos(half), np.sin(half) * axes], axis=-1)


def _held(values: Array, known: NDArray[np.bool_]) -> Array:
    """values (T, ...) where they are known, elsewhere the last known one, or else the first."""
    if not known.any():
        return np.zeros_like(values)
    at = np.maximum.accumulate(np.where(known, np.arange(len(known)), np.argmax(known)))
    return values[at]


def _about(axis: int, angles: Array) -> Array:
    return rotation.to_matrix(rotation.about_axis(np.eye(3)[axis], angles))


def _without_jumps(angles: Array) -> Array:
    """Angles (T, 3) in order of turning, each frame nearest to the one before it.

    a, b, c and a + pi, pi - b, c + pi are the same rotation. The step between two frames is as long
    when both change from one to the other, so changes add up and no loop over frames is needed.
    """
    other = angles * (1.0, -1.0, 1.0) + np.pi
    same_way = np.linalg.norm(_wrapped(angles[1:] - angles[:-1]), axis=-1)
    other_way = np.linalg.norm(_wrapped(other[1:] - angles[:-1]), axis=-1)
    starts_other = np.abs(_wrapped(other[0])).sum() < np.abs(angles[0]).sum() - 1e-9
    changes = np.cumsum(np.concatenate([[starts_other], other_way < same_way])) % 2 == 1
    return np.unwrap(_wrapped(np.where(changes[:, None], other, angles)), axis=0)


def _wrapped(angles: Array) -> Array:
    """Into -pi to pi."""
    return (angles + np.pi) % (2.0 * np.pi) - np.pi

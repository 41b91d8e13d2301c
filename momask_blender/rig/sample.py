"""Read what an armature shows at any frame: keys, strips, constraints and drivers together."""

from collections.abc import Generator, Iterable, Sequence
from dataclasses import dataclass

import bpy
import numpy as np
from bpy.types import Object, Scene
from numpy.typing import NDArray

from ..contract import rotation
from ..refs import Ref
from ..retarget.target import BoneMotion, Target

Array = NDArray[np.floating]

SCENE = "momask reading"
STEP = 3  # frames read between two yields: a large control rig takes 8 ms for one


@dataclass(frozen=True, eq=False)
class Sampled:
    """What an armature showed, frame by frame."""

    bones: tuple[str, ...]
    matrices: Array  # (T, B, 4, 4) pose matrices, in the armature's space
    worlds: Array  # (T, 4, 4) of the armature object

    def motion(self, target: Target, rows: Sequence[int] | slice = slice(None)) -> BoneMotion:
        """How the driven bones stood at some of these frames, inside the object, in body axes."""
        columns = [self.bones.index(name) for name in target.bones]
        return motion_of(self.matrices[rows][:, columns], target)


def sample_bones(
    armature: Object, bones: Iterable[str], frames: Sequence[float]
) -> Generator[None, None, Sampled]:
    """Bones and the object at frames of the scene, parts of frames included.

    The armature is looked at in a scene of its own: meshes are not computed, and the user's frame,
    pose and selection stay. Raises ReferenceError if it is deleted meanwhile.
    """
    rig, names = Ref.of(armature), tuple(dict.fromkeys(bones))
    matrices, worlds = np.empty((len(frames), len(names), 4, 4)), np.empty((len(frames), 4, 4))
    scene = _reading_scene(armature)
    try:
        for number, frame in enumerate(frames):
            if number % STEP == 0 and number:
                held = Ref.of(scene)
                yield
                scene = held.resolve()
            matrices[number], worlds[number] = _shown_at(scene, rig.resolve(), names, frame)
    finally:
        remove_leftovers()
    return Sampled(names, matrices, worlds)


def present_heads(armature: Object, target: Target) -> Array:
    """Heads of the driven bones as they stand now, in body axes. (B, 3) metres."""
    places = np.array([armature.pose.bones[name].head for name in target.bones])
    return rotation.rotate(rotation.inverse(target.to_rig), places * target.scale)


def motion_of(matrices: Array, target: Target) -> BoneMotion:
    """Pose matrices (T, B, 4, 4) in the armature's space -> turns away from rest."""
    to_body = rotation.inverse(target.to_rig)
    sizes = np.linalg.norm(matrices[..., :3, :3], axis=-2, keepdims=True)
    axes = rotation.from_matrix(matrices[..., :3, :3] / np.maximum(sizes, 1e-12))
    turns = rotation.multiply(rotation.multiply(to_body, axes), rotation.inverse(target.axes))
    heads = rotation.rotate(to_body, matrices[..., :3, 3] * target.scale)
    root = heads[:, target.root] if target.root >= 0 else None
    return BoneMotion(rotation.continuous(turns), heads[:, target.carrier], root)


def _reading_scene(armature: Object) -> Scene:
    remove_leftovers()
    scene = bpy.data.scenes.new(SCENE)
    scene.collection.objects.link(armature)
    return scene


def _shown_at(
    scene: Scene, armature: Object, names: tuple[str, ...], frame: float
) -> tuple[Array, Array]:
    whole = int(np.floor(frame))
    scene.frame_set(whole, subframe=float(frame - whole))
    shown = armature.evaluated_get(scene.view_layers[0].depsgraph)
    bones = shown.pose.bones
    return np.array([bones[name].matrix for name in names]), np.array(shown.matrix_world)


def remove_leftovers() -> None:
    """Also what an undo brought back, if it was made while an armature was read."""
    for scene in [scene for scene in bpy.data.scenes if scene.name.startswith(SCENE)]:
        bpy.data.scenes.remove(scene)

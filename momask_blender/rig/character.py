"""Build our own character: an armature of the 22-joint skeleton with a skinned mannequin."""

import bpy
import numpy as np
from bpy.types import Armature, Collection, Material, Mesh, Object

from ..contract.skeleton import INDEX, JOINTS, PARENTS, REST_JOINTS
from ..retarget.border import to_blender
from .mannequin import Shape, mannequin

COLORS = {"Mannequin body": (0.72, 0.53, 0.35, 1.0), "Mannequin joints": (0.07, 0.075, 0.09, 1.0)}

# Tails of bones without a child, as offsets in model axes; the rest point at their child.
_LEAF_TAILS = {
    "head": (0.0, 0.17, 0.0),
    "left_foot": (0.0, 0.0, 0.07),
    "right_foot": (0.0, 0.0, 0.07),
    "left_wrist": (0.17, 0.0, 0.0),
    "right_wrist": (-0.17, 0.0, 0.0),
}
_FIRST_CHILD = {"pelvis": "spine1", "spine3": "neck"}  # of bones with several


def build_character(name: str, collection: Collection) -> Object:
    """Armature object at the origin, facing -Y, feet on z = 0, with its mesh as a child."""
    armature = build_armature(name, collection)
    add_mannequin(armature, collection)
    return armature


def build_armature(name: str, collection: Collection) -> Object:
    """The bones alone. Whatever is being edited meanwhile stays as it is."""
    armature = bpy.data.objects.new(name, bpy.data.armatures.new(name))
    _add_bones(armature)
    for pose_bone in armature.pose.bones:
        pose_bone.rotation_mode = "QUATERNION"
    collection.objects.link(armature)
    return armature


def add_mannequin(armature: Object, collection: Collection) -> None:
    name = f"{armature.name} mesh"
    mesh = bpy.data.objects.new(name, _build_mesh(name, mannequin()))
    collection.objects.link(mesh)
    _skin(mesh, armature, mannequin().bones)


def _tail(name: str) -> np.ndarray:
    index = INDEX[name]
    if name in _LEAF_TAILS:
        return REST_JOINTS[index] + _LEAF_TAILS[name]
    child = _FIRST_CHILD.get(name) or JOINTS[PARENTS.index(index)]
    return REST_JOINTS[INDEX[child]]


def _add_bones(armature: Object) -> None:
    """Edit bones exist only in edit mode: in a scene of their own, the user's mode stays."""
    workshop = bpy.data.scenes.new("momask workshop")
    try:
        workshop.collection.objects.link(armature)
        view_layer = workshop.view_layers[0]
        view_layer.objects.active = armature
        active = {"object": armature, "active_object": armature, "selected_objects": [armature]}
        with bpy.context.temp_override(scene=workshop, view_layer=view_layer, **active):
            bpy.ops.object.mode_set(mode="EDIT")
            _add_edit_bones(armature.data)
            bpy.ops.object.mode_set(mode="OBJECT")
    finally:
        bpy.data.scenes.remove(workshop)


def _add_edit_bones(data: Armature) -> None:
    for index, name in enumerate(JOINTS):
        bone = data.edit_bones.new(name)
        bone.head = to_blender(REST_JOINTS[index])
        bone.tail = to_blender(_tail(name))
        if PARENTS[index] >= 0:
            bone.parent = data.edit_bones[JOINTS[PARENTS[index]]]
        pointing_forward = abs(bone.vector.normalized().y) > 0.7
        bone.align_roll((0.0, 0.0, 1.0) if pointing_forward else (0.0, -1.0, 0.0))


def _build_mesh(name: str, shape: Shape) -> Mesh:
    mesh = bpy.data.meshes.new(name)
    mesh.from_pydata(to_blender(shape.vertices).tolist(), [], shape.faces)
    for material in (_material(material, color) for material, color in COLORS.items()):
        mesh.materials.append(material)
    mesh.polygons.foreach_set("material_index", shape.materials)
    mesh.polygons.foreach_set("use_smooth", [True] * len(shape.faces))
    mesh.update()
    return mesh


def _material(name: str, color: tuple[float, float, float, float]) -> Material:
    material = bpy.data.materials.get(name) or bpy.data.materials.new(name)
    material.diffuse_color = color
    material.use_nodes = True
    shader = next(n for n in material.node_tree.nodes if n.type == "BSDF_PRINCIPLED")
    shader.inputs["Base Color"].default_value = color
    shader.inputs["Roughness"].default_value = 0.45
    return material


def _skin(mesh: Object, armature: Object, bones: list[str]) -> None:
    """One vertex group per bone with weight 1, and the modifier that uses them."""
    owners = np.array(bones)
    for name in JOINTS:
        rows = np.flatnonzero(owners == name).tolist()
        mesh.vertex_groups.new(name=name).add(rows, 1.0, "REPLACE")
    mesh.parent = armature
    mesh.modifiers.new("Armature", "ARMATURE").object = armature

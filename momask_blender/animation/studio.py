"""The look of our pictures: floor, light, figure, ink. Cycles on the CPU needs no graphics card."""

import math
from pathlib import Path

import bpy
from bpy.types import Material, Object, Scene
from mathutils import Euler, Matrix, Vector

from .staging import skinned_meshes

TILT, AZIMUTH = math.radians(78.0), math.radians(32.0)  # looking slightly down, from front left
PNG_END = b"IEND"  # the last chunk of every PNG

SQUARE = 0.5  # metres; the floor's pattern stays where it is, so travel shows

Color = tuple[float, float, float, float]
PAPER, INK = (0.93, 0.93, 0.92, 1.0), (0.05, 0.05, 0.06, 1.0)
FLOOR = ((0.55, 0.56, 0.57, 1.0), (0.44, 0.46, 0.48, 1.0))


def place_figures(studio: Scene, armature: Object) -> list[Object]:
    """Copies of the character's meshes as they are bent at the current frame."""
    graph = bpy.context.evaluated_depsgraph_get()
    figures = []
    for mesh in skinned_meshes(armature):
        evaluated = mesh.evaluated_get(graph)
        posed = bpy.data.meshes.new_from_object(evaluated, depsgraph=graph)
        figure = bpy.data.objects.new("figure", posed)
        figure.matrix_world = evaluated.matrix_world
        studio.collection.objects.link(figure)
        figures.append(figure)
    return figures


def shortened(caption: str, limit: int = 90) -> str:
    return caption if len(caption) <= limit else caption[: limit - 1].rstrip() + "…"


def flat_material(name: str, color: Color) -> Material:
    material = bpy.data.materials.new(f"contact sheet {name}")
    material.use_nodes = True
    shader = next(n for n in material.node_tree.nodes if n.type == "BSDF_PRINCIPLED")
    shader.inputs["Base Color"].default_value = color
    shader.inputs["Roughness"].default_value = 0.9
    return material


def floor_material(root: Vector) -> Material:
    """Squares that belong to the scene's floor, seen around `root`."""
    material = flat_material("floor", FLOOR[0])
    nodes, links = material.node_tree.nodes, material.node_tree.links
    place, shift, checker = (
        nodes.new(f"ShaderNode{kind}") for kind in ("TexCoord", "Mapping", "TexChecker")
    )
    shift.inputs["Location"].default_value = (root.x, root.y, SQUARE / 2)
    checker.inputs["Scale"].default_value = 1.0 / SQUARE
    for name, color in zip(("Color1", "Color2"), FLOOR, strict=True):
        checker.inputs[name].default_value = color
    links.new(place.outputs["Object"], shift.inputs["Vector"])
    links.new(shift.outputs["Vector"], checker.inputs["Vector"])
    shader = next(n for n in nodes if n.type == "BSDF_PRINCIPLED")
    links.new(checker.outputs["Color"], shader.inputs["Base Color"])
    return material


def light(studio: Scene, view: Matrix) -> None:
    """A soft key light from the upper left and a bright room."""
    sun = bpy.data.objects.new("sun", bpy.data.lights.new("sun", "SUN"))
    sun.data.energy, sun.data.angle = 2.6, math.radians(8.0)
    sun.matrix_world = (view @ Euler((-0.75, -0.55, 0.0)).to_matrix()).to_4x4()
    studio.collection.objects.link(sun)
    world = bpy.data.worlds.new("room")
    world.use_nodes = True
    background = next(n for n in world.node_tree.nodes if n.type == "BACKGROUND")
    background.inputs["Color"].default_value = PAPER
    background.inputs["Strength"].default_value = 0.75
    studio.world = world


def use_cycles(studio: Scene, samples: int) -> None:
    studio.render.engine = "CYCLES"
    studio.cycles.device = "CPU"
    studio.cycles.samples = samples
    studio.cycles.use_denoising = False
    studio.cycles.max_bounces = 2
    studio.view_settings.view_transform = "Standard"


def render_still(studio: Scene, file: Path) -> None:
    """Raises OSError when the picture is not whole."""
    studio.render.image_settings.file_format = "PNG"
    studio.render.filepath = str(file)
    bpy.ops.render.render(write_still=True, scene=studio.name)
    # Blender reports success on a full disk: the picture must have its end.
    if not file.exists() or PNG_END not in file.read_bytes()[-12:]:
        raise OSError("the picture is not complete; is the disk full?")

"""A contact sheet: the character at moments of its motion, rendered by Blender in one picture.

Copies of the evaluated mesh stand in a grid before an orthographic camera, in a scene of their own
that is removed afterwards. Cycles on the CPU: it needs neither a display nor a graphics card.
"""

from dataclasses import dataclass
from pathlib import Path

import bpy
import numpy as np
from bpy.types import Object, Scene
from mathutils import Euler, Matrix, Vector

from ..rig.known_maps import known_maps
from .studio import (
    AZIMUTH,
    INK,
    TILT,
    flat_material,
    floor_material,
    light,
    place_figures,
    render_still,
    shortened,
    use_cycles,
)
from .temporary import temporary_scene
from .whole_files import write_whole

COLUMNS, ROWS = 5, 2
TILE_WIDTH, LEAST_TILE_HEIGHT = 2.3, 2.55  # metres in the picture plane
PIXELS_PER_METRE = 150
CAPTION_HEIGHT = 0.42
SAMPLES = 24


@dataclass(frozen=True)
class Moment:
    """One tile: the pose at a frame, drawn where the character's root then is."""

    frame: int
    label: str
    root: Vector  # world
    top: float  # highest joint, metres


def render_contact_sheet(scene: Scene, armature: Object, caption: str, file: Path) -> None:
    """Write a PNG of what `armature` plays in `scene`'s frame range. Raises UserError."""
    moments = _moments(scene, armature)
    tile_height = max(LEAST_TILE_HEIGHT, 0.85 + max(moment.top for moment in moments))
    with temporary_scene("contact sheet") as studio:
        view = Euler((TILT, 0.0, AZIMUTH)).to_matrix()
        for tile, moment in enumerate(moments):
            corner = _tile_center(view, tile, tile_height)
            _place_figure(scene, studio, armature, moment, corner)
            _place_floor(studio, corner, moment.root)
            _place_text(studio, view, moment.label, corner, -0.32, 0.15)
        caption_place = _caption_place(view, tile_height)
        _place_text(studio, view, shortened(caption), caption_place, 0.0, 0.22)
        _place_camera(studio, view, tile_height)
        light(studio, view)
        write_whole(file, lambda part: _render(studio, part))


def _moments(scene: Scene, armature: Object) -> list[Moment]:
    """Evenly spread frames, the first and the last included."""
    hips = _hips(armature)
    count = min(COLUMNS * ROWS, scene.frame_end - scene.frame_start + 1)
    frames = np.rint(np.linspace(scene.frame_start, scene.frame_end, count)).astype(int)
    moments, travelled, last = [], 0.0, None
    rate = scene.render.fps / scene.render.fps_base
    for frame in range(scene.frame_start, scene.frame_end + 1):
        scene.frame_set(frame)
        world = armature.matrix_world
        root = world @ armature.pose.bones[hips].head
        flat = Vector((root.x, root.y))
        travelled += (flat - last).length if last is not None else 0.0
        last = flat
        if frame in frames:
            seconds = (frame - scene.frame_start) / rate
            top = max((world @ bone.head).z for bone in armature.pose.bones)
            moments.append(Moment(frame, f"{seconds:.2f} s   {travelled:.1f} m", root, top))
    return moments


def _hips(armature: Object) -> str:
    """The bone that travels; of a rig whose bones are not known the first."""
    joint_map = known_maps.look_up(armature).joint_map
    return joint_map.bones["hips"] if joint_map else armature.pose.bones[0].name


def _tile_center(view: Matrix, tile: int, tile_height: float) -> Vector:
    """World place of a tile's floor centre; tiles lie in the picture plane."""
    column, row = tile % COLUMNS, tile // COLUMNS
    right = (column - (COLUMNS - 1) / 2) * TILE_WIDTH
    up = ((ROWS - 1) / 2 - row) * tile_height - tile_height / 2 + 0.52
    return view @ Vector((right, up, 0.0))


def _caption_place(view: Matrix, tile_height: float) -> Vector:
    up = ROWS * tile_height / 2 + 0.1
    return view @ Vector((-(COLUMNS - 0.35) / 2 * TILE_WIDTH, up, 0.0))


def _place_figure(
    scene: Scene, studio: Scene, armature: Object, moment: Moment, corner: Vector
) -> None:
    """Copy the mesh as posed at the moment's frame; the root stands over the tile's centre."""
    scene.frame_set(moment.frame)
    flat = Vector((moment.root.x, moment.root.y, 0.0))
    for figure in place_figures(studio, armature):
        figure.matrix_world = Matrix.Translation(corner - flat) @ figure.matrix_world


def _place_floor(studio: Scene, corner: Vector, root: Vector) -> None:
    """The piece of floor under a figure: it catches the shadow and shows what touches it."""
    mesh = bpy.data.meshes.new("floor")
    turn = np.linspace(0.0, 2.0 * np.pi, 64, endpoint=False)
    rim = np.column_stack([0.95 * np.cos(turn), 0.95 * np.sin(turn), np.zeros(64)])
    mesh.from_pydata(rim.tolist(), [], [tuple(range(64))])
    mesh.materials.append(floor_material(root))
    floor = bpy.data.objects.new("floor", mesh)
    floor.location = corner
    studio.collection.objects.link(floor)


def _place_text(
    studio: Scene, view: Matrix, text: str, place: Vector, raised: float, size: float
) -> None:
    curve = bpy.data.curves.new("text", "FONT")
    curve.body, curve.size = text, size
    curve.align_x = "LEFT" if raised == 0.0 else "CENTER"
    curve.materials.append(flat_material("ink", INK))
    label = bpy.data.objects.new("text", curve)
    nearer = view @ Vector((0.0, raised, 3.0))
    label.matrix_world = Matrix.Translation(place + nearer) @ view.to_4x4()
    studio.collection.objects.link(label)


def _place_camera(studio: Scene, view: Matrix, tile_height: float) -> None:
    width, height = COLUMNS * TILE_WIDTH, ROWS * tile_height + CAPTION_HEIGHT
    camera = bpy.data.objects.new("camera", bpy.data.cameras.new("camera"))
    camera.data.type = "ORTHO"
    camera.data.ortho_scale = max(width, height)
    camera.data.clip_end = 200.0
    away = view @ Vector((0.0, CAPTION_HEIGHT / 2, 40.0))
    camera.matrix_world = Matrix.Translation(away) @ view.to_4x4()
    studio.collection.objects.link(camera)
    studio.camera = camera
    studio.render.resolution_x = round(width * PIXELS_PER_METRE)
    studio.render.resolution_y = round(height * PIXELS_PER_METRE)
    studio.render.resolution_percentage = 100


def _render(studio: Scene, file: Path) -> None:
    use_cycles(studio, SAMPLES)
    render_still(studio, file)

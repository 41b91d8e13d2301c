"""A film: the camera follows the character over a floor that stays where it is.

Frames are rendered one by one as pictures and put together by Blender's own FFmpeg.
"""

import math
from collections.abc import Callable
from pathlib import Path

import bpy
import numpy as np
from bpy.types import Object, Scene
from mathutils import Euler, Matrix, Vector
from numpy.typing import NDArray

from ..errors import UserError
from .studio import (
    AZIMUTH,
    INK,
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

Array = NDArray[np.floating]

FILM_FPS = 12  # "on twos", as drawn animation: rendering takes the time
WIDTH, HEIGHT = 480, 360  # pixels
SAMPLES = 4
TILT = math.radians(80.0)  # the horizon is low enough for a caption above it
LENS, SENSOR = 40.0, 36.0  # mm, along the width
SMOOTHING = 0.4  # seconds; how gently the camera follows
MARGIN = 1.35  # of the body's reach
NEAREST = 4.2  # metres
FLOOR_MARGIN = 14.0  # metres around the path


def render_film(
    scene: Scene,
    armature: Object,
    caption: str,
    file: Path,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> None:
    """Write an MP4 of what `armature` plays in `scene`'s frame range, as long as that lasts.

    `progress` hears how many frames are done, of how many. Raises UserError.
    """
    if not bpy.app.build_options.codec_ffmpeg:
        raise UserError("This Blender cannot write films. Ask for a .png contact sheet.")
    before = scene.frame_current, scene.frame_subframe
    moments = film_moments(scene)
    try:
        joints = np.stack([_joints(scene, armature, moment) for moment in moments])
        with temporary_scene("film") as studio:
            camera = _set_up(studio, joints, caption)
            follow = _follow(joints)
            clock = _clock(studio, camera)

            def write(part: Path) -> None:
                for index, moment in enumerate(moments):
                    clock.data.body = f"{index / FILM_FPS:.2f} s"
                    camera.location = follow[index]
                    _shoot(scene, studio, armature, moment, _picture(part, index))
                    progress(index + 1, len(moments))
                _encode(part, len(moments))

            write_whole(file, write)
    finally:
        scene.frame_set(before[0], subframe=before[1])


def film_moments(scene: Scene) -> Array:
    """Scene frames, with fractions, that the film shows. (F,)."""
    rate = scene.render.fps / scene.render.fps_base
    num_keys = scene.frame_end - scene.frame_start + 1
    count = max(1, round(num_keys / rate * FILM_FPS))
    moments = scene.frame_start + np.arange(count) * rate / FILM_FPS
    return np.minimum(moments, scene.frame_end)


def _go_to(scene: Scene, moment: float) -> None:
    scene.frame_set(math.floor(moment), subframe=moment % 1.0)


def _joints(scene: Scene, armature: Object, moment: float) -> Array:
    _go_to(scene, moment)
    world = armature.matrix_world
    return np.array([world @ bone.head for bone in armature.pose.bones])


def _smoothed(path: Array) -> Array:
    """A Gaussian over time; beyond its ends the path rests. (F, 2)."""
    reach = round(3 * SMOOTHING * FILM_FPS)
    weights = np.exp(-0.5 * (np.arange(-reach, reach + 1) / (SMOOTHING * FILM_FPS)) ** 2)
    padded = np.pad(path, ((reach, reach), (0, 0)), mode="edge")
    sums = [np.convolve(column, weights / weights.sum(), mode="valid") for column in padded.T]
    return np.stack(sums, axis=-1)


def _targets(joints: Array) -> Array:
    """What the camera looks at: where the body smoothly is, at half its height. (F, 3)."""
    flat = _smoothed(joints[:, :, :2].mean(axis=1))
    height = (joints[..., 2].max() + min(0.0, joints[..., 2].min())) / 2.0
    return np.column_stack([flat, np.full(len(flat), height)])


def _follow(joints: Array) -> Array:
    """Camera places (F, 3), at one distance from which the whole body is always seen."""
    view = np.array(_view())
    targets = _targets(joints)
    offsets = (joints - targets[:, None]) @ view  # right, up, towards the camera
    slope = LENS / (SENSOR / 2.0)
    needed = np.abs(offsets[..., 0]) * slope, np.abs(offsets[..., 1]) * slope * WIDTH / HEIGHT
    distance = max(float((MARGIN * side + offsets[..., 2]).max()) for side in needed)
    return targets + max(distance, NEAREST) * view[:, 2]


def _view() -> Matrix:
    return Euler((TILT, 0.0, AZIMUTH)).to_matrix()


def _set_up(studio: Scene, joints: Array, caption: str) -> Object:
    """Floor, light, camera and caption. -> the camera."""
    use_cycles(studio, SAMPLES)
    studio.render.use_persistent_data = True
    studio.render.resolution_x, studio.render.resolution_y = WIDTH, HEIGHT
    studio.render.resolution_percentage = 100
    light(studio, _view())
    _place_floor(studio, joints)
    camera = bpy.data.objects.new("camera", bpy.data.cameras.new("camera"))
    camera.data.lens, camera.data.sensor_width = LENS, SENSOR
    camera.rotation_euler = _view().to_euler()
    studio.collection.objects.link(camera)
    studio.camera = camera
    _place_text(studio, camera, shortened(caption, 60), 0.0455)
    return camera


def _clock(studio: Scene, camera: Object) -> Object:
    return _place_text(studio, camera, "", 0.0405)


def _place_text(studio: Scene, camera: Object, text: str, height: float) -> Object:
    """A line that stays in the picture; at the camera's own scale, 0.15 m in front of it."""
    curve = bpy.data.curves.new("text", "FONT")
    curve.body, curve.size = text, 0.005
    curve.materials.append(flat_material("ink", INK))
    line = bpy.data.objects.new("text", curve)
    line.parent = camera
    line.location = (-0.063, height, -0.15)
    line.visible_shadow = False
    studio.collection.objects.link(line)
    return line


def _place_floor(studio: Scene, joints: Array) -> None:
    low = joints[..., :2].min(axis=(0, 1)) - FLOOR_MARGIN
    high = joints[..., :2].max(axis=(0, 1)) + FLOOR_MARGIN
    corners = [(low[0], low[1]), (high[0], low[1]), (high[0], high[1]), (low[0], high[1])]
    mesh = bpy.data.meshes.new("floor")
    mesh.from_pydata([(x, y, 0.0) for x, y in corners], [], [(0, 1, 2, 3)])
    mesh.materials.append(floor_material(Vector()))
    studio.collection.objects.link(bpy.data.objects.new("floor", mesh))


def _shoot(scene: Scene, studio: Scene, armature: Object, moment: float, picture: Path) -> None:
    _go_to(scene, moment)
    figures = place_figures(studio, armature)
    render_still(studio, picture)
    for figure in figures:
        mesh = figure.data
        bpy.data.objects.remove(figure)
        bpy.data.meshes.remove(mesh)


def _picture(part: Path, index: int) -> Path:
    return part.parent / f"{index:05d}.png"


def _encode(part: Path, num_frames: int) -> None:
    """Put the pictures beside `part` into an H.264 film."""
    with temporary_scene("film cut") as cut:
        editor = cut.sequence_editor_create()
        strips = editor.strips if hasattr(editor, "strips") else editor.sequences
        strip = strips.new_image("film", str(_picture(part, 0)), 1, 1)
        for index in range(1, num_frames):
            strip.elements.append(_picture(part, index).name)
        cut.frame_start, cut.frame_end = 1, num_frames
        render = cut.render
        render.fps, render.fps_base = FILM_FPS, 1.0
        render.resolution_x, render.resolution_y = WIDTH, HEIGHT
        render.resolution_percentage = 100
        cut.view_settings.view_transform = "Standard"
        if hasattr(render.image_settings, "media_type"):  # since 5.0
            render.image_settings.media_type = "VIDEO"
        render.image_settings.file_format = "FFMPEG"
        render.ffmpeg.format, render.ffmpeg.codec = "MPEG4", "H264"
        render.ffmpeg.constant_rate_factor = "HIGH"
        render.ffmpeg.audio_codec = "NONE"
        render.use_file_extension = False
        render.filepath = str(part)
        bpy.ops.render.render(animation=True, scene=cut.name)
        # Blender reports success on a full disk: all frames must be there to be read.
        if not part.exists() or bpy.data.movieclips.load(str(part)).frame_duration != num_frames:
            raise OSError("the film is not complete; is the disk full?")

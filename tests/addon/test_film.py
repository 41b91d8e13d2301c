"""The film is one: it lasts as long as the motion, moves, and leaves nothing behind."""

import numpy as np
import pytest

from momask_blender.errors import UserError

pytestmark = pytest.mark.blender


@pytest.fixture
def small(monkeypatch, bpy):
    """Films of 96 x 72 pixels, one sample each."""
    from momask_blender.animation import film

    for name, value in {"WIDTH": 96, "HEIGHT": 72, "SAMPLES": 1}.items():
        monkeypatch.setattr(film, name, value)
    return film


def frames_of(bpy, file, chosen: list[int], tmp_path) -> np.ndarray:
    """Pixels (F, H, W, 3) of a film's frames, read by Blender's sequencer."""
    scene = bpy.context.window.scene = bpy.data.scenes.new("reader")
    editor = scene.sequence_editor_create()
    strips = editor.strips if hasattr(editor, "strips") else editor.sequences
    strips.new_movie("film", str(file), 1, 1)
    scene.render.resolution_x, scene.render.resolution_y = 96, 72
    scene.view_settings.view_transform = "Standard"
    scene.render.image_settings.file_format = "PNG"
    pictures = []
    for frame in chosen:
        scene.frame_set(frame)
        scene.render.filepath = str(tmp_path / f"read-{frame}.png")
        bpy.ops.render.render(write_still=True, scene=scene.name)
        image = bpy.data.images.load(scene.render.filepath)
        width, height = image.size
        pictures.append(np.array(image.pixels[:]).reshape(height, width, -1)[..., :3])
    return np.array(pictures)


def test_the_film_lasts_as_long_as_the_motion_and_moves(bpy, scene, character, tmp_path, small):
    heard = []
    file = tmp_path / "ein Film é.mp4"
    scene.frame_set(7)
    kinds = ("objects", "meshes", "materials", "scenes", "worlds", "curves", "images", "movieclips")
    before = {kind: len(getattr(bpy.data, kind)) for kind in kinds}
    small.render_film(scene, character, "someone waves", file, lambda *done: heard.append(done))
    assert {kind: len(getattr(bpy.data, kind)) for kind in kinds} == before
    assert scene.frame_current == 7
    assert list(tmp_path.iterdir()) == [file]
    assert b"avc1" in file.read_bytes(), "H.264"
    clip = bpy.data.movieclips.load(str(file))
    assert tuple(clip.size) == (96, 72)
    assert clip.fps == pytest.approx(12.0)
    assert clip.frame_duration == 24, "48 keys at 24 fps are two seconds"
    assert heard == [(done, 24) for done in range(1, 25)]
    pictures = frames_of(bpy, file, [1, 6, 12, 18, 24], tmp_path)
    assert 0.4 < pictures.mean() < 0.95, "neither black nor white"
    assert pictures.std() > 0.05
    assert np.abs(np.diff(pictures, axis=0)).mean(axis=(1, 2, 3)).min() > 0.005


@pytest.mark.parametrize(
    ("fps", "num_keys", "count"), [(24.0, 48, 24), (29.97, 60, 24), (1, 1, 12)]
)
def test_a_film_has_the_motions_duration(bpy, fps, num_keys, count):
    from momask_blender.animation.film import film_moments
    from momask_blender.generate import new_scene

    scene = new_scene(fps)
    scene.frame_start, scene.frame_end = 5, 5 + num_keys - 1
    moments = film_moments(scene)
    assert len(moments) == count
    assert moments[0] == 5
    assert moments[-1] <= scene.frame_end


def test_the_camera_keeps_the_body_in_the_picture_and_does_not_jerk(bpy, scene, character):
    from bpy_extras.object_utils import world_to_camera_view
    from mathutils import Vector

    from momask_blender.animation import film
    from momask_blender.animation.temporary import temporary_scene

    moments = film.film_moments(scene)
    joints = np.stack([film._joints(scene, character, moment) for moment in moments])
    places = film._follow(joints)
    steps = np.linalg.norm(np.diff(places, axis=0), axis=-1)
    assert steps.max() < 3.0 / film.FILM_FPS, "no faster than the body, 2.6 m/s at its end"
    assert np.abs(np.diff(steps)).max() < 0.03
    with temporary_scene("look") as studio:
        camera = film._set_up(studio, joints, "look")
        for place, body in zip(places, joints, strict=True):
            camera.location = place
            studio.view_layers[0].update()
            for joint in body:
                x, y, _ = world_to_camera_view(studio, camera, Vector(joint))
                assert 0.05 < x < 0.95
                assert 0.05 < y < 0.93, "below the caption"


@pytest.mark.parametrize("size", [(96, 72), (640, 480)], ids=["encoding", "rendering"])
def test_a_full_disk_leaves_the_old_film(scene, character, tmp_path, small, monkeypatch, size):
    """Small pictures fit and the film does not; large ones do not fit themselves."""
    resource = pytest.importorskip("resource", reason="no resource limits on this system")
    monkeypatch.setattr(small, "WIDTH", size[0])
    monkeypatch.setattr(small, "HEIGHT", size[1])
    file = tmp_path / "a.mp4"
    file.write_text("old")
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (24000, hard))
    try:
        with pytest.raises(UserError, match="Could not write"):
            small.render_film(scene, character, "a wave", file)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert file.read_text() == "old"
    assert list(tmp_path.iterdir()) == [file]

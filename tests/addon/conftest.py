"""Real Blender, when its module is installed, and a motion made in code."""

import time
from collections.abc import Iterator

import numpy as np
import pytest
from rigify_animals import animals_file  # noqa: F401 - made once for all tests
from rigify_human import add_rigify, rigify_file  # noqa: F401
from starter_motions import starter_pose  # noqa: F401

from momask_blender.contract import rotation
from momask_blender.contract.pose import Pose, solve_pose
from momask_blender.contract.skeleton import FPS, REST_JOINTS
from momask_blender.retarget.fit import Fit


@pytest.fixture(scope="session")
def bpy():
    return pytest.importorskip("bpy", reason="the bpy module is not installed")


@pytest.fixture(scope="session")
def motion() -> Pose:
    """Two seconds at 20 fps: the body travels along a curve, turns and waves its arms."""
    time = np.arange(2 * FPS) / FPS
    body = np.repeat(REST_JOINTS[None], len(time), axis=0)
    swing = 0.8 * np.sin(4.0 * time)
    for elbow, wrist, side in ((18, 20, 1.0), (19, 21, -1.0)):
        bend = rotation.about_axis((0.0, -side, 0.0), 0.9 + 0.5 * np.sin(5.0 * time))
        body[:, wrist] = body[:, elbow] + rotation.rotate(bend, body[:, wrist] - body[:, elbow])
    lift = rotation.about_axis((0.0, 0.0, 1.0), swing)
    for arm in ((18, 20, 16), (19, 21, 17)):
        *moved, pivot = arm
        for joint in moved:
            offset = body[:, joint] - body[:, pivot]
            body[:, joint] = body[:, pivot] + rotation.rotate(lift, offset)
    facing = rotation.about_axis((0.0, 1.0, 0.0), 1.5 * time)
    path = np.stack([0.3 * time**2, 0.05 * np.sin(6.0 * time), 1.2 * time], axis=-1)
    return solve_pose(rotation.rotate(facing[:, None], body) + path[:, None])


@pytest.fixture
def scene(bpy):
    from momask_blender.generate import new_scene

    return new_scene(None)


@pytest.fixture
def character(bpy, scene, motion):
    """Our character, playing `motion` at the scene's 24 fps."""
    from momask_blender.generate import count_keys, play
    from momask_blender.rig.character import build_character

    armature = build_character("Mannequin", scene.collection)
    num_keys = count_keys(scene, motion, None)
    play(scene, armature, motion, num_keys, "someone waves", fit=Fit(feet="OFF"))
    return armature


@pytest.fixture(scope="session")
def _registered(bpy) -> Iterator[None]:
    """Blender hangs at its end when classes stay registered."""
    import momask_blender

    momask_blender.register()
    yield
    momask_blender.unregister()


@pytest.fixture
def session(bpy, _registered):
    """The add-on's session with an empty file and nothing under way; its worker stays warm."""
    from momask_blender.session import session

    bpy.ops.wm.read_factory_settings(use_empty=True)
    bpy.context.scene.momask.own_settings = True
    yield session
    if session.is_busy:
        session.shut_down()
    session.forget_file()


def one_after_another(session, until=lambda: False) -> None:
    """Tick as a window's timer does, until all is quiet or something is so."""
    deadline = time.monotonic() + 120.0
    while session.is_busy and not until():
        assert time.monotonic() < deadline
        session.tick()
        time.sleep(0.005)


@pytest.fixture
def tick_on():
    return one_after_another

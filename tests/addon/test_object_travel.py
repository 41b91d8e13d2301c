"""Travel on the armature object: what one sees is filled and planted as if the hips carried it."""

import carried
import numpy as np
import pytest
import test_fill
from control_rigs import run_to_end
from test_fill import keys_of, same_outside

from momask_blender.contract import rotation
from momask_blender.contract.pose import Pose
from momask_blender.contract.skeleton import FPS
from momask_blender.errors import UserError
from momask_blender.retarget.border import pose_to_model
from momask_blender.retarget.fit import Fit
from momask_blender.timeline.ranges import Frames

pytestmark = pytest.mark.blender

WHOLE, GAP = Frames(1, 40), Frames(16, 27)
ALL = range(1, 41)
KEPT = [frame for frame in ALL if not GAP.first <= frame <= GAP.last]
LINKED = "linked"

WAYS = {
    "keys": carried.by_keys(),
    "keys that rise": carried.by_keys(height=0.1),
    "keys that lean": carried.by_keys(tilt=0.3),
    "parent": carried.by_parent,
    "copied place": carried.by_copied_place,
    "path": carried.by_path,
}


@pytest.fixture
def at_20_fps(monkeypatch):
    """Frames of the scene are frames of the model: no curve is read between its keys, where two
    of them add up to another look than one."""
    monkeypatch.setattr(test_fill, "FPS", float(FPS))
    monkeypatch.setattr(test_fill, "bent", bowing)


def bowing(filling) -> Pose:
    """What was read, going into its knees and bowing in the gap: whichever way it faces."""
    pose = pose_to_model(filling.shown.pose)
    (_, last), (first, _) = filling.kept_moments()
    rows = slice(last + 1, first)
    swell = np.sin(np.linspace(0.0, np.pi, first - last + 1))[1:-1] ** 2
    root, rotations = pose.root.copy(), pose.rotations.copy()
    root[rows, 1] -= 0.15 * swell
    nod = rotation.about_axis((1.0, 0.0, 0.0), 0.5 * swell)[:, None]
    rotations[rows, 12:] = rotation.multiply(rotations[rows, 12:], nod)
    return Pose(root, rotations)


@pytest.fixture
def motion(starter_pose):
    return starter_pose("a person walks forward", 2.0)


def performer(scene, motion, base=None):
    """Our character, walking for two seconds, travel on its hips."""
    from momask_blender.generate import count_keys, play
    from momask_blender.rig.character import build_character

    scene.render.fps = FPS
    armature = build_character("Performer", scene.collection)
    if base is not None:
        carried.rebased(armature, base)
    play(scene, armature, motion, count_keys(scene, motion, None), "waves", fit=Fit(feet="OFF"))
    return armature


def filled(bpy, scene, armature, feet="ON"):
    """-> what one sees before and after a fill; nothing but bones in the gap may change."""
    state, before = carried.object_state(armature), keys_of(armature)
    seen = carried.worlds_of(scene, armature, ALL)
    test_fill.fill(bpy, armature, [GAP], WHOLE, fit=Fit(feet=feet))
    assert carried.object_state(armature) == state
    same_outside(before, keys_of(armature), [GAP])
    now = carried.worlds_of(scene, armature, ALL)
    rows = [frame - 1 for frame in KEPT]
    np.testing.assert_allclose(now[rows], seen[rows], atol=1e-5)
    return seen, now


@pytest.mark.parametrize("feet", ["OFF", "ON"])
@pytest.mark.parametrize("base", [None, carried.LIKE_FBX], ids=["plain", "like FBX"])
@pytest.mark.parametrize("way", WAYS)
def test_the_fill_looks_as_with_the_travel_on_the_hips(
    bpy, scene, motion, at_20_fps, way, base, feet
):
    plain = performer(scene, motion, base)
    seen, wanted = filled(bpy, scene, plain, feet)
    other = performer(scene, motion, base)
    carried.carry(scene, other, "pelvis", ALL, WAYS[way])
    travels = np.ptp([np.array(_at(scene, other, frame)) for frame in (1, 40)], axis=0)
    assert travels[:3, 3].max() > 1.0
    theirs, now = filled(bpy, scene, other, feet)
    np.testing.assert_allclose(theirs[..., :3, 3], seen[..., :3, 3], atol=1e-4)
    assert np.abs(wanted - seen).max() > 0.05, "the fill is something else"
    apart = np.linalg.norm(now[..., :3, 3] - wanted[..., :3, 3], axis=-1)
    assert apart.max() < 1e-3, apart.max()


def _at(scene, ob, frame):
    scene.frame_set(frame)
    return ob.matrix_world.copy()

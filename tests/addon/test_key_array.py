"""F-curves are cut and joined without a change outside the gap, as Blender evaluates them."""

import numpy as np
import pytest

pytestmark = pytest.mark.blender

FRAMES = np.arange(-5, 66)


@pytest.fixture
def curve(bpy, scene):
    from momask_blender.animation.actions import bind_action

    ob = bpy.data.objects.new("Moved", None)
    scene.collection.objects.link(ob)
    channels = bind_action(ob, bpy.data.actions.new("Keys"))
    return channels.fcurves.new("location", index=0)


def keyed(curve, interpolation: str, handles: str, seed: int = 0) -> None:
    rng = np.random.default_rng(seed)
    for frame in (0.0, 7.5, 20.0, 33.0, 34.0, 48.0, 60.0):
        key = curve.keyframe_points.insert(frame, rng.normal())
        key.interpolation = interpolation
        key.handle_left_type = key.handle_right_type = handles
    curve.update()
    if handles == "FREE":
        for key in curve.keyframe_points:
            key.handle_left = key.co.x - abs(rng.normal()) * 9.0, rng.normal()
            key.handle_right = key.co.x + abs(rng.normal()) * 9.0, rng.normal()


def shown(curve) -> np.ndarray:
    return np.array([curve.evaluate(float(frame)) for frame in FRAMES])


@pytest.mark.parametrize("handles", ["FREE", "AUTO", "AUTO_CLAMPED", "VECTOR", "ALIGNED"])
@pytest.mark.parametrize("interpolation", ["BEZIER", "LINEAR", "CONSTANT", "SINE", "BOUNCE"])
@pytest.mark.parametrize("gap", [(10, 30), (21, 32), (1, 59), (8, 19), (40, 41)])
def test_outside_the_gap_nothing_changes(curve, interpolation, handles, gap):
    from momask_blender.animation.fcurves import read_keys, write_keys
    from momask_blender.animation.key_array import plain_keys, spliced

    keyed(curve, interpolation, handles)
    first, last = gap
    before, old = shown(curve), read_keys(curve)
    values = dict(zip(FRAMES.tolist(), before, strict=True))
    outside = ~np.isin(FRAMES, range(first, last + 1))
    left = np.array([values[frame] for frame in range(-5, first)])
    right = np.array([values[frame] for frame in range(last + 1, 66)])
    new = plain_keys(np.arange(first, last + 1), np.full(last - first + 1, 3.0))
    write_keys(curve, spliced(old, new, (first - 1, left), (last + 1, right)))
    np.testing.assert_allclose(shown(curve)[outside], before[outside], atol=2e-6)
    np.testing.assert_allclose(shown(curve)[~outside], 3.0)
    now = {key["co"][0]: key for key in read_keys(curve)}
    times = old["co"][:, 0]
    edges = (times[times <= first - 1].max(), times[times >= last + 1].min())
    for key in old:
        frame = key["co"][0]
        if first - 1 < frame < last + 1:
            continue
        if frame in edges:
            assert tuple(now[frame]["co"]) == tuple(key["co"])
            assert now[frame]["type"] == key["type"]
        else:
            assert now[frame] == key, "bit for bit"


def test_keys_come_back_as_they_were(curve):
    from momask_blender.animation.fcurves import read_keys, write_keys

    keyed(curve, "ELASTIC", "FREE")
    for key in curve.keyframe_points:
        key.easing, key.amplitude, key.period = "EASE_IN_OUT", 0.3, 7.0
        key.type = "BREAKDOWN"
        key.select_control_point = True
    keys = read_keys(curve)
    write_keys(curve, keys)
    assert (read_keys(curve) == keys).all()


def test_a_channel_without_keys_holds_its_value_around_the_gap(curve):
    from momask_blender.animation.fcurves import read_keys, write_keys
    from momask_blender.animation.key_array import plain_keys, spliced

    new = plain_keys(np.arange(10, 20), np.linspace(5.0, 6.0, 10))
    held = np.array([0.5])
    write_keys(curve, spliced(read_keys(curve), new, (9, held), (20, held)))
    assert [curve.evaluate(frame) for frame in (-5, 9, 20, 60)] == [0.5] * 4
    assert curve.evaluate(10) == 5.0

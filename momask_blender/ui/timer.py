"""Timers: they move session and fetches on and redraw what shows them when something changed."""

import contextlib

import bpy

from ..cuda_runtime import cuda_runtime
from ..errors import UserError
from ..inputs import weights_folder
from ..rig.known_maps import known_maps
from ..rig.selected import armature_of
from ..session import session
from ..steps import TICK
from ..weights import weights


def keep_ticking() -> None:
    """Nothing runs in background mode: operators carry their job to its end themselves."""
    if not bpy.app.background and not bpy.app.timers.is_registered(tick):
        bpy.app.timers.register(tick, first_interval=0.0, persistent=True)


def stop_ticking() -> None:
    for timer in (tick, _look_up, _tick_fetches, _look_for_weights, _look_for_cuda):
        if bpy.app.timers.is_registered(timer):
            bpy.app.timers.unregister(timer)


def tick() -> float | None:
    shown = _shown()
    try:
        return session.tick()
    finally:
        if _shown() != shown:
            redraw()


def look_up_soon() -> None:
    """Have the active armatures' bones looked at, for panels: drawing must not take its time."""
    if not bpy.app.timers.is_registered(_look_up):
        bpy.app.timers.register(_look_up, first_interval=0.0)


def _look_up() -> None:
    for window in bpy.context.window_manager.windows:
        armature = armature_of(window.view_layer.objects.active)
        if armature is not None:
            known_maps.look_up(armature)
    redraw()


def keep_fetching() -> None:
    """As `keep_ticking`, for the children that fetch weights and PyTorch."""
    redraw_preferences()
    if not bpy.app.background and not bpy.app.timers.is_registered(_tick_fetches):
        bpy.app.timers.register(_tick_fetches, first_interval=TICK, persistent=True)


def _tick_fetches() -> float | None:
    shown, were_busy = _shown_of_fetches(), weights.is_busy
    weights.poll()
    cuda_runtime.poll()
    if were_busy and not weights.is_busy:
        session.look_around()
    if _shown_of_fetches() != shown:
        redraw_preferences()
    return TICK if weights.is_busy or cuda_runtime.is_busy else None


def look_for_weights_soon() -> None:
    """Have the published models listed, for the preferences: drawing must not start a process."""
    is_due = not weights.is_busy and not bpy.app.background
    if is_due and not bpy.app.timers.is_registered(_look_for_weights):
        bpy.app.timers.register(_look_for_weights, first_interval=0.0)


def _look_for_weights() -> None:
    if weights.is_stale and not weights.is_busy:
        with contextlib.suppress(UserError):
            weights.look(weights_folder())
            keep_fetching()


def look_for_cuda_soon() -> None:
    """As `look_for_weights_soon`, for what motions run on."""
    is_due = not cuda_runtime.is_busy and not bpy.app.background
    if is_due and not bpy.app.timers.is_registered(_look_for_cuda):
        bpy.app.timers.register(_look_for_cuda, first_interval=0.0)


def _look_for_cuda() -> None:
    if cuda_runtime.is_stale and not cuda_runtime.is_busy:
        with contextlib.suppress(UserError):
            cuda_runtime.look()
            keep_fetching()


def _shown_of_fetches() -> tuple[object, ...]:
    fetches = (weights, cuda_runtime)
    return tuple((each.doing, each.phase, round(each.share, 2), each.notice) for each in fetches)


def redraw_preferences() -> None:
    manager = bpy.context.window_manager
    for window in manager.windows if manager else ():
        for area in window.screen.areas:
            if area.type == "PREFERENCES":
                area.tag_redraw()


def _shown() -> tuple[object, ...]:
    """What panels draw of the session; the bar moves in steps that one can see."""
    return (
        session.is_busy,
        session.phase,
        round(session.share, 1),
        session.error,
        session.notice,
        session.result,
        session.runs_on,
    )


def redraw() -> None:
    """The sidebars of all 3D Views. The views redraw by themselves when what they show changes."""
    manager = bpy.context.window_manager
    for window in manager.windows if manager else ():
        for area in window.screen.areas:
            if area.type == "VIEW_3D":
                for region in area.regions:
                    if region.type == "UI":
                        region.tag_redraw()

"""The one timer: moves the session on and redraws the panels when something changed."""

import bpy

from ..rig.known_maps import known_maps
from ..rig.selected import armature_of
from ..session import session


def keep_ticking() -> None:
    """Nothing runs in background mode: operators carry their job to its end themselves."""
    if not bpy.app.background and not bpy.app.timers.is_registered(tick):
        bpy.app.timers.register(tick, first_interval=0.0, persistent=True)


def stop_ticking() -> None:
    for timer in (tick, _look_up):
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

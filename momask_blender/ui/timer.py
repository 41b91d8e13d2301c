"""The one timer: moves the session on and redraws the panels when something changed."""

import bpy

from ..session import session


def keep_ticking() -> None:
    """Nothing runs in background mode: operators carry their job to its end themselves."""
    if not bpy.app.background and not bpy.app.timers.is_registered(tick):
        bpy.app.timers.register(tick, first_interval=0.0, persistent=True)


def stop_ticking() -> None:
    if bpy.app.timers.is_registered(tick):
        bpy.app.timers.unregister(tick)


def tick() -> float | None:
    shown = _shown()
    try:
        return session.tick()
    finally:
        if _shown() != shown:
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

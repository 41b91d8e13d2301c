"""Bands at the top of the timeline: what is kept, and what a fill will make anew."""

from typing import Any

import bpy

from ..errors import UserError
from ..settings import settings_of
from ..timeline.ranges import Frames
from ..timeline.wishes import listed

HEIGHT = 6  # pixels, at the interface's scale 1
BELOW_TOP = 22  # under the frame numbers
KEPT, MADE = (0.25, 0.65, 0.35, 0.9), (0.95, 0.55, 0.15, 0.9)

_handler: Any = None


def show() -> None:
    """Not without a window: there is nothing to draw on."""
    global _handler  # noqa: PLW0603 - Blender's handle, needed to take it off again
    if _handler is None and not bpy.app.background:
        space = bpy.types.SpaceDopeSheetEditor
        _handler = space.draw_handler_add(draw, (), "WINDOW", "POST_PIXEL")


def hide() -> None:
    global _handler  # noqa: PLW0603
    if _handler is not None:
        bpy.types.SpaceDopeSheetEditor.draw_handler_remove(_handler, "WINDOW")
    _handler = None


def draw() -> None:
    """Called by Blender for every timeline and Dope Sheet."""
    context = bpy.context
    settings = settings_of(context.scene)
    if not len(settings.kept):
        return
    try:
        gaps, _ = listed(settings)
    except UserError:
        gaps = []
    for each in settings.kept:
        _draw_band(context, Frames(each.first, each.last), KEPT)
    for gap in gaps:
        _draw_band(context, gap, MADE)


def _draw_band(context: Any, frames: Frames, color: tuple[float, float, float, float]) -> None:
    import gpu
    from gpu_extras.batch import batch_for_shader

    region, scale = context.region, context.preferences.system.ui_scale
    left, right = (
        region.view2d.view_to_region(x, 0.0, clip=False)[0]
        for x in (frames.first - 0.5, frames.last + 0.5)
    )
    left, right = max(left, 0), min(right, region.width)
    if right <= left:
        return
    top = region.height - BELOW_TOP * scale
    low = top - HEIGHT * scale
    corners = [(left, low), (right, low), (left, top), (right, top)]
    shader = gpu.shader.from_builtin("UNIFORM_COLOR")
    shader.bind()
    shader.uniform_float("color", color)
    gpu.state.blend_set("ALPHA")
    batch_for_shader(shader, "TRI_STRIP", {"pos": corners}).draw(shader)
    gpu.state.blend_set("NONE")

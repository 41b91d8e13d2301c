"""The panel of kept frames and gaps."""

from typing import Any

from bpy.types import Context, Panel, UILayout, UIList

from ..errors import UserError
from ..inputs import lack_of_character
from ..session import session
from ..settings import settings_of
from ..timeline.wishes import listed
from .panels import Sidebar, draw_text


class MOMASK_PT_timeline(Sidebar, Panel):
    bl_label = "Fill Between Keys"
    bl_idname = "MOMASK_PT_timeline"
    bl_order = 1

    def draw(self, context: Context) -> None:
        settings = settings_of(context.scene)
        layout = self.layout
        if lack := lack_of_character(context):
            draw_text(layout, context, lack.text, "INFO")
            return
        column = layout.column()
        column.enabled = not session.is_busy
        draw_choices(column, settings)
        draw_quick(column, settings)
        draw_ranges(column, context, settings)


def draw_choices(layout: UILayout, settings: Any) -> None:
    column = layout.column()
    column.use_property_split = True
    column.use_property_decorate = False
    column.prop(settings, "use_prompt", text="Follow the Prompt")
    column.prop(settings, "body")


def draw_quick(layout: UILayout, settings: Any) -> None:
    """What needs no list of ranges."""
    column = layout.column(align=True)
    column.operator(
        "momask.fill", text="Fill Between Keys", icon="ARROW_LEFTRIGHT"
    ).what = "BETWEEN"
    column.operator("momask.fill", text="Replace Selection", icon="SELECT_SET").what = "SELECTION"
    row = column.row(align=True)
    row.operator("momask.fill", text="Before", icon="BACK").what = "BEFORE"
    row.operator("momask.fill", text="After", icon="FORWARD").what = "AFTER"
    row.prop(settings, "extension", text="")


def draw_ranges(layout: UILayout, context: Context, settings: Any) -> None:
    layout.label(text="Frames to keep:")
    row = layout.row()
    row.template_list("MOMASK_UL_kept", "", settings, "kept", settings, "kept_index", rows=2)
    side = row.column(align=True)
    side.operator_menu_enum("momask.keep_frames", "source", text="", icon="ADD")
    remove = side.row()
    remove.enabled = 0 <= settings.kept_index < len(settings.kept)
    remove.operator("momask.forget_frames", text="", icon="REMOVE").index = settings.kept_index
    if len(settings.kept):
        draw_gaps(layout, context, settings)


def draw_gaps(layout: UILayout, context: Context, settings: Any) -> None:
    """What will change, before it does."""
    try:
        gaps, _ = listed(settings)
    except UserError as error:
        draw_text(layout, context, str(error), "ERROR")
        return
    words = ", ".join(str(gap) for gap in gaps)
    draw_text(layout, context, f"New: frames {words}", "INFO")
    layout.operator("momask.fill", text="Fill the Rest", icon="MOD_TIME").what = "RANGES"


class MOMASK_UL_kept(UIList):
    """Ranges that stay, to be edited in place."""

    def draw_item(
        self,
        _context: Context,
        layout: UILayout,
        _data: Any,
        item: Any,
        _icon: int,
        _active: Any,
        _property: str,
    ) -> None:
        row = layout.row(align=True)
        row.prop(item, "first", text="", emboss=False)
        row.label(text="to")
        row.prop(item, "last", text="", emboss=False)


CLASSES = (MOMASK_UL_kept, MOMASK_PT_timeline)

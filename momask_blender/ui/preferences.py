"""The add-on's preferences: device, models, memory, log."""

from typing import Any

from bpy.types import UILayout

from ..session import session


def draw_preferences(layout: UILayout, wanted: Any) -> None:
    layout.use_property_split = True
    column = layout.column()
    column.prop(wanted, "device")
    row = column.row()
    row.prop(wanted, "model")
    row.menu("MOMASK_MT_models", text="", icon="DOWNARROW_HLT")
    column.prop(wanted, "weights_folder")
    column.prop(wanted, "idle_minutes")
    row = layout.row()
    row.label(text=f"Loaded: {session.runs_on}" if session.runs_on else "No model is loaded")
    row.operator("momask.unload" if session.runs_on else "momask.load")
    row.operator("momask.show_log")

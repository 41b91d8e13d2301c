"""The add-on's preferences: device, models, memory, log, what can be fetched."""

from typing import Any

import bpy
from bpy.types import Context, UILayout

from ..contract.messages import Offer
from ..session import session
from ..weights import weights
from .cuda_box import draw_cuda
from .fetching import draw_state
from .panels import draw_text
from .timer import look_for_weights_soon


def draw_preferences(layout: UILayout, context: Context, wanted: Any) -> None:
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
    draw_cuda(layout.box(), context, wanted)
    draw_weights(layout.box(), context, wanted)


def draw_weights(layout: UILayout, context: Context, wanted: Any) -> None:
    """Published models: their size, terms and state, and the one that is being fetched."""
    if weights.is_stale:
        look_for_weights_soon()
    row = layout.row()
    row.label(text="Published models")
    row.operator("momask.look_for_weights", text="", icon="FILE_REFRESH")
    for offer in weights.offers:
        if offer.makes_motions:
            draw_offer(layout.column(align=True), context, offer, wanted)
    is_fetching = weights.is_busy and bool(weights.name)
    draw_state(layout, context, weights, "momask.cancel_weights", is_fetching)
    if not bpy.app.online_access:
        text = "Blender may not go online: models can be imported, not fetched"
        draw_text(layout, context, text, "INTERNET_OFFLINE")
        layout.operator("screen.userpref_show", text="Allow in System").section = "SYSTEM"


def draw_offer(layout: UILayout, context: Context, offer: Offer, wanted: Any) -> None:
    row = layout.row(align=True)
    is_ready = offer.state == "ready"
    row.label(text=offer.title, icon="CHECKMARK" if is_ready else "IMPORT")
    if is_ready:
        use = row.row(align=True)
        use.enabled = wanted.model != offer.name
        use.operator("momask.use_model", text="Use").model = offer.name
        row.operator("momask.remove_weights", text="", icon="TRASH").name = offer.name
    else:
        fetch = row.row(align=True)
        fetch.enabled = bpy.app.online_access
        size = f"{offer.num_bytes / 1e6:,.0f} MB"
        text = f"Go On ({size})" if offer.state == "begun" else f"Fetch ({size})"
        fetch.operator("momask.fetch_weights", text=text).name = offer.name
        row.operator("momask.import_weights", text="", icon="FILE_FOLDER").name = offer.name
    draw_text(layout, context, f"{offer.about}. {offer.means}", "NONE")

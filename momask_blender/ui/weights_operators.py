"""Thin operators on published weights: fetch, import, remove, cancel."""

from pathlib import Path
from typing import ClassVar

import bpy
from bpy.props import BoolProperty, StringProperty
from bpy.types import Context, Event, Operator

from ..contract.messages import Offer
from ..errors import UserError
from ..inputs import weights_folder
from ..weights import weights
from .fetching import OFFLINE, carry_out, draw_terms, size_of
from .timer import redraw_preferences


def offer_of(name: str) -> Offer:
    """Raises UserError for a name that is not in the list."""
    if weights.is_stale and bpy.app.background:
        weights.look(weights_folder())
        weights.finish()
    for offer in weights.offers:
        if offer.name == name:
            return offer
    raise UserError(f"There is no published model '{name}'.")


class WeightsOperator:
    """What they share: one thing at a time."""

    name: StringProperty(name="Model", options={"SKIP_SAVE"})

    @classmethod
    def poll(cls, _context: Context) -> bool:
        if weights.is_busy:
            cls.poll_message_set("Models are being fetched or looked for. Wait, or press Cancel")
            return False
        return True


class MOMASK_OT_fetch_weights(WeightsOperator, Operator):
    """Download a published model and convert it. It goes on where an earlier download stopped"""

    bl_idname = "momask.fetch_weights"
    bl_label = "Fetch Model"
    bl_options: ClassVar = {"INTERNAL"}

    accept_licence: BoolProperty(
        name="I have read the terms and accept them", default=False, options={"SKIP_SAVE"}
    )

    def invoke(self, context: Context, _event: Event) -> set[str]:
        return context.window_manager.invoke_props_dialog(self, width=620)

    def draw(self, _context: Context) -> None:
        """The terms, as they will be accepted."""
        offer = offer_of(self.name)
        draw_terms(self.layout, f"{offer.title}: {size_of(offer.num_bytes)} to download", offer)
        self.layout.prop(self, "accept_licence")

    def execute(self, _context: Context) -> set[str]:
        return carry_out(self, weights, self._begin)

    def _begin(self) -> None:
        offer = offer_of(self.name)
        if not bpy.app.online_access:
            raise UserError(OFFLINE)
        if offer.must_be_accepted and not self.accept_licence:
            raise UserError(f"'{offer.title}' is fetched when its terms are accepted.")
        weights.fetch(weights_folder(), offer.name, self.accept_licence)


class MOMASK_OT_import_weights(WeightsOperator, Operator):
    """Take a model from files that were downloaded by hand: the archive, or a folder. Needs no \
connection"""

    bl_idname = "momask.import_weights"
    bl_label = "Import Model"
    bl_options: ClassVar = {"INTERNAL"}

    filepath: StringProperty(subtype="FILE_PATH", options={"SKIP_SAVE"})

    def invoke(self, context: Context, _event: Event) -> set[str]:
        context.window_manager.fileselect_add(self)
        return {"RUNNING_MODAL"}

    def execute(self, _context: Context) -> set[str]:
        source = Path(bpy.path.abspath(self.filepath)).absolute()
        folder = weights_folder()

        def begin() -> None:
            weights.import_from(folder, offer_of(self.name).name, str(source))

        return carry_out(self, weights, begin)


class MOMASK_OT_remove_weights(WeightsOperator, Operator):
    """Delete this model and what was downloaded for it"""

    bl_idname = "momask.remove_weights"
    bl_label = "Remove Model"
    bl_options: ClassVar = {"INTERNAL"}

    def invoke(self, context: Context, event: Event) -> set[str]:
        return context.window_manager.invoke_confirm(self, event)

    def execute(self, _context: Context) -> set[str]:
        folder = weights_folder()
        return carry_out(self, weights, lambda: weights.remove(folder, offer_of(self.name).name))


class MOMASK_OT_look_for_weights(WeightsOperator, Operator):
    """Look again which published models are here"""

    bl_idname = "momask.look_for_weights"
    bl_label = "Look Again"
    bl_options: ClassVar = {"INTERNAL"}

    def execute(self, _context: Context) -> set[str]:
        return carry_out(self, weights, lambda: weights.look(weights_folder()))


class MOMASK_OT_cancel_weights(Operator):
    """Stop. What came so far is kept, and fetching again goes on from there"""

    bl_idname = "momask.cancel_weights"
    bl_label = "Cancel"
    bl_options: ClassVar = {"INTERNAL"}

    def execute(self, _context: Context) -> set[str]:
        weights.cancel()
        redraw_preferences()
        return {"FINISHED"}


CLASSES = (
    MOMASK_OT_fetch_weights,
    MOMASK_OT_import_weights,
    MOMASK_OT_remove_weights,
    MOMASK_OT_look_for_weights,
    MOMASK_OT_cancel_weights,
)

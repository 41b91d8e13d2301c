"""Thin operators on PyTorch for CUDA: install, import, remove, cancel."""

from pathlib import Path
from typing import ClassVar

import bpy
from bpy.props import BoolProperty, StringProperty
from bpy.types import Context, Event, Operator

from ..contract.messages import CudaRuntime
from ..cuda_runtime import cuda_runtime
from ..errors import UserError
from ..session import session
from .fetching import OFFLINE, carry_out, draw_terms, size_of
from .timer import redraw_preferences


def known() -> CudaRuntime:
    """What is here and what is offered. Raises UserError while that is not known."""
    if cuda_runtime.is_stale and bpy.app.background:
        cuda_runtime.look()
        cuda_runtime.finish()
    if cuda_runtime.known is None:
        raise UserError("It is being looked for. Try again in a moment.")
    return cuda_runtime.known


class CudaOperator:
    """What they share: one thing at a time."""

    @classmethod
    def poll(cls, _context: Context) -> bool:
        if cuda_runtime.is_busy:
            cls.poll_message_set("PyTorch is being installed or looked for. Wait, or press Cancel")
            return False
        return True


class MOMASK_OT_install_cuda(CudaOperator, Operator):
    """Download PyTorch for CUDA into your user folder. It goes on where an earlier download \
stopped"""

    bl_idname = "momask.install_cuda"
    bl_label = "Install PyTorch for CUDA"
    bl_options: ClassVar = {"INTERNAL"}

    accept_licence: BoolProperty(
        name="I have read the terms and accept them", default=False, options={"SKIP_SAVE"}
    )

    def invoke(self, context: Context, _event: Event) -> set[str]:
        return context.window_manager.invoke_props_dialog(self, width=620)

    def draw(self, _context: Context) -> None:
        runtime = known()
        title = f"{runtime.offered}: {size_of(runtime.num_bytes)} to download"
        draw_terms(self.layout, title, runtime)
        self.layout.label(text=f"It goes into {runtime.folder}")
        self.layout.prop(self, "accept_licence")

    def execute(self, _context: Context) -> set[str]:
        return carry_out(self, cuda_runtime, self._begin)

    def _begin(self) -> None:
        runtime = known()
        if not runtime.offered:
            raise UserError("No PyTorch for CUDA is offered for this system. Import a folder.")
        if not bpy.app.online_access:
            raise UserError(OFFLINE)
        if not self.accept_licence:
            raise UserError(f"{runtime.offered} is fetched when its terms are accepted.")
        cuda_runtime.install()


class MOMASK_OT_look_into_wheels(CudaOperator, Operator):
    """Choose a folder of wheels to install PyTorch from; they are listed first. Needs no \
connection"""

    bl_idname = "momask.look_into_wheels"
    bl_label = "Choose Folder of Wheels"
    bl_options: ClassVar = {"INTERNAL"}

    directory: StringProperty(subtype="DIR_PATH", options={"SKIP_SAVE"})

    def invoke(self, context: Context, _event: Event) -> set[str]:
        context.window_manager.fileselect_add(self)
        return {"RUNNING_MODAL"}

    def execute(self, _context: Context) -> set[str]:
        folder = str(Path(bpy.path.abspath(self.directory)).absolute())
        return carry_out(self, cuda_runtime, lambda: cuda_runtime.look_into(folder))


class MOMASK_OT_import_wheels(CudaOperator, Operator):
    """Install exactly the listed wheels. Do so only if they come from where you trust"""

    bl_idname = "momask.import_wheels"
    bl_label = "Install These"
    bl_options: ClassVar = {"INTERNAL"}

    def execute(self, _context: Context) -> set[str]:
        return carry_out(self, cuda_runtime, self._begin)

    def _begin(self) -> None:
        if cuda_runtime.found is None:
            raise UserError("Choose a folder of wheels first.")
        cuda_runtime.import_found()


class MOMASK_OT_remove_cuda(CudaOperator, Operator):
    """Delete PyTorch for CUDA and what was downloaded for it. Motions are then made on the CPU"""

    bl_idname = "momask.remove_cuda"
    bl_label = "Remove PyTorch for CUDA"
    bl_options: ClassVar = {"INTERNAL"}

    def invoke(self, context: Context, event: Event) -> set[str]:
        return context.window_manager.invoke_confirm(self, event)

    def execute(self, _context: Context) -> set[str]:
        return carry_out(self, cuda_runtime, self._begin)

    def _begin(self) -> None:
        session.end_worker()  # Windows deletes no library that is in use
        cuda_runtime.remove()


class MOMASK_OT_look_for_cuda(CudaOperator, Operator):
    """Look again what motions are made on, and why"""

    bl_idname = "momask.look_for_cuda"
    bl_label = "Look Again"
    bl_options: ClassVar = {"INTERNAL"}

    def execute(self, _context: Context) -> set[str]:
        return carry_out(self, cuda_runtime, cuda_runtime.look)


class MOMASK_OT_cancel_cuda(Operator):
    """Stop. What came so far is kept, and installing again goes on from there"""

    bl_idname = "momask.cancel_cuda"
    bl_label = "Cancel"
    bl_options: ClassVar = {"INTERNAL"}

    def execute(self, _context: Context) -> set[str]:
        cuda_runtime.cancel()
        cuda_runtime.forget_found()
        redraw_preferences()
        return {"FINISHED"}


CLASSES = (
    MOMASK_OT_install_cuda,
    MOMASK_OT_look_into_wheels,
    MOMASK_OT_import_wheels,
    MOMASK_OT_remove_cuda,
    MOMASK_OT_look_for_cuda,
    MOMASK_OT_cancel_cuda,
)

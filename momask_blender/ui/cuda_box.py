"""The preferences' box on PyTorch for CUDA: what motions run on and why, and what to press."""

from typing import Any

import bpy
from bpy.types import Context, UILayout

from ..contract.messages import CudaRuntime
from ..cuda_runtime import cuda_runtime
from .fetching import draw_state, size_of
from .panels import draw_text
from .timer import look_for_cuda_soon


def draw_cuda(layout: UILayout, context: Context, wanted: Any) -> None:
    if cuda_runtime.is_stale:
        look_for_cuda_soon()
    row = layout.row()
    row.label(text="What motions are made on")
    row.operator("momask.look_for_cuda", text="", icon="FILE_REFRESH")
    runtime = cuda_runtime.known
    if runtime is not None:
        draw_told(layout, context, runtime, wanted.device)
        draw_choices(layout, context, runtime)
    if cuda_runtime.found is not None:
        draw_found(layout, context)
    is_fetching = cuda_runtime.is_busy and cuda_runtime.doing != cuda_runtime.LOOKING
    draw_state(layout, context, cuda_runtime, "momask.cancel_cuda", is_fetching)


def draw_told(layout: UILayout, context: Context, runtime: CudaRuntime, device: str) -> None:
    """Which runtime, and why; the device preference comes first."""
    told = runtime.told if device != "cpu" else "CPU: ONNX Runtime, as Device is set to CPU"
    draw_text(layout, context, told, "INFO")


def draw_choices(layout: UILayout, context: Context, runtime: CudaRuntime) -> None:
    if not runtime.offered and runtime.state != "ready":
        text = "Nothing is offered for this system and Python; a folder can be imported"
        draw_text(layout, context, text, "NONE")
    row = layout.row(align=True)
    if runtime.state == "ready":
        row.operator("momask.remove_cuda", icon="TRASH")
        return
    if runtime.offered:
        online = row.row(align=True)
        online.enabled = bpy.app.online_access
        verb = "Go On with" if runtime.state == "begun" else "Install"
        size = size_of(runtime.num_bytes)
        online.operator("momask.install_cuda", text=f"{verb} {runtime.offered} ({size})")
    row.operator("momask.look_into_wheels", text="Import Folder", icon="FILE_FOLDER")


def draw_found(layout: UILayout, context: Context) -> None:
    """What a folder would install, to be agreed to."""
    found = cuda_runtime.found
    assert found is not None
    box = layout.box()
    where = f"{len(found.lines)} wheels, {size_of(found.num_bytes)}, in {cuda_runtime.found_in}"
    draw_text(box, context, f"{where}. Install them if they come from where you trust:", "QUESTION")
    column = box.column(align=True)
    column.scale_y = 0.6
    for line in found.lines:
        column.label(text=line)
    row = box.row()
    row.operator("momask.import_wheels")
    row.operator("momask.cancel_cuda", text="Do Not")

"""What operators on published weights and on PyTorch share: carrying out, terms, sizes."""

import textwrap
from collections.abc import Callable

import bpy
from bpy.types import Context, Operator, UILayout

from ..contract.messages import CudaRuntime, Offer
from ..errors import UserError
from ..fetching import Fetching
from ..session import session
from .panels import draw_text
from .timer import keep_fetching, redraw_preferences

LINE = 90  # characters of a licence in the dialog
OFFLINE = (
    "Blender may not go online. Allow Online Access in Preferences > System, or import files that "
    "were downloaded elsewhere."
)


def carry_out(operator: Operator, fetching: Fetching, begin: Callable[[], None]) -> set[str]:
    """Begin it. In a window a timer carries it on; without one it is done on return."""
    try:
        begin()
        if bpy.app.background:
            fetching.finish()
            session.look_around()
    except UserError as error:
        fetching.error = str(error)
        operator.report({"ERROR"}, str(error))
        redraw_preferences()
        return {"CANCELLED"}
    keep_fetching()
    return {"FINISHED"}


def draw_terms(layout: UILayout, title: str, terms: Offer | CudaRuntime) -> None:
    """The terms, as they will be accepted."""
    column = layout.column(align=True)
    column.label(text=title)
    for line in textwrap.wrap(terms.means, LINE):
        column.label(text=line)
    whole = layout.box().column(align=True)
    whole.scale_y = 0.6
    for paragraph in terms.text.split("\n\n"):
        for line in textwrap.wrap(paragraph, LINE + 20):
            whole.label(text=line)
        whole.separator(factor=0.5)


def draw_state(
    layout: UILayout, context: Context, fetching: Fetching, cancel: str, is_fetching: bool
) -> None:
    """How far it is, with the button `cancel`; then what came of it."""
    if is_fetching:
        row = layout.row()
        row.progress(factor=fetching.share, text=fetching.phase)
        row.operator(cancel, icon="X")
    if fetching.notice:
        draw_text(layout, context, fetching.notice, "INFO")
    if fetching.error:
        draw_text(layout, context, fetching.error, "ERROR")


def size_of(num_bytes: int) -> str:
    return f"{num_bytes / 1e9:.1f} GB" if num_bytes >= 1e9 else f"{num_bytes / 1e6:,.0f} MB"

"""Work on the file in short steps, which a timer takes while the window stays alive."""

import time
from collections.abc import Generator, Iterator
from dataclasses import dataclass
from typing import Any

import bpy

TICK = 0.05  # seconds between looks at work that has to wait
APPLYING = 0.001  # between ticks that change the file
BUDGET = 0.012  # seconds after which such a tick begins no further step; a step takes up to 12 ms
EDITING = "Leave Edit Mode to get the result"
RENDERING = "The result comes when the render is done"


@dataclass
class Steps:
    """`work` says with every step how far it is; closing it takes back what it did."""

    name: str  # what the panel calls it
    work: Iterator[Any]
    undo_name: str  # empty: it changes nothing
    latest: Any = None  # what the last step said; a number from 0 to 1 moves the bar
    can_be_cancelled: bool = False

    @property
    def share(self) -> float:
        return self.latest if isinstance(self.latest, float) else 1.0

    def close(self) -> None:
        if isinstance(self.work, Generator):
            self.work.close()

    def take(self) -> bool:
        """As many steps as a tick has time for. -> whether it is done. Raises what they raise."""
        until = time.perf_counter() + BUDGET
        while time.perf_counter() < until:
            try:
                self.latest = next(self.work)
            except StopIteration:
                if self.undo_name:
                    push_undo(self.undo_name)
                return True
        return False


def reason_to_wait() -> str:
    """Why nothing can be written into the file now, in words; empty if it can."""
    if is_editing():
        return EDITING
    return RENDERING if bpy.app.is_job_running("RENDER") else ""


def is_editing() -> bool:
    """Whether some mode with an undo of its own is on: keys written now could not be undone."""
    return any(ob.mode not in ("OBJECT", "POSE") for ob in _active_objects())


def _active_objects() -> list[bpy.types.Object]:
    manager = bpy.context.window_manager
    layers = [window.view_layer for window in manager.windows] if manager else []
    return [layer.objects.active for layer in layers if layer.objects.active]


def push_undo(name: str) -> None:
    """One undo step, also from a timer, where no window is active."""
    manager = bpy.context.window_manager
    if bpy.context.window is None and manager and manager.windows:
        with bpy.context.temp_override(window=manager.windows[0]):
            bpy.ops.ed.undo_push(message=name)
    else:
        bpy.ops.ed.undo_push(message=name)

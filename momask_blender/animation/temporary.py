"""A scene of our own, to export or render in: the user's scene is not touched."""

from collections.abc import Iterator
from contextlib import contextmanager

import bpy
from bpy.types import Scene, Window

KINDS = (
    "objects meshes curves armatures cameras lights worlds materials actions images movieclips "
    "collections"
).split()


@contextmanager
def temporary_scene(name: str) -> Iterator[Scene]:
    """An empty scene; at the end it and everything made meanwhile is gone again."""
    kept = {kind: set(getattr(bpy.data, kind)) for kind in KINDS}
    scene = bpy.data.scenes.new(name)
    try:
        yield scene
    finally:
        bpy.data.scenes.remove(scene)
        for kind, before in kept.items():
            blocks = getattr(bpy.data, kind)
            for block in set(blocks) - before:
                blocks.remove(block)


@contextmanager
def shown(scene: Scene) -> Iterator[None]:
    """Meanwhile the window's scene, for operators that work on nothing else. Modes and selection
    belong to the user's own scene and objects: they are as before when it comes back."""
    window = _window()
    before, layer = window.scene, window.view_layer
    with bpy.context.temp_override(window=window):
        window.scene = scene
        try:
            yield
        finally:
            window.scene, window.view_layer = before, layer


def _window() -> Window:
    """The one in use; a timer has none, then any."""
    return bpy.context.window or bpy.context.window_manager.windows[0]

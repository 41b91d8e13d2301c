"""The one list of what Blender is told about."""

import bpy

CLASSES: tuple[type, ...] = ()


def register() -> None:
    for cls in CLASSES:
        bpy.utils.register_class(cls)


def unregister() -> None:
    for cls in reversed(CLASSES):
        bpy.utils.unregister_class(cls)

"""The one list of what is registered: classes, properties, handlers, timers."""

import atexit

import bpy
from bpy.app.handlers import persistent

from . import settings
from .cuda_runtime import cuda_runtime
from .rig.known_maps import known_maps
from .session import session
from .ui import (
    cuda_operators,
    operators,
    panels,
    rig_operators,
    rig_panel,
    take_operators,
    timeline_operators,
    timeline_overlay,
    timeline_panel,
    weights_operators,
)
from .ui.timer import keep_ticking, stop_ticking
from .weights import weights

CLASSES = (
    *settings.CLASSES,
    *operators.CLASSES,
    *take_operators.CLASSES,
    *rig_operators.CLASSES,
    *weights_operators.CLASSES,
    *cuda_operators.CLASSES,
    *timeline_operators.CLASSES,
    *panels.CLASSES,
    *timeline_panel.CLASSES,
    *rig_panel.CLASSES,
)


def register() -> None:
    for each in CLASSES:
        bpy.utils.register_class(each)
    settings.attach()
    bpy.app.handlers.load_pre.append(before_file)
    bpy.app.handlers.undo_post.append(after_undo)
    bpy.app.handlers.redo_post.append(after_undo)
    for each in (session, weights, cuda_runtime):
        atexit.register(each.shut_down)
    timeline_overlay.show()
    session.look_around()
    session.open_folder()


def unregister() -> None:
    stop_ticking()
    timeline_overlay.hide()
    for each in (session, weights, cuda_runtime):
        each.shut_down()
        atexit.unregister(each.shut_down)
    bpy.app.handlers.load_pre.remove(before_file)
    bpy.app.handlers.undo_post.remove(after_undo)
    bpy.app.handlers.redo_post.remove(after_undo)
    settings.detach()
    for each in reversed(CLASSES):
        bpy.utils.unregister_class(each)


@persistent
def before_file(*_: object) -> None:
    session.forget_file()
    keep_ticking()


@persistent
def after_undo(*_: object) -> None:
    known_maps.follow_undo()

"""The one list of what is registered: classes, properties, handlers, timers."""

import atexit

import bpy
from bpy.app.handlers import persistent

from . import settings
from .session import session
from .ui import operators, panels, take_operators
from .ui.timer import keep_ticking, stop_ticking

CLASSES = (*settings.CLASSES, *operators.CLASSES, *take_operators.CLASSES, *panels.CLASSES)


def register() -> None:
    for each in CLASSES:
        bpy.utils.register_class(each)
    settings.attach()
    bpy.app.handlers.load_pre.append(before_file)
    atexit.register(session.shut_down)
    session.look_around()
    session.open_history()


def unregister() -> None:
    stop_ticking()
    session.shut_down()
    atexit.unregister(session.shut_down)
    bpy.app.handlers.load_pre.remove(before_file)
    settings.detach()
    for each in reversed(CLASSES):
        bpy.utils.unregister_class(each)


@persistent
def before_file(*_: object) -> None:
    session.forget_file()
    keep_ticking()

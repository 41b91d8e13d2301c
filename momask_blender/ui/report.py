"""An error as text for a bug report: what happened, with which versions and settings."""

import platform
import sys

import bpy
from bpy.types import Context

from ..contract.messages import PROTOCOL
from ..session import session
from ..settings import preferences, settings_of


def error_report(context: Context) -> str:
    """Holds no paths but those that the error itself names."""
    settings, wanted = settings_of(context.scene), preferences()
    error = session.error
    lines = [
        f"MoMask report: {error.message if error else 'no error'}",
        f"Code: {error.code if error else '-'}",
        f"Blender {bpy.app.version_string}, Python {sys.version.split()[0]}, {platform.platform()}",
        f"Protocol {PROTOCOL}, device {wanted.device}, model {wanted.model}, runs on "
        f"{session.runs_on or 'nothing now'}",
        f"Prompt: {settings.prompt}",
        f"Length {settings.length} {settings.seconds:.2f} s, seed {settings.seed}, "
        f"variations {settings.variations}, target {settings.target}",
        "",
        "The motion generator's last lines:",
        *(session.log or ["(none)"]),
    ]
    return "\n".join(lines) + "\n"

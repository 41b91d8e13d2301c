"""Where models lie that did not come with the add-on: one folder each, by name."""

import os
import sys
from pathlib import Path

VARIABLE = "MOMASK_WEIGHTS"


def weights_root() -> Path:
    """The folder that MOMASK_WEIGHTS names, or the one in the user's data folder."""
    if chosen := os.environ.get(VARIABLE):
        return Path(chosen)
    return data_folder() / "momask" / "weights"


def data_folder() -> Path:
    """Of this user, as each system has it."""
    if sys.platform == "win32":
        return Path(os.environ.get("LOCALAPPDATA") or Path.home() / "AppData" / "Local")
    if sys.platform == "darwin":
        return Path.home() / "Library" / "Application Support"
    named = os.environ.get("XDG_DATA_HOME", "")
    return Path(named) if os.path.isabs(named) else Path.home() / ".local" / "share"

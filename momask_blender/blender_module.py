"""Blender as a Python module: import it, or say what is missing."""

import re
import sys

from .errors import UserError

# Debian packages of the libraries that the bpy module links to and does not carry.
LIBRARY_PACKAGES = {
    "libX11.so.6": "libx11-6",
    "libXext.so.6": "libxext6",
    "libXfixes.so.3": "libxfixes3",
    "libXi.so.6": "libxi6",
    "libXrender.so.1": "libxrender1",
    "libXxf86vm.so.1": "libxxf86vm1",
    "libEGL.so.1": "libegl1",
    "libGL.so.1": "libgl1",
    "libSM.so.6": "libsm6",
    "libICE.so.6": "libice6",
    "libgomp.so.1": "libgomp1",
    "libuuid.so.1": "libuuid1",
    "libxkbcommon.so.0": "libxkbcommon0",
}


def require_bpy() -> None:
    """Import bpy, or raise UserError that says what to install."""
    try:
        import bpy  # noqa: F401
    except ModuleNotFoundError as error:
        version = f"{sys.version_info.major}.{sys.version_info.minor}"
        raise UserError(
            f"Blender's Python module is not installed for Python {version}. Use Python 3.11 "
            "('pip install bpy==4.5.*') or 3.13 ('pip install bpy==5.2.*'), or write an .npz."
        ) from error
    except ImportError as error:
        raise UserError(explain_import_error(str(error))) from error


def explain_import_error(message: str) -> str:
    """Name the system library that bpy misses and the package that brings it."""
    found = re.match(r"(\S+\.so[.\d]*): cannot open shared object file", message)
    if not found:
        return f"Blender's Python module does not load: {message}"
    library = found.group(1)
    package = LIBRARY_PACKAGES.get(library)
    advice = f"install it ('apt-get install {package}')" if package else "install it"
    return f"Blender's Python module needs the system library {library}: {advice}."

"""An installation's life in this Python's Blender, with the network out of reach.

`python in_blender.py ZIP` prints what it saw at each stage as JSON on its last line. The folder
BLENDER_USER_RESOURCES is the user's and starts empty.
"""

import json
import socket
import subprocess
import sys
from pathlib import Path


def refuse_network(event: str, _arguments: tuple) -> None:
    if event in ("socket.connect", "socket.getaddrinfo", "socket.bind", "socket.sendto"):
        raise PermissionError("the network is out of reach in this test")


sys.addaudithook(refuse_network)

import bpy  # noqa: E402

# isort: split
import addon_utils  # noqa: E402 - Blender's, on the path once bpy is imported

MODULE = "bl_ext.user_default.momask"
EXTENSIONS = Path(bpy.utils.user_resource("EXTENSIONS"))
FOLDER = EXTENSIONS / "user_default" / "momask"
PYTHON = f"python{sys.version_info.major}.{sys.version_info.minor}"
SITE = EXTENSIONS / ".local" / "lib" / PYTHON / "site-packages"


def live(archive: str) -> dict:
    seen: dict = {"network": network()}
    addon_utils.enable("bl_pkg", default_set=True)
    bpy.ops.extensions.package_install_files(
        filepath=archive, repo="user_default", enable_on_install=True
    )
    seen["installed"] = state()
    seen["child"] = child()
    seen["generated"] = generated()
    bpy.ops.preferences.addon_disable(module=MODULE)
    seen["disabled"] = state()
    bpy.ops.preferences.addon_enable(module=MODULE)
    seen["enabled again"] = state()
    repos = bpy.context.preferences.extensions.repos
    index = next(i for i, repo in enumerate(repos) if repo.module == "user_default")
    bpy.ops.extensions.package_uninstall(repo_index=index, pkg_id="momask")
    seen["uninstalled"] = state()
    return seen


def network() -> str:
    try:
        socket.create_connection(("127.0.0.1", 9), timeout=1.0).close()
    except OSError as error:
        return str(error)
    return "reached"


def state() -> dict:
    return {
        "folder": FOLDER.exists(),
        "enabled": addon_utils.check(MODULE)[1],
        "warnings": addon_utils._extensions_warnings_get(),
        "packages": sorted(file.name for file in SITE.glob("*") if file.suffix != ".dist-info"),
        "site on path": str(SITE) in sys.path,
    }


def child() -> dict:
    """What a child process finds that is started as the add-on starts its worker."""
    command = [sys.executable, "-I", "-u", str(Path(__file__).with_name("in_the_child.py"))]
    ended = subprocess.run(
        [*command, str(SITE), str(FOLDER)], capture_output=True, encoding="utf-8", check=False
    )
    if ended.returncode != 0:
        return {"died": ended.stderr}
    return json.loads(ended.stdout.splitlines()[-1])


def generated() -> dict | None:
    """The Action that the operator makes; None where there is no such operator."""
    if "generate" not in dir(bpy.ops.momask):
        return None
    before = set(bpy.data.actions.keys())
    result = bpy.ops.momask.generate(prompt="a person walks forward", seconds=2)
    actions = [action for action in bpy.data.actions if action.name not in before]
    curves = [curve for action in actions for curve in curves_of(action)]
    heights = [[point.co.y for point in curve.keyframe_points] for curve in curves]
    return {
        "result": sorted(result),
        "actions": [action.name for action in actions],
        "keys": sorted({len(values) for values in heights}),
        "moving": sum(max(values) - min(values) > 0.01 for values in heights),
        "warnings": addon_utils._extensions_warnings_get(),
    }


def curves_of(action: bpy.types.Action) -> list[bpy.types.FCurve]:
    if not hasattr(action, "layers"):  # before 4.4 the Action itself
        return list(action.fcurves)
    strips = [strip for layer in action.layers for strip in layer.strips]
    return [curve for strip in strips for bag in strip.channelbags for curve in bag.fcurves]


if __name__ == "__main__":
    sys.stdout.write(json.dumps(live(sys.argv[1])) + "\n")

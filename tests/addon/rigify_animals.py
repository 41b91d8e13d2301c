"""The skeletons of animals and humans that come with Blender's own Rigify.

Made in a child process, as in `rigify_human`.
"""

import os
import subprocess
import sys
from pathlib import Path

import pytest

KINDS = ("basic_quadruped", "horse", "cat", "wolf", "shark")
HUMANS = ("human", "basic_human")


@pytest.fixture(scope="session")
def animals_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A .blend that holds an armature for each of KINDS and HUMANS, called like it."""
    file = tmp_path_factory.mktemp("rigify") / "animals.blend"
    command = [sys.executable, __file__, str(file)]
    done = subprocess.run(command, check=False, capture_output=True, text=True, timeout=300)
    assert file.exists(), done.stdout[-2000:] + done.stderr[-2000:]
    return file


def _make(file: str) -> None:
    import bpy
    from addon_utils import enable  # there only once bpy is

    bpy.ops.wm.read_factory_settings(use_empty=True)
    enable("rigify", default_set=True)
    for kind in (*KINDS, *HUMANS):
        getattr(bpy.ops.object, f"armature_{kind}_metarig_add")()
        bpy.context.object.name = kind
    bpy.ops.wm.save_as_mainfile(filepath=file)
    sys.stdout.flush()
    os._exit(0)


if __name__ == "__main__":
    _make(sys.argv[1])

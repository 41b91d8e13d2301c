"""`python from_a_repository.py INDEX`: what a Blender installs from a studio's repository."""

import json
import sys
from pathlib import Path

import in_blender  # first: it puts the network out of reach

import addon_utils  # isort: skip
import bpy


def install(index: Path) -> dict:
    addon_utils.enable("bl_pkg", default_set=True)
    bpy.context.preferences.system.use_online_access = True  # or Blender offers no repository
    bpy.ops.preferences.extension_repo_add(name="Studio", remote_url=index.as_uri(), type="REMOTE")
    repos = bpy.context.preferences.extensions.repos
    number = next(i for i, repo in enumerate(repos) if repo.name == "Studio")
    bpy.ops.extensions.repo_sync(repo_index=number)
    bpy.ops.extensions.package_install(repo_index=number, pkg_id="momask", enable_on_install=True)
    module = f"bl_ext.{repos[number].module}.momask"
    return in_blender.state() | {"enabled": addon_utils.check(module)[1]}


if __name__ == "__main__":
    sys.stdout.write(json.dumps(install(Path(sys.argv[1]))) + "\n")

"""`PYTHONPATH=tests/addon python -m benchmarks.rig_matrix`: how motions land on every rig we know.

Measures a walk of the starter model on each rig of the test suite, as Blender shows it, and puts
the table into docs/rigs.md. `--sheets` also renders jumping jacks on every character that is not
built in code; `--only WORD` takes the rigs whose names contain the word, and prints their rows.
"""

import argparse
import statistics
import tempfile
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import bpy
import numpy as np
from known_rigs import known_rigs, open_known
from mathutils import Matrix, Vector
from measures import WIDER, Measures, shortfalls
from playing import measure
from rigify_human import append_human, make_human, skin
from rigs import Right, build
from starter_motions import make_motion
from tortures import TORTURES

from momask_blender.animation.preview import render_contact_sheet
from momask_blender.animation.staging import skinned_meshes
from momask_blender.contract.pose import Pose
from momask_blender.generate import at_rate, new_scene, play
from momask_blender.retarget.fit import Fit
from momask_blender.retarget.roles import ROLES
from momask_blender.rig.joint_map import JointMap, find_joint_map
from momask_blender.rig.rest import read_rest

from . import retarget
from .pictures import write_jpeg

ROOT = Path(__file__).resolve().parents[1]
SHARED_RIGS = ROOT.parent / "shared" / "rigs"
TABLE_FILE, SHEETS = ROOT / "docs" / "rigs.md", ROOT / "docs" / "rigs"
BEGIN, END = "<!-- the table begins -->\n", "<!-- the table ends -->\n"
RIGIFY = "Rigify human"

FPS = 30.0
CLIP_SECONDS, REPEATS = 10.0, 3  # of what is timed
HEIGHT = 1.8  # metres, of the characters on sheets

COLUMNS = (
    *("rig", "bones", "roles", "found by", "limbs °", "there and back mm", "rig and back °"),
    *(
        "contact %",
        "skate cm/s",
        "lowest mm",
        "median mm",
        "legs moved °",
        "twist °",
        "knee jerk",
        "ms",
    ),
)

Open = Callable[[], tuple[Any, Right | None]]


def rigs(human: Path) -> Iterator[tuple[str, Open]]:
    for entry in known_rigs(SHARED_RIGS):
        yield entry["file"], partial(open_known, bpy, SHARED_RIGS, entry)
    yield RIGIFY, lambda: (append_human(bpy, human, new_scene(None)), None)
    for name, how in TORTURES.items():
        yield name, lambda name=name, how=how: build(bpy, new_scene(None), name, how)


def row(name: str, armature: Any, right: Right | None, walk: Pose) -> list[str]:
    joint_map = find_joint_map(read_rest(armature))
    found = measure(bpy, armature, joint_map, walk, FPS, facing_of(right))
    wrong = right.accepts(joint_map.bones) if right else []
    is_whole = set(joint_map.bones) >= set(ROLES) - {"l_toe", "r_toe"}
    for problem in (*wrong, *shortfalls(found, is_whole, WIDER.get(name))):
        print(f"{name}: {problem}")
    return [
        name,
        str(len(armature.data.bones)),
        *_mapped(joint_map),
        *_figures(found),
        _ms(armature),
    ]


def facing_of(right: Right | None) -> np.ndarray:
    return right.facing if right else np.array([0.0, -1.0, 0.0])


def _mapped(joint_map: JointMap) -> tuple[str, str]:
    return f"{len(joint_map.bones)}", joint_map.source


def _figures(found: Measures) -> list[str]:
    return [
        f"{found.limbs:.3f}",
        f"{found.joints_back:.2f}",
        f"{found.bones_back:.3f}",
        f"{100.0 * found.contact:.0f}",
        f"{found.skate:.2f}",
        f"{found.lowest:.1f}",
        f"{found.median:.1f}",
        f"{found.legs_mean:.1f}, {found.legs_most:.0f}",
        f"{found.twist:.1f}",
        f"{found.jerk:.2f}, {found.jerk_planted:.2f}",
    ]


def _ms(armature: Any) -> str:
    """Medians in milliseconds: map, read, fit, write."""
    num_keys = round(CLIP_SECONDS * FPS)
    pose = retarget.waving(CLIP_SECONDS)
    runs = [retarget.measure(armature, pose, num_keys, FPS, Fit()) for _ in range(REPEATS + 1)]
    parts = ("map", "read", "fit", "write")
    medians = (statistics.median(each[f"{part}, s"] for each in runs[1:]) for part in parts)
    return ", ".join(f"{1000.0 * seconds:.0f}" for seconds in medians)


def write_table(rows: list[list[str]]) -> None:
    lines = [COLUMNS, ["---"] * len(COLUMNS), *rows]
    table = "".join(f"| {' | '.join(line)} |\n" for line in lines)
    before, rest = TABLE_FILE.read_text(encoding="utf-8").split(BEGIN)
    _, after = rest.split(END)
    TABLE_FILE.write_text(before + BEGIN + table + END + after, encoding="utf-8", newline="\n")


# -- sheets


def write_sheet(name: str, armature: Any, facing: np.ndarray, jacks: Pose, folder: Path) -> None:
    """A JPEG of the character at ten moments, standing on the floor and facing us; bones without a
    mesh get boxes."""
    if not skinned_meshes(armature):
        skin(armature, "boxes")
    scene = at_rate(armature.users_scene[0], FPS)
    scene.view_layers[0].update()
    meshes = skinned_meshes(armature)
    corners = [mesh.matrix_world @ Vector(corner) for mesh in meshes for corner in mesh.bound_box]
    lowest, highest = (pick(corner.z for corner in corners) for pick in (min, max))
    turn = Matrix.Rotation(-np.arctan2(facing[0], -facing[1]), 4, "Z")
    size = Matrix.Scale(HEIGHT / (highest - lowest), 4)
    armature.matrix_world = (
        turn @ size @ Matrix.Translation((0.0, 0.0, -lowest)) @ armature.matrix_world
    )
    scene.view_layers[0].update()
    play(scene, armature, jacks, round(len(jacks.root) / 20.0 * FPS), name)
    whole = folder / "sheet.png"
    render_contact_sheet(scene, armature, name, whole)
    SHEETS.mkdir(exist_ok=True)
    stem = Path(name).stem.replace(" ", "_").lower()
    write_jpeg([whole], SHEETS / f"{stem}.jpg")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", default="", metavar="WORD")
    parser.add_argument("--sheets", action="store_true")
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        human = folder / "human.blend"
        make_human(human)
        walk = make_motion("a person walks forward", 4.0, folder / "walk.npz")
        jacks = make_motion("a person does jumping jacks", 3.0, folder / "jacks.npz")
        rows = []
        for rig, open_rig in rigs(human):
            if chosen.only not in rig:
                continue
            armature, right = open_rig()
            rows.append(row(rig, armature, right, walk))
            print(" | ".join(rows[-1]), flush=True)
            if chosen.sheets and rig not in TORTURES:
                armature, _ = open_rig()
                write_sheet(rig, armature, facing_of(right), jacks, folder)
    if not chosen.only:
        write_table(rows)


if __name__ == "__main__":
    main()

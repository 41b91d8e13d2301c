"""`python -m benchmarks.fill_by_words MOCAP OUT.jpg`: the same kept frames, filled by other words.

Five seconds in the middle of a validation clip of seven are made; each row of the picture shows the
gap and six frames on either side.
"""

import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np

from momask_blender.animation.preview import render_contact_sheet
from momask_blender.animation.takes import read_pose
from momask_blender.contract.pose import Pose
from momask_blender.contract.skeleton import FPS
from momask_blender.generate import new_scene, play
from momask_blender.placement import CHARACTER
from momask_blender.rig.character import build_character

from .pictures import write_jpeg

CLIP = "joints/cmu_13_14_00.npy"
PROMPTS = (
    "a person waves the arms to signal to cars",
    "a person performs side kicks",
    "a person performs side kicks, then reaches up with both arms",
)
NUM_FRAMES, GAP, MARGIN = 140, range(20, 120), 6


def fill(source: Path, prompt: str, folder: Path) -> Pose:
    out = folder / "filled.npz"
    command = [sys.executable, "-m", "model_runtime", "inpaint", str(source), "--prompt", prompt]
    command += ["--keep", f"0:{GAP.start - 1}", "--keep", f"{GAP.stop}:{NUM_FRAMES - 1}"]
    subprocess.run([*command, "--out", str(out)], check=True, stdout=subprocess.DEVNULL)
    return read_pose(str(out))


def main() -> None:
    mocap, picture = map(Path, sys.argv[1:3])
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        source = folder / "clip.npz"
        np.savez(source, joints=np.load(mocap / CLIP)[:NUM_FRAMES])
        sheets = []
        for index, prompt in enumerate(PROMPTS):
            shown = slice(GAP.start - MARGIN, GAP.stop + MARGIN)
            pose = fill(source, prompt, folder)
            pose = Pose(pose.root[shown], pose.rotations[shown])
            scene = new_scene(FPS)
            armature = build_character(CHARACTER, scene.collection)
            play(scene, armature, pose, len(pose.root), prompt=prompt, seed=0)
            sheets.append(folder / f"{index}.png")
            render_contact_sheet(scene, armature, prompt, sheets[-1])
        write_jpeg(sheets, picture)


if __name__ == "__main__":
    main()

"""A recipe, motions and data folders small enough to train on within a test."""

from pathlib import Path

import numpy as np
import torch

from model_runtime.training import data
from model_runtime.training.layouts import Clip
from model_runtime.training.loop import Stage
from model_runtime.training.recipe import Recipe, read_recipe
from model_runtime.training.train_rvq import rvq_stage
from momask_blender.contract.skeleton import INDEX, REST_JOINTS

SIZES = "num_codes = 8\ncode_size = 8\n"
NETWORK = SIZES + "num_quantizers = 3\ntext_size = 388\nwidth = 8\nfeedforward = 16\n"
NETWORK += "num_layers = 1\nnum_heads = 2\n"
LOOP = "steps = {steps}\nbatch_size = 4\nlearning_rate = 1e-3\nvalidate_every = 3\n"


def write_recipe(file: Path, steps: int = 3, extra: str = "") -> Path:
    """A recipe of tiny networks, `steps` steps of each; `extra` goes in front."""
    parts = ['name = "tiny"\nlicence = "none"\ndata_notice = "none"', extra]
    parts += ["[data]\nspeeds = [1.0]", f"[rvq]\n{SIZES}num_quantizers = 3\nwidth = 8"]
    parts += [f"[base]\n{NETWORK}", f"[residual]\n{NETWORK}"]
    parts += ["[length]\ntext_size = 388\nhidden = [8]"]
    parts += ["[rvq_training]\nplain_steps = 1\n" + LOOP.format(steps=steps)]
    parts += [f"[{name}_training]\n{LOOP.format(steps=steps)}" for name in ("base", "residual")]
    parts += [f"[length_training]\n{LOOP.format(steps=steps)}"]
    file.write_text("\n".join(parts) + "\n", encoding="utf-8")
    return file


def walk(num_frames: int = 60, speed: float = 0.05, seed: int = 0) -> np.ndarray:
    """(T, 22, 3): the T-pose gliding ahead while its left arm waves."""
    rng = np.random.default_rng(seed)
    time = np.arange(num_frames)[:, None]
    joints = REST_JOINTS + speed * time[..., None] * (0.0, 0.0, 1.0)
    joints[:, INDEX["left_wrist"], 1] += 0.1 * np.sin(0.3 * time[:, 0] + rng.uniform(0, 6))
    return joints


def write_clip(folder: Path, name: str, joints: np.ndarray, text: str = "a person walks") -> None:
    for part in ("joints", "texts"):
        (folder / part).mkdir(parents=True, exist_ok=True)
    np.save(folder / "joints" / f"{name}.npy", joints)
    (folder / "texts" / f"{name}.txt").write_text(f"{text}#a/DET#0.0#0.0\n", encoding="utf-8")


def write_data(folder: Path) -> Path:
    for name, speed in (("one", 0.05), ("two", 0.02), ("three", 0.0)):
        write_clip(folder, name, walk(speed=speed))
    (folder / "train.txt").write_text("one\ntwo\n", encoding="utf-8")
    (folder / "val.txt").write_text("three\n", encoding="utf-8")
    return folder


def tiny_stage(recipe_file: Path) -> tuple[Recipe, Stage]:
    """The tokenizer's stage on three clips."""
    recipe = read_recipe(recipe_file)
    clips = [Clip(str(seed), walk(seed=seed), ("a person walks",)) for seed in range(3)]
    motions = data.plain_motions(clips)
    mean, std = data.statistics(motions, 5.0)
    pair = torch.from_numpy(mean), torch.from_numpy(std + 1e-3)
    return recipe, rvq_stage(recipe, motions[:2], motions[2:], pair)

"""Use case: an animation in a file -> its gaps filled -> another file."""

import tempfile
import time
from argparse import Namespace
from collections.abc import Generator, Iterable
from pathlib import Path
from typing import Any

import bpy
from bpy.types import Object

from .animation.actions import bound_channels, key_range
from .animation.export import export_take, save_blend
from .contract.messages import Finished
from .errors import UserError
from .generate import scene_of
from .inpaint_arguments import kept_frames
from .inputs import frame_rate
from .interrupt import ends_on_interrupt
from .job import request_motion
from .own_character import know_bones, open_character
from .refs import Ref
from .retarget.fit import Fit
from .rig.known_maps import known_maps
from .terminal import Terminal, quiet_stdout
from .timeline.fill import Wish
from .timeline.fills import Fill
from .timeline.ranges import Frames, gaps_between
from .timeline.wishes import roles_of, scene_frames


def fill_file(chosen: Namespace, show: Terminal) -> dict[str, float]:
    """-> seconds per stage. `chosen` as `check_inpaint` has checked it. Raises UserError."""
    began = time.perf_counter()
    with tempfile.TemporaryDirectory(prefix="momask-") as folder:
        source = Path(folder) / "source.npz"
        with ends_on_interrupt(lambda: None), quiet_stdout():
            armature = _open(chosen, show)
            fill = _fill(armature, chosen)
            _run(fill.read(source))
        seconds = {"Reading": round(time.perf_counter() - began, 3)}
        request = fill.request(source, str(Path(folder) / "filled.npz"))
        finished = fill.without_model(source, request) or request_motion(request, show.message)
        with ends_on_interrupt(lambda: None), quiet_stdout():
            began = time.perf_counter()
            for warning in _write(fill, finished, request):
                show.note(warning)
            seconds |= finished.seconds
            seconds["Writing keys"] = round(time.perf_counter() - began, 3)
            if chosen.out.suffix.lower() == ".blend":
                save_blend(chosen.out)
            else:
                export_take(fill.armature.resolve(), chosen.out)
    return seconds


def _open(chosen: Namespace, show: Terminal) -> Object:
    armature = open_character(chosen.source, chosen.armature, at_its_rate=True)
    know_bones(armature, chosen.map, show.note)
    return armature


def _fill(armature: Object, chosen: Namespace) -> Fill:
    scene = scene_of(armature, None)
    whole = scene_frames(scene) if chosen.source.suffix.lower() == ".blend" else _keyed(armature)
    wish = Wish(
        gaps=tuple(gaps_between(kept_frames(chosen.keep), whole)),
        whole=whole,
        fps=frame_rate(scene),
        fit=Fit(feet=chosen.feet.upper()),
        parts=roles_of(chosen.body.upper()),
    )
    asked = {
        "prompt": chosen.prompt,
        "seed": chosen.seed,
        "weights": chosen.weights,
        "guidance_scale": chosen.guidance,
        "residual_guidance_scale": chosen.residual_guidance,
        "steps": chosen.steps,
        "draft": chosen.draft,
    }
    return Fill(Ref.of(armature), known_maps.map_of(armature), wish, asked)


def _keyed(armature: Object) -> Frames:
    channels = bound_channels(armature)
    if channels is None or not channels.fcurves:
        raise UserError(f"'{armature.name}' has no animation in this file: nothing can be kept.")
    return Frames(*key_range(channels))


def _write(fill: Fill, finished: Finished, request: Any) -> Iterable[str]:
    filled = list(fill.steps(finished, request))[-1]
    scene = scene_of(fill.armature.resolve(), None)
    scene.frame_set(scene.frame_current)
    bpy.context.view_layer.update()
    return filled.warnings


def _run(steps: Generator[Any, None, None]) -> None:
    for _ in steps:
        pass

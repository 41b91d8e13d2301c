"""Use case: prompt -> motion -> a new character that plays it -> a file."""

import tempfile
import time
from argparse import Namespace
from collections.abc import Callable, Generator
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import bpy
from bpy.types import Object, Scene

from .animation.export import export_take, save_blend
from .animation.film import render_film
from .animation.preview import render_contact_sheet
from .animation.takes import Take, fit_of, make_take, play_take, read_pose
from .contract.messages import Finished, Generate, Notice, Progress
from .contract.pose import Pose
from .contract.skeleton import FPS
from .fitting import fit_motion, read_rig, take_keys
from .inputs import frame_rate
from .job import request_motion
from .placement import CHARACTER
from .retarget.fit import Fit
from .rig.character import build_character
from .rig.known_maps import known_maps

AS_IT_COMES = Fit()
NTSC = 1.001  # 23.976 frames per second are 24 / 1.001


@dataclass(frozen=True, kw_only=True)
class Delivery:
    """Where the motion goes and at which rate."""

    file: Path  # .fbx, .glb, .bvh or .blend
    preview: Path | None = None  # .png or .mp4
    preset: str = "GENERIC"  # the engine that an .fbx is for
    fps: float | None = None  # None keeps the scene's own rate
    seconds: float | None = None  # as asked for; None: as long as the motion is
    fit: Fit = AS_IT_COMES

    @classmethod
    def of(cls, chosen: Namespace) -> "Delivery":
        """As the command line of `generate` says."""
        return cls(
            file=chosen.out,
            preview=chosen.preview,
            preset=(chosen.preset or "generic").upper(),
            fps=chosen.fps,
            seconds=chosen.seconds,
            fit=Fit(feet=chosen.feet.upper(), travel=chosen.travel.upper().replace("-", "_")),
        )


def request_pose(
    request: Generate, on_message: Callable[[Progress | Notice], None]
) -> tuple[Pose, Finished]:
    """Have the motion made: 20 fps, model axes; and what the worker said. Raises UserError."""
    with tempfile.TemporaryDirectory(prefix="momask-") as folder:
        asked = replace(request, out=str(Path(folder) / "motion.npz"))
        finished = request_motion(asked, on_message)
        return read_pose(finished.files[0]), finished


def deliver(
    pose: Pose,
    how: dict[str, Any],
    delivery: Delivery,
    announce: Callable[[str], None],
    own: Object | None = None,
) -> dict[str, float]:
    """A character plays the pose and goes into files. -> seconds per stage. Raises UserError.

    `how` is what `takes.made_by` says of it. `own` is a character of the open file; without it a
    new one is made, in an empty file.
    """
    seconds: dict[str, float] = {}

    def stage(name: str, work: Callable[[], None]) -> None:
        announce(name)
        started = time.perf_counter()
        work()
        seconds[name] = round(time.perf_counter() - started, 3)

    scene = scene_of(own, delivery.fps) if own else new_scene(delivery.fps)
    armature = own or build_character(CHARACTER, scene.collection)
    num_keys = count_keys(scene, pose, delivery.seconds)
    stage("Writing keys", lambda: play(scene, armature, pose, num_keys, fit=delivery.fit, **how))
    if delivery.file.suffix.lower() == ".blend":
        stage("Saving", lambda: save_blend(delivery.file))
    else:
        stage("Exporting", lambda: export_take(armature, delivery.file, delivery.preset))
    if delivery.preview:
        stage(
            "Rendering", lambda: preview(scene, armature, how["prompt"], delivery.preview, announce)
        )
    return seconds


def preview(
    scene: Scene, armature: Object, caption: str, file: Path, announce: Callable[[str], None]
) -> None:
    """A film or a contact sheet, by the ending of `file`. Raises UserError."""
    if file.suffix.lower() == ".png":
        render_contact_sheet(scene, armature, caption, file)
        return

    def count(done: int, total: int) -> None:
        announce(f"Rendering {done} of {total}")

    render_film(scene, armature, caption, file, count)


def new_scene(fps: float | None) -> Scene:
    """An empty file; its scene keeps Blender's own rate unless another is asked for."""
    bpy.ops.wm.read_factory_settings(use_empty=True)
    return at_rate(bpy.context.scene, fps)


def scene_of(armature: Object, fps: float | None) -> Scene:
    """The open one where the armature is in it. It keeps its rate unless another is asked for."""
    scenes = armature.users_scene
    return at_rate(bpy.context.scene if bpy.context.scene in scenes else scenes[0], fps)


def at_rate(scene: Scene, fps: float | None) -> Scene:
    if fps is not None:
        scene.render.fps, scene.render.fps_base = split_rate(fps)
    return scene


def split_rate(fps: float) -> tuple[int, float]:
    """Blender's `fps` and `fps_base`. 29.97 and its like become what broadcasters mean by them,
    which is what FBX has a name for."""
    whole = max(1, round(fps))
    if fps != whole and abs(fps - whole / NTSC) < 0.005:
        return whole, NTSC
    return whole, whole / fps


def count_keys(scene: Scene, pose: Pose, seconds: float | None) -> int:
    """N seconds give round(N x fps) keys."""
    length = len(pose.root) / FPS if seconds is None else seconds
    return max(1, round(length * frame_rate(scene)))


def play(
    scene: Scene,
    armature: Object,
    pose: Pose,
    num_keys: int,
    prompt: str,
    fit: Fit = AS_IT_COMES,
    **how: Any,
) -> None:
    """Key a pose (20 fps, model axes) from the scene's start frame, one key per frame.

    `how` are further fields of the `Take`.
    """
    scene.frame_end = scene.frame_start + num_keys - 1
    take = Take(
        prompt=prompt,
        num_keys=num_keys,
        fps=frame_rate(scene),
        first_frame=scene.frame_start,
        character=armature.name,
        fit=asdict(fit),
        **how,
    )
    name = _run(_write(armature, pose, take))
    play_take(armature, bpy.data.actions[name])
    scene.frame_set(scene.frame_start)


def _write(armature: Object, pose: Pose, take: Take) -> Generator[None, None, str]:
    cursor = bpy.context.scene.cursor.matrix
    rig = yield from read_rig(armature, known_maps.map_of(armature), fit_of(take), cursor)
    motion = yield from fit_motion(rig, pose, take.num_keys, take.fps)
    name, _ = yield from make_take(armature, take, take_keys(rig, motion))
    return name


def _run(steps: Generator[None, None, str]) -> str:
    """Nobody watches a window: all steps at once."""
    while True:
        try:
            next(steps)
        except StopIteration as end:
            return end.value

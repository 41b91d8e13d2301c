"""What the panel is set to -> a request, and where its result goes. Says what is missing."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import bpy
from bpy.types import Context, Object, Scene

from .animation.takes import Span
from .contract.messages import Generate, frames_for_seconds
from .contract.skeleton import FPS, MAX_FRAMES, MAX_SECONDS
from .contract.weights_root import weights_root
from .errors import UserError
from .placement import Placement
from .refs import Ref
from .retarget.fit import Fit
from .rig.checks import check_armature
from .rig.known_maps import known_maps
from .rig.selected import armature_of
from .settings import preferences
from .worker_client import ROOT, package_folders

SHIPPED_WEIGHTS = ROOT / "model_runtime" / "weights"
CARD_FILE = "model.json"


@dataclass(frozen=True)
class Lack:
    """Something that has to be put right before a motion can be made; `fix` is an operator."""

    text: str
    fix: str = ""


def request_from(settings: Any, seed: int) -> Generate:
    """Raises UserError that names the setting. Job number and file are the session's."""
    try:
        return Generate(
            prompt=settings.prompt,
            out="",
            num_frames=num_frames(settings),
            **sampling_from(settings, seed),
        )
    except ValueError as error:
        raise UserError(str(error)) from error


def sampling_from(settings: Any, seed: int) -> dict[str, Any]:
    """The fields of a request that say how it is made. Raises UserError."""
    wanted = preferences()
    own = settings.own_settings
    return {
        "seed": seed,
        "variations": settings.variations,
        "weights": model_name(wanted.model),
        "device": wanted.device,
        "draft": settings.quality == "DRAFT",
        "steps": None if own else settings.steps,
        "guidance_scale": None if own else settings.guidance,
        "residual_guidance_scale": None if own else settings.residual_guidance,
        "temperature": None if own else settings.temperature,
    }


def model_name(name: str) -> str:
    """A plain name, which is looked up in the known folders only. Raises UserError."""
    if name != Path(name).name or "\\" in name:
        raise UserError(
            f"'{name}' is no name of a model. Choose one in the preferences.",
            fix="momask.show_preferences",
        )
    return name


def num_frames(settings: Any) -> int | None:
    """At 20 fps, None where the model decides. Raises UserError, ValueError."""
    if settings.length == "MODEL":
        return None
    if settings.length == "SECONDS":
        return frames_for_seconds(seconds_of(settings))
    scene = settings.id_data
    first, last = range_of(scene, settings.length)
    rate = frame_rate(scene)
    seconds = (last - first + 1) / rate
    if seconds > MAX_SECONDS + 0.5 / rate:
        raise UserError(
            f"Frames {first} to {last} are {seconds:.1f} seconds; a motion can have "
            f"{MAX_SECONDS:g}. Shorten the range, or set the length in seconds."
        )
    return max(1, min(MAX_FRAMES, round(seconds * FPS)))


def seconds_of(settings: Any) -> float:
    """Blender keeps 9.8 as 9.80000019."""
    return round(settings.seconds, 4)


def range_of(scene: Scene, length: str) -> tuple[int, int]:
    """First and last frame. Raises UserError."""
    if length == "SCENE":
        return scene.frame_start, scene.frame_end
    if not scene.use_preview_range:
        raise UserError("The scene has no preview range. Set one in the timeline, with P.")
    return scene.frame_preview_start, scene.frame_preview_end


def frame_rate(scene: Scene) -> float:
    return scene.render.fps / scene.render.fps_base


def span_from(settings: Any) -> Span:
    """Raises UserError."""
    scene = settings.id_data
    rate = frame_rate(scene)
    if settings.length in ("SCENE", "PREVIEW"):
        first, last = range_of(scene, settings.length)
        return Span(first_frame=first, fps=rate, num_keys=last - first + 1)
    first = scene.frame_current if settings.start == "CURRENT" else scene.frame_start
    if settings.length == "MODEL":
        return Span(first_frame=first, fps=rate)
    return Span(first_frame=first, fps=rate, num_keys=max(1, round(seconds_of(settings) * rate)))


def fit_from(settings: Any) -> Fit:
    return Fit(
        feet=settings.feet,
        travel=settings.travel,
        start=settings.start_at,
        ground=settings.ground,
        reduce_keys=settings.reduce_keys,
        reduce_legs=settings.reduce_keys and settings.reduce_legs,
        relaxed_hands=settings.relaxed_hands,
        ik_feet=settings.ik_feet,
    )


def placement_from(context: Context, settings: Any) -> Placement:
    """Raises UserError when there is no character to put it on, or its bones are not known."""
    scene = settings.id_data
    target = Ref.of(target_of(context)) if settings.target == "ACTIVE" else None
    return Placement(
        scene=Ref.of(scene),
        armature=target,
        span=span_from(settings),
        cursor=scene.cursor.matrix.copy(),
        fit=fit_from(settings),
    )


def target_of(context: Context) -> Object:
    """The active character. Raises UserError when there is none, when poses on it would not mean
    what they say, or its bones are not known."""
    armature = armature_of(context.object)
    if armature is not None:
        known_maps.look_up(armature)
    if lack := lack_of_character(context):
        raise UserError(lack.text, fix=lack.fix)
    assert armature is not None
    check_armature(armature)
    return armature


def lack_of_target(context: Context, settings: Any) -> Lack | None:
    return None if settings.target == "NEW" else lack_of_character(context)


def lack_of_character(context: Context) -> Lack | None:
    """What is known without looking at bones; those not looked at yet lack nothing."""
    ob = context.object
    if ob is None:
        return Lack("No character is selected", "momask.use_new_character")
    armature = armature_of(ob)
    if armature is None:
        return Lack(f"'{ob.name}' has no armature", "momask.use_new_character")
    if armature.library is not None:
        return Lack(f"'{armature.name}' is linked: make an override")
    known = known_maps.peek(armature)
    if known is not None and known.joint_map is None:
        return Lack(known.error, known.fix or "momask.use_new_character")
    return None


def lack_of_length(settings: Any, model_can_choose: bool) -> Lack | None:
    if settings.length == "MODEL" and not model_can_choose:
        name = preferences().model
        return Lack(f"The model '{name}' cannot choose a length: set Length to Seconds")
    try:
        num_frames(settings)
    except (UserError, ValueError) as error:
        return Lack(str(error))
    return None


def lack_of_runtime() -> Lack | None:
    """Looks at folders: not for drawing."""
    if not package_folders(["onnxruntime", "torch"]):
        return Lack("The motion generator is missing: install the add-on again")
    name = preferences().model
    if name not in known_models():
        return Lack(f"There is no model '{name}'", "momask.show_preferences")
    return None


def weights_folder() -> str:
    """As the preferences have it; empty: the user's own, see `contract.weights_root`."""
    folder = preferences().weights_folder
    return bpy.path.abspath(folder) if folder else ""


def known_models() -> list[str]:
    """Names of the shipped model and of those in the weights folder."""
    names: list[str] = []
    for root in _roots():
        try:
            names += sorted(card.parent.name for card in root.glob(f"*/{CARD_FILE}"))
        except OSError:
            continue  # a share that is offline offers no models
    return names


def can_choose_length(name: str) -> bool:
    """Whether the model has a length estimator, by its card. Looks at files: not for drawing."""
    for root in _roots():
        try:
            card = json.loads((root / name / CARD_FILE).read_text(encoding="utf-8"))
            return bool(card.get("length"))
        except (OSError, ValueError, AttributeError):
            continue  # not here, or damaged: opening it tells
    return True


def _roots() -> list[Path]:
    folder = weights_folder()
    return [SHIPPED_WEIGHTS, Path(folder) if folder else weights_root()]

"""What the add-on and the worker say to each other: one JSON object per line.

The add-on sends `Generate`; the worker answers with any number of `Progress` and `Notice` lines
and then one `Finished` or `Failed`. Arrays travel as an `.npz` file that the request names.
"""

import json
import math
from dataclasses import asdict, dataclass

from .skeleton import FPS, MAX_FRAMES, MAX_SECONDS

MAX_SEED = 2**31 - 1  # Blender's integer properties are 32-bit


@dataclass(frozen=True, kw_only=True)
class Generate:
    """One motion to make. None leaves a choice to the model: its length estimator, its defaults.

    Raises ValueError with a message for the user, which states the limit.
    """

    prompt: str
    out: str  # .npz file to write
    num_frames: int | None = None  # at 20 fps
    seed: int = 0
    weights: str = "starter"  # name of a shipped model, or a folder
    guidance_scale: float | None = None
    residual_guidance_scale: float | None = None
    steps: int | None = None

    def __post_init__(self) -> None:
        if not self.prompt.strip():
            raise ValueError("The prompt is empty. Describe a motion: 'a person walks forward'.")
        if any("\ud800" <= character <= "\udfff" for character in self.prompt):
            raise ValueError("The prompt is not valid text; it must be UTF-8.")
        if self.num_frames is not None and not 1 <= self.num_frames <= MAX_FRAMES:
            raise ValueError(
                f"The length must be 1 to {MAX_FRAMES} frames at {FPS} fps "
                f"({MAX_SECONDS:g} seconds), got {self.num_frames} frames."
            )
        if not 0 <= self.seed <= MAX_SEED:
            raise ValueError(f"The seed must be 0 to {MAX_SEED}, got {self.seed}.")
        if self.steps is not None and not 1 <= self.steps <= 100:
            raise ValueError(f"The number of steps must be 1 to 100, got {self.steps}.")
        for name in ("guidance_scale", "residual_guidance_scale"):
            scale = getattr(self, name)
            if scale is not None and not (math.isfinite(scale) and 0.0 <= scale <= 20.0):
                words = name.replace("_", " ")
                raise ValueError(f"The {words} must be 0 to 20, got {scale:g}.")


@dataclass(frozen=True, kw_only=True)
class Progress:
    """Phase in the animator's words; `done` of `total` parts of the whole request."""

    phase: str
    done: int
    total: int


@dataclass(frozen=True, kw_only=True)
class Notice:
    """Something the user should know that does not stop the request."""

    text: str


@dataclass(frozen=True, kw_only=True)
class Finished:
    """The request's `.npz` file is complete. `seconds` says how long each stage took."""

    out: str
    seconds: dict[str, float]


@dataclass(frozen=True, kw_only=True)
class Failed:
    """The request came to nothing; `message` tells the user why, in one line."""

    message: str


Message = Generate | Progress | Notice | Finished | Failed
KINDS = {kind.__name__: kind for kind in (Generate, Progress, Notice, Finished, Failed)}


def to_line(message: Message) -> str:
    return json.dumps({"kind": type(message).__name__} | asdict(message)) + "\n"


def from_line(line: str) -> Message:
    """Raises ValueError when the line is not one of our messages."""
    try:
        fields = json.loads(line)
        return KINDS[fields.pop("kind")](**fields)
    except (AttributeError, KeyError, TypeError, json.JSONDecodeError) as error:
        raise ValueError(f"Not a message: {line[:80]!r}") from error


def frames_for_seconds(seconds: float) -> int:
    """Length in frames at 20 fps. Raises ValueError outside (0, 9.8] seconds."""
    if not math.isfinite(seconds) or not 0.0 < seconds <= MAX_SECONDS:
        raise ValueError(
            f"The length must be more than 0 and at most {MAX_SECONDS:g} seconds, got {seconds:g}."
        )
    return max(1, round(seconds * FPS))

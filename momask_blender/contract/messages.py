"""What the add-on and the worker say to each other: one JSON object per line.

The worker says `Hello` when it starts. The add-on sends jobs (`Load`, `Generate`, `Inpaint`,
`Unload`), `Cancel` or `Quit`. A job is answered, under its own number, with `Progress` and `Notice`
lines and then with one `Loaded`, `Finished`, `Unloaded` or `Failed`. Jobs run one after another;
`Cancel` is heard at once. Arrays travel as `.npz` files that the request names.

`weights_fetcher`, a child of its own, says `Offer`, `CudaRuntime`, `FoundWheels`, `Progress` and
`Notice`, at last `Finished` or `Failed`.
"""

import json
import math
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from .kept_ranges import Range, check_ranges
from .skeleton import FPS, MAX_FRAMES, MAX_SECONDS

PROTOCOL = 5
MAX_SEED = 2**31 - 1  # Blender's integer properties are 32-bit
MAX_VARIATIONS = 16
DEVICES = ("auto", "cpu", "cuda")

# Codes of `Failed`: the add-on chooses by them which button it offers.
BAD_INPUT = "BAD_INPUT"
WEIGHTS = "WEIGHTS"  # missing, damaged or from a newer version
DEVICE = "DEVICE"  # the wanted device or its runtime is not there
OUT_OF_MEMORY = "OUT_OF_MEMORY"
FILES = "FILES"  # the result cannot be written: disk full, read-only folder
NETWORK = "NETWORK"  # weights cannot be fetched: no connection, no host has them
CANCELLED = "CANCELLED"
INTERNAL = "INTERNAL"


@dataclass(frozen=True, kw_only=True)
class Hello:
    """The worker is there. `python` is the version of its interpreter."""

    protocol: int
    python: str
    pid: int


@dataclass(frozen=True, kw_only=True)
class Load:
    """Open a model so that the next motion starts at once. Raises ValueError."""

    job: int
    weights: str = "starter"  # name of a known model, or a folder
    device: str = "auto"

    def __post_init__(self) -> None:
        _check_device(self.device)


@dataclass(frozen=True, kw_only=True)
class Making:
    """What every request for motions says. None leaves a choice to the model: its defaults.

    Variation i has seed `seed + i` and goes to `files()[i]`. Raises ValueError with a message for
    the user, which states the limit.
    """

    out: str  # .npz file to write
    prompt: str = ""
    job: int = 0
    seed: int = 0
    variations: int = 1
    weights: str = "starter"  # name of a known model, or a folder
    device: str = "auto"
    guidance_scale: float | None = None
    residual_guidance_scale: float | None = None
    steps: int | None = None
    temperature: float | None = None
    draft: bool = False  # fewer and rougher passes, unless `steps` and scales say otherwise

    def __post_init__(self) -> None:
        if any("\ud800" <= character <= "\udfff" for character in self.prompt):
            raise ValueError("The prompt is not valid text; it must be UTF-8.")
        if not 0 <= self.seed <= MAX_SEED:
            raise ValueError(f"The seed must be 0 to {MAX_SEED}, got {self.seed}.")
        if not 1 <= self.variations <= MAX_VARIATIONS:
            raise ValueError(f"There can be 1 to {MAX_VARIATIONS} variations.")
        if self.steps is not None and not 1 <= self.steps <= 100:
            raise ValueError(f"The number of steps must be 1 to 100, got {self.steps}.")
        _check_device(self.device)
        _check_number("guidance scale", self.guidance_scale, 0.0, 20.0)
        _check_number("residual guidance scale", self.residual_guidance_scale, 0.0, 20.0)
        _check_number("temperature", self.temperature, 0.05, 5.0)

    def seeds(self) -> list[int]:
        """One for each variation, (variations,)."""
        return [(self.seed + index) % (MAX_SEED + 1) for index in range(self.variations)]

    def files(self) -> list[str]:
        """Where each variation goes: `walk.npz`, `walk-2.npz`, ..."""
        first = Path(self.out)
        others = range(2, self.variations + 1)
        return [self.out, *(str(first.with_stem(f"{first.stem}-{n}")) for n in others)]


@dataclass(frozen=True, kw_only=True)
class Generate(Making):
    """Motions to make from a prompt; without `num_frames` the length estimator chooses."""

    num_frames: int | None = None  # at 20 fps

    def __post_init__(self) -> None:
        if not self.prompt.strip():
            raise ValueError("The prompt is empty. Describe a motion: 'a person walks forward'.")
        if self.num_frames is not None and not 1 <= self.num_frames <= MAX_FRAMES:
            raise ValueError(
                f"The length must be 1 to {MAX_FRAMES} frames at {FPS} fps "
                f"({MAX_SECONDS:g} seconds), got {self.num_frames} frames."
            )
        super().__post_init__()


@dataclass(frozen=True, kw_only=True)
class Inpaint(Making):
    """Gaps of a motion to fill. The prompt may be empty: then the kept frames alone decide.

    `source` is a `.npz` file at 20 fps with `root` (T, 3) and `rotations` (T, 22, 4) of a `Pose`,
    or with `joints` (T, 22, 3); the results have as many frames, in the same place.
    """

    source: str
    kept: tuple[Range, ...]  # first and last frame of each range that stays, counted from 0
    gap_names: tuple[str, ...] = ()  # what the user calls the frames of each gap; else as above

    def __post_init__(self) -> None:
        super().__post_init__()
        object.__setattr__(self, "gap_names", tuple(self.gap_names))  # JSON has lists only
        ranges = tuple((first, last) for first, last in self.kept)  # JSON has lists only
        object.__setattr__(self, "kept", check_ranges(ranges))
        files = self.files() if self.out else []  # the session says later where to
        if any(Path(file).absolute() == Path(self.source).absolute() for file in files):
            raise ValueError(f"{self.source} would be overwritten. Name another file to write.")


def _check_device(device: str) -> None:
    if device not in DEVICES:
        raise ValueError(f"The device must be {', '.join(DEVICES)}, got '{device}'.")


def _check_number(what: str, value: float | None, least: float, most: float) -> None:
    if value is not None and not (math.isfinite(value) and least <= value <= most):
        raise ValueError(f"The {what} must be {least:g} to {most:g}, got {value:g}.")


@dataclass(frozen=True, kw_only=True)
class Cancel:
    """Give a job up, running or waiting; it is answered with `Failed`, code CANCELLED."""

    job: int


@dataclass(frozen=True, kw_only=True)
class Unload:
    """Forget the loaded model and give its memory back."""

    job: int


@dataclass(frozen=True, kw_only=True)
class Quit:
    """End the worker after the jobs that it has."""


@dataclass(frozen=True, kw_only=True)
class Progress:
    """Phase in the animator's words; `done` of `total` equal parts of the whole job."""

    phase: str
    done: int
    total: int
    job: int = 0


@dataclass(frozen=True, kw_only=True)
class Notice:
    """Something the user should know that does not stop the job; prompts that would do better.

    Where `prompts` stand for one of several actions, `whole_prompts` have each in its place.
    """

    text: str
    prompts: tuple[str, ...] = ()
    whole_prompts: tuple[str, ...] = ()
    job: int = 0

    def __post_init__(self) -> None:
        for name in ("prompts", "whole_prompts"):
            object.__setattr__(self, name, tuple(getattr(self, name)))  # JSON has lists only

    def offers(self) -> list[tuple[str, str]]:
        """Each prompt that would do better, and what the whole prompt would be with it."""
        return list(zip(self.prompts, self.whole_prompts or self.prompts, strict=True))

    def in_one_line(self) -> str:
        return " ".join([self.text, ", ".join(f"'{prompt}'" for prompt in self.prompts)]).strip()


@dataclass(frozen=True, kw_only=True)
class Loaded:
    """The model is open. `runs_on` says where, in the user's words."""

    job: int
    weights: str
    runs_on: str


@dataclass(frozen=True, kw_only=True)
class Finished:
    """The job's `.npz` files are complete. `seconds` says how long each stage took."""

    files: tuple[str, ...]
    seconds: dict[str, float]
    runs_on: str = ""
    settings: dict[str, Any] = field(default_factory=dict)  # as used: model, steps, scales
    job: int = 0

    def __post_init__(self) -> None:
        object.__setattr__(self, "files", tuple(self.files))


@dataclass(frozen=True, kw_only=True)
class Unloaded:
    """No model is loaded any more. Job 0: the worker did so by itself, being idle."""

    job: int


@dataclass(frozen=True, kw_only=True)
class Offer:
    """A model that `weights_fetcher` knows. `state` is ready, fetched, begun or absent."""

    name: str
    title: str
    about: str
    state: str
    num_bytes: int  # to fetch, as far as that is not there yet
    makes_motions: bool
    licence: str
    means: str  # the licence, for use, in plain words
    text: str  # of the licence
    must_be_accepted: bool


@dataclass(frozen=True, kw_only=True)
class CudaRuntime:
    """PyTorch for CUDA, here or to be had. `state` is ready, begun or absent."""

    state: str
    told: str  # what motions run on and why, in one line
    offered: str  # what would be installed; empty where nothing is offered for this system
    num_bytes: int  # to fetch, as far as that is not there yet
    folder: str
    licence: str
    means: str
    text: str


@dataclass(frozen=True, kw_only=True)
class FoundWheels:
    """What a folder of wheels would install; `confirmation` agrees to exactly that."""

    lines: tuple[str, ...]  # name, size and SHA-256 of each
    num_bytes: int
    confirmation: str

    def __post_init__(self) -> None:
        object.__setattr__(self, "lines", tuple(self.lines))


@dataclass(frozen=True, kw_only=True)
class Failed:
    """The job came to nothing; `message` tells the user why, in one line."""

    message: str
    code: str = INTERNAL
    job: int = 0


Job = Load | Generate | Inpaint | Unload
Answer = Loaded | Finished | Unloaded | Failed
Message = (
    Hello | Job | Cancel | Quit | Progress | Notice | Offer | CudaRuntime | FoundWheels | Answer
)
KINDS = {
    kind.__name__: kind
    for kind in (
        *(Hello, Load, Generate, Inpaint, Unload, Cancel, Quit),
        *(Progress, Notice, Offer, CudaRuntime, FoundWheels),
        *(Loaded, Finished, Unloaded, Failed),
    )
}


def to_line(message: Message) -> str:
    return json.dumps({"kind": type(message).__name__} | asdict(message)) + "\n"


def from_line(line: str) -> Message:
    """Raises ValueError when the line is not one of our messages."""
    try:
        fields = json.loads(line)
        return KINDS[fields.pop("kind")](**fields)
    except (AttributeError, KeyError, TypeError, RecursionError, json.JSONDecodeError) as error:
        raise ValueError(f"Not a message: {line[:80]!r}") from error


def frames_for_seconds(seconds: float) -> int:
    """Length in frames at 20 fps. Raises ValueError outside (0, 9.8] seconds."""
    if not math.isfinite(seconds) or not 0.0 < seconds <= MAX_SECONDS:
        raise ValueError(
            f"The length must be more than 0 and at most {MAX_SECONDS:g} seconds, got {seconds:g}."
        )
    return max(1, round(seconds * FPS))

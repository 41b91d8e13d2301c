"""One request -> `.npz` files, with the model kept open for the next request."""

import os
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from model_runtime.backends import open_networks
from model_runtime.familiarity import KnownPrompts
from model_runtime.gap_tokens import count_steps
from model_runtime.inpainting import about_short_gaps, check_fills, inpaint, sampling_for_gaps
from model_runtime.networks import Networks, Text, find_weights
from model_runtime.parts import joined_prompt
from model_runtime.pipeline import Motion, as_condition, generate, read_prompt
from model_runtime.sampling import Sampling, for_drafts
from model_runtime.source_motion import as_made, filled_arrays, read_source
from momask_blender.contract.messages import (
    Finished,
    Generate,
    Inpaint,
    Making,
    Message,
    Notice,
    Progress,
)
from momask_blender.contract.skeleton import FPS

Send = Callable[[Message], None]
Arrays = dict[str, NDArray]

LOADING, READING, WRITING = "Loading the model", "Reading the prompt", "Saving"
KIT_NOTICE = (
    "'{}' moves 21 joints at 12.5 frames per second: collars and the middle of the spine are "
    "placed between their neighbours, and fast motion is smoother than it was."
)
USUAL_PARTS = 20  # of a job, while the model that says how many is not open yet


class Phases:
    """Announces phases and parts of a job, and measures how long each phase took.

    `check` is called at every part; what it raises ends the job.
    """

    def __init__(self, send: Send, job: int, check: Callable[[], None] = lambda: None) -> None:
        self.seconds: dict[str, float] = {}
        self.num_parts = USUAL_PARTS
        self._send, self._job, self._check = send, job, check
        self._phase, self._began, self._done = "", 0.0, 0

    def begin(self, phase: str) -> None:
        self.end()
        self._phase, self._began = phase, time.perf_counter()
        self._announce()

    def step(self) -> None:
        self._done += 1
        self._announce()

    def notice(self, text: str) -> None:
        self._send(Notice(text=text, job=self._job))

    def end(self) -> None:
        if self._phase:
            self.seconds[self._phase] = round(time.perf_counter() - self._began, 3)
        self._phase = ""

    def _announce(self) -> None:
        self._check()
        done = min(self._done, self.num_parts)
        self._send(Progress(phase=self._phase, done=done, total=self.num_parts, job=self._job))


class MotionMaker:
    """Makes motions and keeps the model that made the last one open."""

    def __init__(self) -> None:
        self._networks: Networks | None = None
        self._opened: tuple[str, str] | None = None

    @property
    def has_model(self) -> bool:
        return self._networks is not None

    def networks_for(self, request: Making, phases: Phases) -> Networks:
        """Raises WeightsError."""
        networks = self.load(request.weights, request.device, phases)
        return networks.for_drafts() if request.draft else networks

    def load(self, weights: str, device: str, phases: Phases) -> Networks:
        """Raises WeightsError."""
        phases.begin(LOADING)
        if self._networks is None or self._opened != (weights, device):
            self.unload()
            self._networks = open_networks(find_weights(weights), device)
            self._opened = (weights, device)
            if self._networks.detour:
                phases.notice(self._networks.detour)
        phases.step()
        return self._networks

    def unload(self) -> None:
        """Give the model's memory back to the system."""
        if self._networks is not None:
            self._networks.close()
        self._networks, self._opened = None, None

    def make(self, request: Generate, send: Send, phases: Phases) -> Finished:
        """Write the request's files. Raises WeightsError, OSError or what `phases` raises."""
        networks = self.networks_for(request, phases)
        sampling = sampling_of(request, networks.card.sampling)
        phases.num_parts = count_parts(networks, sampling, request)
        phases.begin(READING)
        text = read_prompt(networks, request.prompt)
        for notice in notices(networks, text, request.job):
            send(notice)
        phases.step()
        motions = generate(
            networks,
            as_condition(text, request.variations),
            [request.num_frames] * request.variations,
            request.seeds(),
            sampling,
            phases,
        )
        phases.begin(WRITING)
        for file, motion, seed in zip(request.files(), motions, request.seeds(), strict=True):
            write_npz(Path(file), arrays_of(motion) | made_by(request, seed))
        return _finished(request, networks, sampling, phases)

    def fill(self, request: Inpaint, send: Send, phases: Phases) -> Finished:
        """Write the source's motion with its gaps filled, once for each variation.

        Raises ValueError for a source that cannot be used, WeightsError, OSError or what `phases`
        raises.
        """
        source = read_source(Path(request.source), request.kept)
        networks = self.networks_for(request, phases)
        check_fills(networks)
        usual = sampling_for_gaps(networks.card.sampling, bool(request.prompt.strip()))
        sampling = sampling_of(request, usual)
        phases.begin(READING)
        if request.prompt.strip():
            text = read_prompt(networks, request.prompt)
            vector = as_condition(text, 1)[0]
            for notice in notices(networks, text, request.job):
                send(notice)
        else:
            vector = np.zeros(networks.configs.base.text_size, dtype=np.float32)
        if words := about_short_gaps(source.is_kept, request.gap_names):
            send(Notice(text=words, job=request.job))
        phases.num_parts = 2 + count_steps(networks, sampling, source.is_kept) + request.variations
        phases.step()
        fills = inpaint(networks, vector, source, request.seeds(), sampling, phases)
        phases.begin(WRITING)
        for file, filled, seed in zip(request.files(), fills, request.seeds(), strict=True):
            arrays = filled_arrays(source, filled.pose) | as_made(filled.made)
            write_npz(Path(file), arrays | made_by(request, seed))
        return _finished(request, networks, sampling, phases)


def _finished(request: Making, networks: Networks, sampling: Sampling, phases: Phases) -> Finished:
    phases.end()
    return Finished(
        job=request.job,
        files=tuple(request.files()),
        seconds=phases.seconds,
        runs_on=networks.runs_on,
        settings={"model": networks.card.name, "draft": request.draft} | asdict(sampling),
    )


def notices(networks: Networks, text: Text, job: int) -> Iterator[Notice]:
    """What the user should know about the prompt."""
    if any(text.truncated):
        words = "The prompt is longer than the model reads; its end was left out."
        yield Notice(text=words, job=job)
    if networks.is_kit:
        yield Notice(text=KIT_NOTICE.format(networks.card.name), job=job)
    if networks.known and (notice := _about_unknown(networks.card.name, networks.known, text)):
        yield replace(notice, job=job)


def _about_unknown(model: str, known: KnownPrompts, text: Text) -> Notice | None:
    """Of several actions it names the unknown ones, and offers others for the first of them."""
    judged = [known.judge(vector) for vector in text.vectors]
    unknown = [part for part, each in enumerate(judged) if not each.is_known]
    if not unknown:
        return None
    nearest = judged[unknown[0]].nearest
    if len(judged) == 1:
        words = "this prompt, so the motion may be another one. Near prompts that work:"
        whole = ()
    else:
        named = " or ".join(f"'{text.prompts[part]}'" for part in unknown)
        words = f"{named}, so the motion may be another one there. Near prompts that work"
        words += " instead of the first:" if len(unknown) > 1 else " instead:"
        before, after = text.prompts[: unknown[0]], text.prompts[unknown[0] + 1 :]
        whole = tuple(joined_prompt([*before, each, *after]) for each in nearest)
    words = f"The model '{model}' was trained on nothing like {words}"
    return Notice(text=words, prompts=nearest, whole_prompts=whole)


def sampling_of(request: Making, defaults: Sampling) -> Sampling:
    """The model's own settings, or those of a draft, except where the request has others."""
    usual = for_drafts(defaults) if request.draft else defaults
    names = ("steps", "guidance_scale", "residual_guidance_scale", "temperature")
    wanted = {name: getattr(request, name) for name in names}
    return replace(usual, **{k: v for k, v in wanted.items() if v is not None})


def count_parts(networks: Networks, sampling: Sampling, request: Generate) -> int:
    """Loading and reading, one part per network pass, one per clip that is decoded."""
    return 2 + sampling.steps + networks.card.num_sampled - 1 + request.variations


def arrays_of(motion: Motion) -> Arrays:
    """What a file says of a generated motion."""
    return {
        "joints": motion.joints.astype(np.float32),
        "joints_rig": motion.joints_rig.astype(np.float32),
        "root": motion.pose.root.astype(np.float32),
        "rotations": motion.pose.rotations.astype(np.float32),
        "features": motion.features.astype(np.float32),
        "tokens": motion.tokens.astype(np.int32),
    }


def made_by(request: Making, seed: int) -> Arrays:
    """What a file says of how it was made."""
    return {
        "fps": np.array(FPS),
        "prompt": np.array(request.prompt),
        "seed": np.array(seed),
        "weights": np.array(request.weights),
    }


def write_npz(file: Path, arrays: Arrays) -> None:
    """Write to a neighbour first: `file` is complete or as it was before. Raises OSError."""
    handle, part = tempfile.mkstemp(dir=file.parent, prefix=f".{file.stem}.", suffix=".part")
    try:
        with os.fdopen(handle, "wb") as stream:
            np.savez_compressed(stream, **arrays)
        os.chmod(part, 0o666 & ~_umask())
        os.replace(part, file)
    finally:
        Path(part).unlink(missing_ok=True)


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask

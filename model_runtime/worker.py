"""The child process that the add-on starts: requests in on stdin, messages out on stdout.

Reads one `Generate` per line until stdin ends. Only messages reach the add-on's pipe: what
libraries print goes to stderr.
"""

import os
import sys
import tempfile
import time
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TextIO

import numpy as np

from model_runtime.networks import WeightsError, find_weights
from model_runtime.pipeline import Motion, generate
from model_runtime.sampling import Sampling
from momask_blender.contract.messages import (
    Failed,
    Finished,
    Generate,
    Message,
    Notice,
    Progress,
    from_line,
    to_line,
)
from momask_blender.contract.skeleton import FPS

Send = Callable[[Message], None]

PHASES = (
    "Loading the model",
    "Reading the prompt",
    "Generating motion",
    "Adding detail",
    "Decoding",
)


@dataclass
class Phases:
    """Announces phases and measures how long each took."""

    send: Send
    seconds: dict[str, float] = field(default_factory=dict)
    _current: str = ""
    _began: float = 0.0

    def begin(self, phase: str) -> None:
        self.end()
        self._current, self._began = phase, time.perf_counter()
        self.send(Progress(phase=phase, done=PHASES.index(phase), total=len(PHASES)))

    def end(self) -> None:
        if self._current:
            self.seconds[self._current] = round(time.perf_counter() - self._began, 3)
        self._current = ""


def serve(requests: TextIO, send: Send) -> None:
    """Answer every request line with `Finished` or `Failed`."""
    for line in requests:
        try:
            request = from_line(line)
            if not isinstance(request, Generate):
                raise ValueError(f"The worker takes Generate, got {type(request).__name__}.")
            send(run(request, send))
        except (WeightsError, ValueError, OSError) as error:
            send(Failed(message=str(error)))
        except Exception as error:  # noqa: BLE001 - the add-on must hear of every failure
            traceback.print_exc()
            send(Failed(message=f"The motion generator failed: {type(error).__name__}: {error}"))


def run(request: Generate, send: Send) -> Finished:
    """Make one motion and write its `.npz`. Raises WeightsError or OSError."""
    phases = Phases(send)
    phases.begin("Loading the model")
    from model_runtime.torch_backend import TorchNetworks  # slow to import: after the first message

    networks = TorchNetworks.open(find_weights(request.weights))
    phases.begin("Reading the prompt")
    text = networks.embed_text([request.prompt])
    if text.truncated[0]:
        send(Notice(text="The prompt is longer than the model reads; its end was left out."))
    motion = generate(
        networks,
        text.vectors,
        [request.num_frames],
        [request.seed],
        sampling_of(request, networks.card.sampling),
        phases.begin,
    )[0]
    phases.end()
    write_npz(Path(request.out), motion, request)
    return Finished(out=request.out, seconds=phases.seconds)


def sampling_of(request: Generate, defaults: Sampling) -> Sampling:
    """The model's own sampling settings, except where the request has others."""
    wanted = {
        "steps": request.steps,
        "guidance_scale": request.guidance_scale,
        "residual_guidance_scale": request.residual_guidance_scale,
    }
    return replace(defaults, **{k: v for k, v in wanted.items() if v is not None})


def write_npz(file: Path, motion: Motion, request: Generate) -> None:
    """Write to a neighbour first: `file` is complete or as it was before."""
    handle, part = tempfile.mkstemp(dir=file.parent, prefix=f".{file.stem}.", suffix=".part")
    try:
        with os.fdopen(handle, "wb") as stream:
            np.savez_compressed(
                stream,
                joints=motion.joints.astype(np.float32),
                joints_rig=motion.joints_rig.astype(np.float32),
                features=motion.features.astype(np.float32),
                tokens=motion.tokens.astype(np.int32),
                fps=np.array(FPS),
                prompt=np.array(request.prompt),
                seed=np.array(request.seed),
                weights=np.array(request.weights),
            )
        os.chmod(part, 0o666 & ~_umask())
        os.replace(part, file)
    finally:
        Path(part).unlink(missing_ok=True)


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


@contextmanager
def private_stdout() -> Iterator[Send]:
    """A `send` that owns the process's stdout; every other print is turned to stderr."""
    sys.stdout.flush()
    with os.fdopen(os.dup(1), "w", encoding="utf-8", buffering=1) as pipe:
        os.dup2(2, 1)

        def send(message: Message) -> None:
            pipe.write(to_line(message))

        yield send


def main() -> int:
    with private_stdout() as send, os.fdopen(os.dup(0), encoding="utf-8") as requests:
        serve(requests, send)
    return 0

"""The part of the command line that `momask_blender` and `model_runtime` share."""

import argparse
import sys
from typing import NoReturn

from .messages import Generate, frames_for_seconds
from .skeleton import FPS, MAX_FRAMES, MAX_SECONDS

USER_ERROR = 2  # exit status for everything that the user can put right


class Parser(argparse.ArgumentParser):
    """Says what is wrong in one line, without the usage text around it."""

    def error(self, message: str) -> NoReturn:
        self.exit(USER_ERROR, f"{self.prog}: {message}\n")


def add_generate_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("prompt", help="what the person does, in English")
    length = parser.add_mutually_exclusive_group()
    length.add_argument(
        "--seconds", type=float, help=f"length, at most {MAX_SECONDS:g}; default: the model decides"
    )
    length.add_argument(
        "--frames", type=int, help=f"length in frames at {FPS} fps, at most {MAX_FRAMES}"
    )
    add_model_arguments(parser)


def add_model_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--seed", type=int, default=0, help="same seed, same motion (default 0)")
    parser.add_argument(
        "--weights", default="starter", metavar="NAME|DIR", help="model to use (default: starter)"
    )
    parser.add_argument("--guidance", type=float, help="how strictly the body follows the prompt")
    parser.add_argument("--residual-guidance", type=float, help="the same for fine detail")
    parser.add_argument("--steps", type=int, help="sampling iterations, 1 to 100")
    parser.add_argument("--draft", action="store_true", help="faster, in fewer and rougher passes")


def generate_request(arguments: argparse.Namespace, out: str) -> Generate:
    """Raises ValueError with a message for the user."""
    frames = arguments.frames
    if arguments.seconds is not None:
        frames = frames_for_seconds(arguments.seconds)
    return Generate(
        prompt=arguments.prompt,
        out=out,
        num_frames=frames,
        seed=arguments.seed,
        weights=arguments.weights,
        guidance_scale=arguments.guidance,
        residual_guidance_scale=arguments.residual_guidance,
        steps=arguments.steps,
        draft=arguments.draft,
    )


def refuse(program: str, message: str) -> int:
    """Print one line for the user and return the exit status that goes with it."""
    print(f"{program}: {' '.join(message.split())}", file=sys.stderr)
    return USER_ERROR

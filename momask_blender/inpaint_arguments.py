"""The command line of `inpaint`: which frames of which file to keep. No bpy."""

from argparse import Namespace
from pathlib import Path

from .contract.command_line import Parser, add_model_arguments
from .contract.kept_ranges import parse_range
from .contract.targets import check_target
from .errors import UserError
from .retarget.fit import FEET
from .timeline.ranges import Frames

SOURCES = (".blend", ".fbx", ".glb", ".gltf", ".bvh")
ENDINGS = (".blend", ".fbx", ".glb", ".bvh")
BODY = ("all", "upper", "arms", "legs", "head")


def add_inpaint_arguments(parser: Parser) -> None:
    parser.add_argument("source", type=Path, help="animation FILE: " + " ".join(SOURCES))
    parser.add_argument(
        "--keep",
        action="append",
        required=True,
        metavar="A:B",
        help="frames of the scene that stay, both ends included; may be given several times",
    )
    parser.add_argument("--prompt", default="", help="what happens in between (default: what fits)")
    parser.add_argument(
        "--out", required=True, type=Path, help="FILE to write: " + " ".join(ENDINGS)
    )
    parser.add_argument("--armature", metavar="NAME", help="which armature, of several")
    parser.add_argument("--map", type=Path, help="FILE.json that says which bone is which")
    add_model_arguments(parser)
    parser.add_argument("--body", choices=BODY, default="all", help="which bones are keyed")
    parser.add_argument(
        "--feet", choices=[name.lower() for name in FEET], default="on", help="hold standing feet"
    )


def check_inpaint(chosen: Namespace) -> None:
    """Refuse what cannot end well before anything is opened. Raises UserError, ValueError."""
    if chosen.source.suffix.lower() not in SOURCES:
        listed = " ".join(SOURCES)
        raise UserError(f"'{chosen.source.name}' is no animation: it must end in one of {listed}.")
    if not chosen.source.is_file():
        raise UserError(f"There is no file {chosen.source}. Give the file of your animation.")
    check_target(chosen.out, ENDINGS)
    if chosen.out.exists() and chosen.out.samefile(chosen.source):
        raise UserError(f"{chosen.out} is the animation itself. Write to another file.")
    kept_frames(chosen.keep)


def kept_frames(words: list[str]) -> list[Frames]:
    """Raises ValueError."""
    return [Frames(*parse_range(each)) for each in words]

"""The command line of `generate`, much of which `batch` shares: character, file, rate. No bpy."""

from argparse import Namespace
from pathlib import Path

from .contract.command_line import Parser, add_generate_arguments
from .contract.targets import check_target
from .errors import UserError
from .retarget.fit import FEET, TRAVEL

ENDINGS = (".fbx", ".glb", ".bvh", ".blend", ".npz")
CHARACTER_ENDINGS = (".blend", ".fbx", ".glb", ".gltf", ".vrm", ".bvh")
PRESETS = ("generic", "unreal", "unity")
MAX_FPS = 240.0


def words(names: tuple[str, ...]) -> list[str]:
    """As one types them: IN_PLACE -> in-place."""
    return [name.lower().replace("_", "-") for name in names]


def add_generate_command(parser: Parser) -> None:
    add_generate_arguments(parser)
    parser.add_argument(
        "--out",
        required=True,
        type=Path,
        help="FILE with one of these endings: " + " ".join(ENDINGS),
    )
    add_file_arguments(parser)
    add_character_arguments(parser)
    parser.add_argument("--preview", type=Path, help="contact sheet FILE.png or film FILE.mp4")


def add_file_arguments(parser: Parser) -> None:
    parser.add_argument("--fps", type=float, help="frame rate of the keys (default: 24)")
    parser.add_argument("--preset", choices=PRESETS, help="engine that the .fbx is for")


def add_character_arguments(parser: Parser) -> None:
    own = parser.add_argument_group("your own character")
    endings = " ".join(CHARACTER_ENDINGS)
    own.add_argument("--character", type=Path, help=f"rigged character FILE with one of {endings}")
    own.add_argument("--armature", metavar="NAME", help="which armature, where FILE has several")
    own.add_argument("--map", type=Path, help="FILE.json that says which bone is which")
    own.add_argument(
        "--feet", choices=words(FEET), default="on", help="hold standing feet (default: on)"
    )
    own.add_argument(
        "--travel",
        choices=words(TRAVEL),
        default="world",
        help="who carries the travel (default: world)",
    )


def check_generate(chosen: Namespace) -> None:
    """Refuse what cannot end well before the model runs. Raises UserError, ValueError."""
    check_target(chosen.out, ENDINGS)
    check_file_arguments(chosen, chosen.out.suffix.lower())
    check_character(chosen, chosen.out.suffix.lower())
    if chosen.preview is None:
        return
    check_target(chosen.preview, (".png", ".mp4"))
    if chosen.out.suffix.lower() == ".npz":
        raise UserError("A preview needs a character: write any other file than an .npz.")


def check_file_arguments(chosen: Namespace, ending: str) -> None:
    """Raises UserError."""
    if chosen.fps is not None and not 1.0 <= chosen.fps <= MAX_FPS:
        raise UserError(f"The frame rate must be 1 to {MAX_FPS:g}, got {chosen.fps:g}.")
    if chosen.preset and ending != ".fbx":
        raise UserError("A preset is for FBX: write an .fbx or leave --preset out.")


def check_character(chosen: Namespace, ending: str) -> None:
    """Raises UserError."""
    if chosen.character is None:
        if chosen.armature is not None or chosen.map is not None:
            raise UserError("--armature and --map are about --character FILE: give that too.")
        return
    if chosen.character.suffix.lower() not in CHARACTER_ENDINGS:
        listed = " ".join(CHARACTER_ENDINGS)
        raise UserError(
            f"'{chosen.character.name}' is no character: it must end in one of {listed}."
        )
    if not chosen.character.is_file():
        raise UserError(f"There is no file {chosen.character}. Give the file of your character.")
    if ending == ".npz":
        raise UserError("An .npz has no character: leave --character out or write another file.")

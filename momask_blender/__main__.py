"""`python -m momask_blender generate|inpaint`: from words to a file, without a window."""

import io
import re
import sys
from argparse import Namespace
from pathlib import Path
from typing import TYPE_CHECKING

from .contract.command_line import Parser, add_generate_arguments, generate_request, refuse
from .contract.messages import Generate
from .contract.targets import check_target
from .errors import UserError
from .inpaint_arguments import add_inpaint_arguments, check_inpaint
from .interrupt import INTERRUPTED, ends_on_interrupt
from .job import request_motion
from .retarget.fit import FEET, TRAVEL, Fit
from .terminal import Terminal, leave, quiet_stdout

if TYPE_CHECKING:
    from bpy.types import Object

PROGRAM = "python -m momask_blender"
ENDINGS = (".fbx", ".glb", ".bvh", ".blend", ".npz")
CHARACTER_ENDINGS = (".blend", ".fbx", ".glb", ".gltf", ".vrm", ".bvh")
PRESETS = ("generic", "unreal", "unity")
MAX_FPS = 240.0

# Debian packages of the libraries that the bpy module links to and does not carry.
LIBRARY_PACKAGES = {
    "libX11.so.6": "libx11-6",
    "libXext.so.6": "libxext6",
    "libXfixes.so.3": "libxfixes3",
    "libXi.so.6": "libxi6",
    "libXrender.so.1": "libxrender1",
    "libXxf86vm.so.1": "libxxf86vm1",
    "libEGL.so.1": "libegl1",
    "libGL.so.1": "libgl1",
    "libSM.so.6": "libsm6",
    "libICE.so.6": "libice6",
    "libgomp.so.1": "libgomp1",
    "libuuid.so.1": "libuuid1",
    "libxkbcommon.so.0": "libxkbcommon0",
}


def main(arguments: list[str] | None = None) -> int:
    parser = Parser(prog=PROGRAM, description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    generate = commands.add_parser("generate", help="make a character do what the prompt says")
    add_generate_arguments(generate)
    generate.add_argument(
        "--out",
        required=True,
        type=Path,
        help="FILE with one of these endings: " + " ".join(ENDINGS),
    )
    generate.add_argument("--fps", type=float, help="frame rate of the keys (default: 24)")
    generate.add_argument("--preset", choices=PRESETS, help="engine that the .fbx is for")
    _add_character_arguments(generate)
    generate.add_argument("--preview", type=Path, help="contact sheet FILE.png or film FILE.mp4")
    add_inpaint_arguments(
        commands.add_parser("inpaint", help="fill gaps of an animation in a file")
    )
    chosen = parser.parse_args(arguments)
    try:
        return _inpaint(chosen) if chosen.command == "inpaint" else _generate(chosen)
    except (UserError, ValueError) as error:
        return refuse(PROGRAM, str(error))


def _inpaint(chosen: Namespace) -> int:
    check_inpaint(chosen)
    show = Terminal()
    with ends_on_interrupt(lambda: None):
        require_bpy()
        from .fill_file import fill_file

    seconds = fill_file(chosen, show)
    show.clear()
    stages = ", ".join(f"{name.lower()} {spent:.2f} s" for name, spent in seconds.items())
    print(f"Wrote {chosen.out} ({stages})")
    return 0


def _add_character_arguments(parser: Parser) -> None:
    own = parser.add_argument_group("your own character")
    endings = " ".join(CHARACTER_ENDINGS)
    own.add_argument("--character", type=Path, help=f"rigged character FILE with one of {endings}")
    own.add_argument("--armature", metavar="NAME", help="which armature, where FILE has several")
    own.add_argument("--map", type=Path, help="FILE.json that says which bone is which")
    own.add_argument(
        "--feet", choices=_words(FEET), default="on", help="hold standing feet (default: on)"
    )
    own.add_argument(
        "--travel",
        choices=_words(TRAVEL),
        default="world",
        help="who carries the travel (default: world)",
    )


def _words(names: tuple[str, ...]) -> list[str]:
    """As one types them: IN_PLACE -> in-place."""
    return [name.lower().replace("_", "-") for name in names]


def _generate(chosen: Namespace) -> int:
    request = generate_request(chosen, str(chosen.out))
    _check(chosen)
    show = Terminal()
    if chosen.out.suffix.lower() == ".npz":
        seconds = request_motion(request, show.message).seconds
    else:
        seconds = _generate_character(request, chosen, show)
    show.clear()
    written = " and ".join(str(file) for file in _files(chosen))
    stages = ", ".join(f"{name.lower()} {spent:.2f} s" for name, spent in seconds.items())
    print(f"Wrote {written} ({stages})")
    return 0


def _generate_character(request: Generate, chosen: Namespace, show: Terminal) -> dict[str, float]:
    with ends_on_interrupt(lambda: None):
        require_bpy()
        from .animation.takes import made_by
        from .animation.whole_files import remove_unfinished
        from .generate import Delivery, deliver, request_pose

    with ends_on_interrupt(lambda: None), quiet_stdout():
        own = _open_own(chosen, show)
    delivery = Delivery(
        file=chosen.out,
        preview=chosen.preview,
        preset=(chosen.preset or PRESETS[0]).upper(),
        fps=chosen.fps,
        seconds=chosen.seconds,
        fit=Fit(feet=chosen.feet.upper(), travel=chosen.travel.upper().replace("-", "_")),
    )
    pose, finished = request_pose(request, show.message)
    how = made_by(request, finished, request.seed)

    def abandon() -> None:
        show.clear()
        remove_unfinished(_files(chosen))

    with ends_on_interrupt(abandon), quiet_stdout():
        return finished.seconds | deliver(pose, how, delivery, show.phase, own)


def _open_own(chosen: Namespace, show: Terminal) -> "Object | None":
    """The character that the user brought, with its bones known. Raises UserError."""
    from .own_character import open_character
    from .rig.checks import check_armature
    from .rig.known_maps import known_maps
    from .rig.map_file import read_map_file

    if chosen.character is None:
        return None
    armature = open_character(chosen.character, chosen.armature)
    check_armature(armature)
    if chosen.map is not None:
        known_maps.keep(armature, read_map_file(chosen.map, armature.data.bones))
    for warning in known_maps.map_of(armature).warnings:
        show.note(warning)
    return armature


def _files(chosen: Namespace) -> list[Path]:
    return [file for file in (chosen.out, chosen.preview) if file]


def _check(chosen: Namespace) -> None:
    """Refuse what cannot end well before the model runs."""
    check_target(chosen.out, ENDINGS)
    if chosen.fps is not None and not 1.0 <= chosen.fps <= MAX_FPS:
        raise UserError(f"The frame rate must be 1 to {MAX_FPS:g}, got {chosen.fps:g}.")
    if chosen.preset and chosen.out.suffix.lower() != ".fbx":
        raise UserError("A preset is for FBX: write an .fbx or leave --preset out.")
    if chosen.character is None and (chosen.armature is not None or chosen.map is not None):
        raise UserError("--armature and --map are about --character FILE: give that too.")
    if chosen.character is not None:
        check_character_file(chosen.character)
        if chosen.out.suffix.lower() == ".npz":
            raise UserError(
                "An .npz has no character: leave --character out or write another file."
            )
    if chosen.preview is None:
        return
    check_target(chosen.preview, (".png", ".mp4"))
    if chosen.out.suffix.lower() == ".npz":
        raise UserError("A preview needs a character: write any other file than an .npz.")


def check_character_file(file: Path) -> None:
    """Raises UserError."""
    if file.suffix.lower() not in CHARACTER_ENDINGS:
        listed = " ".join(CHARACTER_ENDINGS)
        raise UserError(f"'{file.name}' is no character: it must end in one of {listed}.")
    if not file.is_file():
        raise UserError(f"There is no file {file}. Give the file of your character.")


def require_bpy() -> None:
    """Import bpy, or raise UserError that says what to install."""
    try:
        import bpy  # noqa: F401
    except ModuleNotFoundError as error:
        version = f"{sys.version_info.major}.{sys.version_info.minor}"
        raise UserError(
            f"Blender's Python module is not installed for Python {version}. Use Python 3.11 "
            "('pip install bpy==4.5.*') or 3.13 ('pip install bpy==5.2.*'), or write an .npz."
        ) from error
    except ImportError as error:
        raise UserError(explain_import_error(str(error))) from error


def explain_import_error(message: str) -> str:
    """Name the system library that bpy misses and the package that brings it."""
    found = re.match(r"(\S+\.so[.\d]*): cannot open shared object file", message)
    if not found:
        return f"Blender's Python module does not load: {message}"
    library = found.group(1)
    package = LIBRARY_PACKAGES.get(library)
    advice = f"install it ('apt-get install {package}')" if package else "install it"
    return f"Blender's Python module needs the system library {library}: {advice}."


if __name__ == "__main__":
    assert isinstance(sys.stdout, io.TextIOWrapper)
    sys.stdout.reconfigure(errors="backslashreplace")  # file names that the terminal cannot show
    try:
        leave(main())
    except KeyboardInterrupt:
        leave(INTERRUPTED)

"""`python -m momask_blender generate|inpaint|batch`: from words to files, without a window."""

import io
import sys
from argparse import Namespace
from pathlib import Path

from .batch import add_batch_arguments, run_batch
from .blender_module import require_bpy
from .contract.command_line import Parser, generate_request, refuse
from .contract.messages import Generate
from .errors import UserError
from .generate_arguments import add_generate_command, check_generate
from .inpaint_arguments import add_inpaint_arguments, check_inpaint
from .interrupt import INTERRUPTED, ends_on_interrupt
from .job import request_motion
from .terminal import Terminal, leave, quiet_stdout

PROGRAM = "python -m momask_blender"


def main(arguments: list[str] | None = None) -> int:
    chosen = command_line().parse_args(arguments)
    runs = {"generate": _generate, "inpaint": _inpaint, "batch": run_batch}
    try:
        return runs[chosen.command](chosen)
    except (UserError, ValueError) as error:
        return refuse(PROGRAM, str(error))


def command_line() -> Parser:
    parser = Parser(prog=PROGRAM, description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    add_generate_command(
        commands.add_parser("generate", help="make a character do what the prompt says")
    )
    add_inpaint_arguments(
        commands.add_parser("inpaint", help="fill gaps of an animation in a file")
    )
    add_batch_arguments(commands.add_parser("batch", help="a file for each row of a table"))
    return parser


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


def _generate(chosen: Namespace) -> int:
    request = generate_request(chosen, str(chosen.out))
    check_generate(chosen)
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
        from .own_character import open_own

    with ends_on_interrupt(lambda: None), quiet_stdout():
        own = open_own(chosen, show.note)
    pose, finished = request_pose(request, show.message)
    how = made_by(request, finished, request.seed)

    def abandon() -> None:
        show.clear()
        remove_unfinished(_files(chosen))

    with ends_on_interrupt(abandon), quiet_stdout():
        return finished.seconds | deliver(pose, how, Delivery.of(chosen), show.phase, own)


def _files(chosen: Namespace) -> list[Path]:
    return [file for file in (chosen.out, chosen.preview) if file]


if __name__ == "__main__":
    assert isinstance(sys.stdout, io.TextIOWrapper)
    sys.stdout.reconfigure(errors="backslashreplace")  # file names that the terminal cannot show
    try:
        leave(main())
    except KeyboardInterrupt:
        leave(INTERRUPTED)

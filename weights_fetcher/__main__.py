"""`python -m weights_fetcher convert TREE --out DIR`: brings weights into this software."""

import sys
from pathlib import Path

from momask_blender.contract.command_line import Parser, refuse
from weights_fetcher.convert import ConvertError, convert
from weights_fetcher.tensor_reader import TensorFileError

PROGRAM = "python -m weights_fetcher"


def main(arguments: list[str] | None = None) -> int:
    parser = Parser(prog=PROGRAM, description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    conversion = commands.add_parser("convert", help="published checkpoints to a weights folder")
    conversion.add_argument("tree", type=Path, help="folder that holds t2m/ as published")
    conversion.add_argument("--out", type=Path, required=True, help="new weights folder")
    conversion.add_argument("--base", metavar="NAME", help="which masked transformer, of several")
    conversion.add_argument("--residual", metavar="NAME", help="which residual transformer")
    chosen = parser.parse_args(arguments)
    try:
        has_graphs = convert(chosen.tree, chosen.out, base=chosen.base, residual=chosen.residual)
    except (ConvertError, TensorFileError, OSError) as error:
        return refuse(PROGRAM, str(error))
    print(f"Wrote {chosen.out}")
    if not has_graphs:
        print(
            "It has no graphs for ONNX Runtime yet. Where PyTorch is installed, run: "
            f"python -m model_runtime graphs {chosen.out}"
        )
    return 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit(130)

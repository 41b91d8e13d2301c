"""`python -m model_runtime COMMAND`: generate, train, evaluate and more, without Blender."""

import sys
from argparse import ArgumentParser, ArgumentTypeError, Namespace
from pathlib import Path

from model_runtime.evaluation.command import add_evaluate_arguments
from model_runtime.evaluation.sweep_command import add_sweep_arguments
from model_runtime.motions import MotionMaker, Phases
from model_runtime.networks import WeightsError
from momask_blender.contract.command_line import (
    Parser,
    add_generate_arguments,
    add_model_arguments,
    generate_request,
    refuse,
)
from momask_blender.contract.kept_ranges import Range, parse_range
from momask_blender.contract.messages import Inpaint, Message, Notice, Progress
from momask_blender.contract.targets import check_target

PROGRAM = "python -m model_runtime"


def main(arguments: list[str] | None = None) -> int:
    parser = Parser(prog=PROGRAM, description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    generate = commands.add_parser("generate", help="prompt to joints, tokens and features")
    add_generate_arguments(generate)
    generate.add_argument("--out", required=True, type=Path, help="FILE.npz")
    _add_inpaint_arguments(commands.add_parser("inpaint", help="fill the gaps of a motion"))
    commands.add_parser("worker", help="serve requests on stdin; what the add-on starts")
    train = commands.add_parser("train", help="train a model's networks")
    train.add_argument(
        "stage",
        choices=("all", "rvq", "base", "residual", "length", "decoder", "export", "evaluator"),
    )
    train.add_argument("--data", required=True, type=Path, help="folder of clips and captions")
    train.add_argument("--config", type=Path, help="TOML file (default: the starter's)")
    train.add_argument("--out", required=True, type=Path, help="folder for checkpoints and model")
    train.add_argument("--start-from", metavar="NAME|DIR", help="go on from this model's weights")
    train.add_argument("--retrain-tokenizer", action="store_true", help="of --start-from's model")
    train.add_argument(
        "--more-layers", type=int, default=0, metavar="N", help="for --start-from's tokenizer"
    )
    prepare = commands.add_parser("prepare", help="BVH or joint arrays to a training folder")
    prepare.add_argument("source", type=Path, help="folder of .bvh, .npy or .npz files")
    prepare.add_argument("--out", required=True, type=Path, help="new folder")
    prepare.add_argument("--captions", type=Path, help="csv with id,caption (default: ID.txt)")
    graphs = commands.add_parser("graphs", help="add graphs for ONNX Runtime to a weights folder")
    graphs.add_argument("folder", type=Path, help="folder with a model.json")
    add_evaluate_arguments(commands.add_parser("evaluate", help="measure a model on a data folder"))
    add_sweep_arguments(commands.add_parser("sweep", help="measure what its settings do"))
    chosen = parser.parse_args(arguments)
    if chosen.command == "worker":
        return _serve()
    if chosen.command == "train":
        return _train(chosen)
    if chosen.command in ("evaluate", "sweep"):
        return _evaluate(chosen)
    if chosen.command == "prepare":
        return _prepare(chosen)
    if chosen.command == "graphs":
        return _graphs(chosen)
    return _make(chosen)


def _add_inpaint_arguments(parser: ArgumentParser) -> None:
    parser.add_argument("source", type=Path, help=".npz with joints or a pose, at 20 fps")
    parser.add_argument(
        "--keep",
        type=_range,
        action="append",
        required=True,
        metavar="A:B",
        help="frames that stay, counted from 0, first and last included; as often as needed",
    )
    parser.add_argument("--prompt", default="", help="what happens in the gaps (default: no words)")
    parser.add_argument("--variations", type=int, default=1, help="FILE, FILE-2, ... (default 1)")
    add_model_arguments(parser)
    parser.add_argument("--out", required=True, type=Path, help="FILE.npz")


def _range(text: str) -> Range:
    try:
        return parse_range(text)
    except ValueError as error:
        raise ArgumentTypeError(str(error)) from error


def _inpaint_request(chosen: Namespace) -> Inpaint:
    return Inpaint(
        source=str(chosen.source),
        kept=tuple(chosen.keep),
        prompt=chosen.prompt,
        out=str(chosen.out),
        seed=chosen.seed,
        variations=chosen.variations,
        weights=chosen.weights,
        guidance_scale=chosen.guidance,
        residual_guidance_scale=chosen.residual_guidance,
        steps=chosen.steps,
        draft=chosen.draft,
    )


def _serve() -> int:
    from model_runtime import worker

    worker.main([])


def _make(chosen: Namespace) -> int:
    try:
        check_target(chosen.out, (".npz",))
        if chosen.command == "inpaint":
            request = _inpaint_request(chosen)
            finished = MotionMaker().fill(request, _show, Phases(_show, request.job))
        else:
            request = generate_request(chosen, str(chosen.out))
            finished = MotionMaker().make(request, _show, Phases(_show, request.job))
    except (ValueError, WeightsError, OSError) as error:
        return refuse(PROGRAM, str(error))
    stages = ", ".join(f"{name.lower()} {spent:.2f} s" for name, spent in finished.seconds.items())
    print(f"Wrote {', '.join(finished.files)} ({stages})")
    return 0


def _show(message: Message) -> None:
    if isinstance(message, Progress) and sys.stderr.isatty():
        print(f"[{message.done}/{message.total}] {message.phase}", file=sys.stderr)
    elif isinstance(message, Notice):
        print(message.in_one_line(), file=sys.stderr)


def _evaluate(chosen: Namespace) -> int:
    from model_runtime.evaluation import command, sweep_command

    try:
        (sweep_command if chosen.command == "sweep" else command).run(chosen)
    except (ValueError, OSError) as error:
        return refuse(PROGRAM, str(error))
    return 0


def _graphs(chosen: Namespace) -> int:
    try:
        from model_runtime.training.graphs import write_graphs

        write_graphs(chosen.folder)
    except ImportError as error:
        return refuse(
            PROGRAM, f"Making graphs needs {error.name}: pip install 'momask-blender[train]'."
        )
    except (WeightsError, OSError) as error:
        return refuse(PROGRAM, str(error))
    print(f"Added the graphs to {chosen.folder}")
    return 0


def _prepare(chosen: Namespace) -> int:
    from model_runtime.training.layouts import DataError
    from model_runtime.training.prepare import prepare

    try:
        prepare(chosen.source, chosen.out, chosen.captions)
    except (DataError, OSError) as error:
        return refuse(PROGRAM, str(error))
    return 0


def _train(chosen: Namespace) -> int:
    from model_runtime.training.checkpoint import CheckpointError
    from model_runtime.training.layouts import DataError
    from model_runtime.training.recipe import RecipeError
    from model_runtime.training.run import train
    from model_runtime.training.start import Start

    try:
        name, retrain, more = chosen.start_from, chosen.retrain_tokenizer, chosen.more_layers
        if (retrain or more) and not name:
            option = "--retrain-tokenizer" if retrain else "--more-layers"
            return refuse(PROGRAM, f"{option} needs --start-from.")
        if more < 0 or (more and retrain):
            return refuse(PROGRAM, "--more-layers takes a number from 1 on, and no retraining.")
        start = Start.open(name, retrain, more) if name else None
        train(chosen.stage, chosen.data, chosen.config, chosen.out, start)
    except (DataError, RecipeError, CheckpointError, WeightsError, OSError) as error:
        return refuse(PROGRAM, str(error))
    return 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit(130)

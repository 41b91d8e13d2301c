"""`python -m model_runtime sweep`."""

from argparse import ArgumentParser, Namespace
from pathlib import Path

from model_runtime.evaluation.command import add_evaluate_arguments, open_all, show, write_json
from momask_blender.contract.targets import check_target


def add_sweep_arguments(parser: ArgumentParser) -> None:
    add_evaluate_arguments(parser)
    parser.add_argument(
        "--vary", choices=("steps", "guidance", "layers"), help="only this (default: all three)"
    )
    parser.add_argument("--values", type=float, nargs="+", metavar="X", help="of what --vary names")
    parser.add_argument(
        "--no-prompts", action="store_true", help="without prompt following, a third of the time"
    )
    parser.add_argument("--markdown", type=Path, metavar="FILE.md", help="also write tables here")


def run(chosen: Namespace) -> None:
    """Raises ValueError or OSError with a line for the user."""
    from model_runtime.evaluation import sweep
    from model_runtime.evaluation.prompt_following import read_prompts
    from model_runtime.evaluation.sweep_table import markdown

    if chosen.values and not chosen.vary:
        raise ValueError("--values needs --vary: steps, guidance or layers.")
    if chosen.markdown:
        check_target(chosen.markdown, (".md",))
    opened = open_all(chosen)
    varied = sweep.default_values(opened.networks.card.num_quantizers)
    if chosen.vary:
        varied = {chosen.vary: chosen.values or varied[chosen.vary]}
    sweeper = sweep.Sweeper(opened.networks, opened.examples, opened.training, opened.judged, show)
    prompts = {} if chosen.no_prompts else read_prompts()
    found = sweeper.run(varied, chosen.repeats, prompts)
    found.data["folder"], found.data["split"] = chosen.data.resolve().name, chosen.split
    text = "\n".join(markdown(found))
    print(text)
    if chosen.json:
        write_json(chosen.json, found)
    if chosen.markdown:
        chosen.markdown.write_text(text + "\n", encoding="utf-8")
        print(f"Wrote {chosen.markdown}")

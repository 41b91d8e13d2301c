"""Published weights for this software: list, show, fetch, import, verify, remove, convert.

Fetched weights lie in the folder that MOMASK_WEIGHTS names, or in the user's data folder. `runtime`
does the same for PyTorch with CUDA.
"""

import argparse
import os
import sys
import textwrap
import threading
from pathlib import Path
from typing import Any

from momask_blender.contract.command_line import Parser, refuse
from momask_blender.contract.messages import WEIGHTS, Failed, Finished
from momask_blender.contract.weights_root import weights_root
from weights_fetcher.catalogue import SHIPPED, Model, read_catalogue
from weights_fetcher.cuda_command import ABOUT, add_commands
from weights_fetcher.download import Patience
from weights_fetcher.errors import FetchError
from weights_fetcher.fetcher import Fetcher
from weights_fetcher.reports import Lines, Messages, megabytes, say
from weights_fetcher.store import ABSENT, FETCHED, Store, in_words

PROGRAM = "python -m weights_fetcher"
INTERRUPTED = 130
TELL_APART = "the published model, or what it needs: see `list`"


def main(arguments: list[str] | None = None) -> int:
    chosen = _parser().parse_args(arguments)
    speaks_json = getattr(chosen, "progress", "") == "json"
    if speaks_json:
        threading.Thread(target=_end_with_the_other_side, daemon=True).start()
    try:
        chosen.run(chosen)
    except FetchError as error:
        if speaks_json:
            say(Failed(message=str(error), code=error.code))
        return refuse(PROGRAM, str(error))
    return 0


def _parser() -> Parser:
    parser = Parser(prog=PROGRAM, description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    of_catalogue = Parser(add_help=False)
    of_catalogue.add_argument(
        "--catalogue",
        type=Path,
        default=os.environ.get("MOMASK_CATALOGUE") or SHIPPED,
        metavar="FILE",
        help="another list of models; MOMASK_CATALOGUE names one for the add-on too",
    )
    of_catalogue.add_argument(
        "--progress", choices=("text", "json"), default="text", help="json: for programs"
    )

    patience = Parser(add_help=False)
    patience.add_argument(
        "--timeout", type=float, default=30.0, metavar="S", help="seconds of silence to bear"
    )
    patience.add_argument(
        "--attempts", type=int, default=5, metavar="N", help="in a row that bring nothing, per host"
    )

    def add(name, run, words, *parents, name_is_optional=False):
        command = commands.add_parser(name, help=words, parents=[of_catalogue, *parents])
        command.set_defaults(run=run)
        if name != "list":
            count = "?" if name_is_optional else None
            command.add_argument("name", nargs=count, metavar="NAME", help=TELL_APART)
        return command

    add("list", show_all, "known models and which of them are here")
    add("show", show_one, "a model's files, sources and licence")
    words = "bring a model and convert it; goes on where it stopped"
    fetching = add("fetch", fetch, words, patience)
    fetching.add_argument("--accept-licence", action="store_true", help="you have read `show NAME`")
    importing = add("import", import_, "take files that were downloaded by hand, or a share")
    importing.add_argument("source", type=Path, metavar="FILE|DIR", help="a zip, file or folder")
    add("verify", verify, "hash what is here", name_is_optional=True)
    add("remove", remove, "delete a model and its downloads")
    add_commands(commands.add_parser("runtime", help=ABOUT), patience)
    conversion = commands.add_parser("convert", help="own checkpoints to a weights folder")
    conversion.set_defaults(run=convert_own)
    conversion.add_argument("tree", type=Path, help="folder that holds t2m/ as published")
    conversion.add_argument("--out", type=Path, required=True, help="new weights folder")
    conversion.add_argument("--base", metavar="NAME", help="which masked transformer, of several")
    conversion.add_argument("--residual", metavar="NAME", help="which residual transformer")
    conversion.add_argument("--dataset", choices=("t2m", "kit"), help="which one, of both")
    conversion.add_argument(
        "--clip", type=Path, metavar="DIR", help="CLIP's two files (default: the fetched ones)"
    )
    return parser


def show_all(chosen: argparse.Namespace) -> None:
    fetcher = _fetcher(chosen)
    offers = fetcher.offers()
    if chosen.progress == "json":
        for offer in offers:
            say(offer)
        say(Finished(files=(), seconds={}))
        return
    print(f"In {fetcher.store.root}:")
    for offer in offers:
        to_come = f"{megabytes(offer.num_bytes)} to fetch" if offer.num_bytes else ""
        print(f"  {offer.name:12} {offer.state:8} {to_come:18} {offer.title}. {offer.about}")


def show_one(chosen: argparse.Namespace) -> None:
    fetcher = _fetcher(chosen)
    model = fetcher.catalogue.find(chosen.name)
    print(f"{model.title} ({fetcher.store.state(model)})\n{model.about}.")
    if model.needs:
        print(f"Needs: {', '.join(model.needs)} (fetched with it)")
    for package in model.packages:
        print(f"\n{package.name}, about {megabytes(package.num_bytes)}, from")
        print("".join(f"  {source}\n" for source in package.sources), end="")
        print(f"or by hand from {package.by_hand}. It brings")
        for file in package.files:
            known = file.sha256 or "no hash was published"
            size = f"{file.num_bytes} bytes" if file.sha256 else f"up to {file.num_bytes} bytes"
            print(f"  {file.path}\n    {size}, {known}")
    licence = model.licence
    print(f"\nTerms: {licence.name}\n{textwrap.fill(licence.means, 100)}\n\n{licence.text}")


def fetch(chosen: argparse.Namespace) -> None:
    patience = Patience(attempts=max(1, chosen.attempts), silence=max(0.1, chosen.timeout))
    fetcher = _fetcher(chosen, patience)
    folder = fetcher.fetch(chosen.name, chosen.accept_licence)
    _tell_end(chosen, fetcher.catalogue.find(chosen.name), folder)


def import_(chosen: argparse.Namespace) -> None:
    fetcher = _fetcher(chosen)
    folder = fetcher.import_from(chosen.source, chosen.name)
    _tell_end(chosen, fetcher.catalogue.find(chosen.name), folder)


def verify(chosen: argparse.Namespace) -> None:
    from weights_fetcher.verify import faults, unlisted

    fetcher = _fetcher(chosen)
    store, models = fetcher.store, list(fetcher.catalogue.models.values())
    if chosen.name:
        models = [fetcher.catalogue.find(chosen.name)]
    else:
        models = [model for model in models if store.state(model) != ABSENT]
    found = []
    for model in models:
        wrong = faults(store, model)
        print(f"{model.name}: {'; '.join(wrong) if wrong else 'as published'}")
        if names := unlisted(model):
            print(f"  no published hash, compared with what first came: {', '.join(names)}")
        found += wrong
    if found:
        more = f" and {len(found) - 1} more" if len(found) > 1 else ""
        raise FetchError(f"{found[0]}{more}. Fetch again: only what is wrong is brought.")
    if not models:
        print(f"Nothing was fetched into {store.root}.")


def remove(chosen: argparse.Namespace) -> None:
    fetcher = _fetcher(chosen)
    model, store = fetcher.catalogue.find(chosen.name), fetcher.store
    if store.state(model) == ABSENT:
        raise FetchError(f"'{model.name}' is not in {store.root}.")
    try:
        with store.lock(model):
            folders = store.remove(model)
    except OSError as error:
        raise in_words(error, store.root) from error
    if chosen.progress == "json":
        say(Finished(files=(), seconds={}))
    else:
        print(f"Removed {' and '.join(map(str, folders))}")


def convert_own(chosen: argparse.Namespace) -> None:
    clip = chosen.clip or _fetched_clip()
    options = {"dataset": chosen.dataset, "base": chosen.base, "residual": chosen.residual}
    if not _convert(chosen.tree, chosen.out, clip=clip, **options):
        print(
            "It has no graphs for ONNX Runtime yet. Where PyTorch is installed, run: "
            f"python -m model_runtime graphs {chosen.out}"
        )
    if clip is None:
        print(
            f"It cannot read prompts. Run `{PROGRAM} fetch clip` and convert again, or add --clip."
        )
    print(f"Wrote {chosen.out}")


def _fetched_clip() -> Path | None:
    store, model = Store(weights_root()), read_catalogue(SHIPPED).find("clip")
    return store.downloads(model) if store.state(model) == FETCHED else None


def _convert(*arguments: Any, **options: Any) -> bool:
    """As `convert.convert`, which is imported only when it is needed. Raises FetchError."""
    from weights_fetcher.convert import ConvertError, convert
    from weights_fetcher.tensor_reader import TensorFileError

    try:
        return convert(*arguments, **options)
    except (ConvertError, TensorFileError, OSError) as error:
        raise FetchError(str(error), WEIGHTS) from error


def _fetcher(chosen: argparse.Namespace, patience: Patience | None = None) -> Fetcher:
    report = Messages() if chosen.progress == "json" else Lines()
    catalogue, store = read_catalogue(chosen.catalogue), Store(weights_root())
    return Fetcher(catalogue, store, report, _convert, patience or Patience())


def _tell_end(chosen: argparse.Namespace, model: Model, folder: Path) -> None:
    if chosen.progress == "json":
        say(Finished(files=(str(folder),), seconds={}))
        return
    use = f" Use it with --weights {model.name}." if model.dataset else ""
    print(f"{model.title} is in {folder}.{use}")
    print(model.licence.means)


def _end_with_the_other_side() -> None:
    """Killing is always safe: what came so far stays, and the next fetch goes on from there."""
    os.read(sys.stdin.fileno(), 1)  # a word from the add-on, or the end of it
    os._exit(INTERRUPTED)


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit(INTERRUPTED)

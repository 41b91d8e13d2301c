"""`python -m weights_fetcher runtime ...`: PyTorch for CUDA, for the Python that runs this."""

import argparse
import os
from pathlib import Path
from typing import Any

from model_runtime.cuda_trial import recall_trial
from model_runtime.nvidia_driver import Driver, read_driver
from momask_blender.contract.cuda_folder import Installed, runtime_root
from momask_blender.contract.messages import CudaRuntime, Finished, FoundWheels
from weights_fetcher.cuda_catalogue import CATALOGUE_VARIABLE, SHIPPED, read_release
from weights_fetcher.cuda_install import Installer
from weights_fetcher.download import Patience
from weights_fetcher.errors import FetchError
from weights_fetcher.reports import Lines, Messages, megabytes, say
from weights_fetcher.wheel_folder import confirmation

ABOUT = "PyTorch for CUDA: show, install, import, verify or remove it"
ON_CPU = "CPU: ONNX Runtime, which comes with this software"


def add_commands(command: argparse.ArgumentParser, patience: argparse.ArgumentParser) -> None:
    """`patience`: a parent with the options of whatever downloads."""
    shared = type(command)(add_help=False)
    shared.add_argument(
        "--catalogue",
        type=Path,
        default=os.environ.get(CATALOGUE_VARIABLE) or SHIPPED,
        metavar="FILE",
        help=f"another list of wheels; {CATALOGUE_VARIABLE} names one for the add-on too",
    )
    shared.add_argument("--progress", choices=("text", "json"), default="text")
    commands = command.add_subparsers(dest="runtime", required=True)

    def add(name: str, run: Any, words: str, *parents: argparse.ArgumentParser) -> Any:
        added = commands.add_parser(name, help=words, parents=[shared, *parents])
        added.set_defaults(run=run)
        return added

    add("show", show, "what is here, what is offered, on which terms")
    installing = add("install", install, "bring it; goes on where it stopped", patience)
    installing.add_argument("--accept-licence", action="store_true", help="you have read `show`")
    importing = add("import", import_, "take it from a folder of wheels")
    importing.add_argument("folder", type=Path, metavar="DIR")
    importing.add_argument(
        "--confirm", default="", metavar="WORD", help="you agree to the wheels that it has listed"
    )
    add("verify", verify, "hash what is here")
    add("remove", remove, "delete it and what was downloaded for it")


def show(chosen: argparse.Namespace) -> None:
    installer = _installer(chosen)
    release, store = installer.release, installer.store
    runtime = CudaRuntime(
        state=store.state(),
        told=told(store.installed(), read_driver()),
        offered=release.title if installer.wheels else "",
        num_bytes=installer.missing_bytes(),
        folder=str(store.folder),
        licence=release.licence.name,
        means=release.licence.means,
        text=release.licence.text,
    )
    if chosen.progress == "json":
        say(runtime)
        return _tell_end(chosen, "")
    print(f"{runtime.told}.\nIn {runtime.folder}: {runtime.state}.")
    if not runtime.offered:
        print(installer.not_offered())
        return
    print(f"Offered: {runtime.offered}, {megabytes(runtime.num_bytes)} to fetch.")
    for wheel in installer.wheels:
        print(f"  {wheel.name}\n    {wheel.num_bytes} bytes, {wheel.files[0].sha256}")
        print("".join(f"    {source}\n" for source in wheel.sources), end="")
    print(f"Terms: {runtime.licence}\n{runtime.means}\n\n{runtime.text}")


def told(installed: Installed | None, driver: Driver) -> str:
    """What motions run on and why, as far as that is known without starting PyTorch."""
    if installed is None:
        here = f"{driver.devices[0]} could run it" if driver.devices else driver.lack
        return f"{ON_CPU}. PyTorch for CUDA is not installed; {here}"
    if not installed.cuda:
        return f"{ON_CPU}. {installed.in_words()} is installed"
    if driver.lack:
        return f"{ON_CPU}. {installed.in_words()} is installed, but {driver.lack}"
    if trouble := recall_trial(installed, driver):
        return f"{ON_CPU}. {installed.in_words()} is installed, but {trouble}"
    return f"CUDA: {installed.in_words()} on {driver.devices[0]}"


def install(chosen: argparse.Namespace) -> None:
    patience = Patience(attempts=max(1, chosen.attempts), silence=max(0.1, chosen.timeout))
    installed = _installer(chosen, patience).install(chosen.accept_licence)
    _tell_end(chosen, f"{installed.in_words()} is in {installed.folder}.")


def import_(chosen: argparse.Namespace) -> None:
    installer = _installer(chosen)
    wheels = installer.find_wheels(chosen.folder)
    word = confirmation(wheels)
    if chosen.confirm == word:
        installed = installer.import_wheels(wheels)
        return _tell_end(chosen, f"{installed.in_words()} is in {installed.folder}.")
    if chosen.confirm:
        raise FetchError(f"{chosen.folder} holds other wheels by now. Look at them again.")
    sizes = [wheel.file.stat().st_size for wheel in wheels]
    lines = tuple(
        f"{wheel.name}, {megabytes(size)}, {wheel.sha256}"
        for wheel, size in zip(wheels, sizes, strict=True)
    )
    if chosen.progress == "json":
        say(FoundWheels(lines=lines, num_bytes=sum(sizes), confirmation=word))
        return _tell_end(chosen, "")
    print("\n".join(lines))
    raise FetchError(
        f"These {len(wheels)} wheels, {megabytes(sum(sizes))}, would be installed, as they are. "
        f"Add --confirm {word} if they come from where you trust."
    )


def verify(chosen: argparse.Namespace) -> None:
    if faults := _installer(chosen).store.faults():
        more = f" and {len(faults) - 1} more" if len(faults) > 1 else ""
        raise FetchError(f"{faults[0]}{more}. Remove it and install again.")
    _tell_end(chosen, "PyTorch for CUDA is as it was installed.")


def remove(chosen: argparse.Namespace) -> None:
    folders = _installer(chosen).store.remove()
    _tell_end(chosen, f"Removed {' and '.join(map(str, folders))}")


def _installer(chosen: argparse.Namespace, patience: Patience | None = None) -> Installer:
    report = Messages() if chosen.progress == "json" else Lines()
    release = read_release(chosen.catalogue)
    return Installer(release, runtime_root(), report, patience or Patience())


def _tell_end(chosen: argparse.Namespace, words: str) -> None:
    if chosen.progress == "json":
        say(Finished(files=(), seconds={}))
    else:
        print(words)

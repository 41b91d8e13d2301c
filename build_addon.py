"""`python build_addon.py --platform linux-x64 --out DIR`: the add-on as one zip per platform.

Each zip holds all that the add-on needs, for every Blender it runs on. The same input gives the
same bytes. The source tree is only read.
"""

import hashlib
import importlib.util
import re
import shutil
import subprocess
import sys
import tempfile
import tomllib
import zipfile
from collections.abc import Iterator
from pathlib import Path

from momask_blender.contract.command_line import Parser, refuse
from weights_fetcher.wheel_name import WheelName

PROGRAM = "python build_addon.py"
ROOT = Path(__file__).resolve().parent
MANIFEST = "blender_manifest.toml"
LOCK = ROOT / "wheels.lock.toml"
CACHE = ROOT / "build" / "wheels"

VERSIONS = {"onnxruntime": "1.32.0", "safetensors": "0.8.0"}  # then --update-lock
PYTHONS = ("311", "313", "314")  # Blender 4.2 to 5.0, Blender from 5.1, Debian's Blender
BLENDERS_PYTHONS = tuple(f"cp{python}" for python in PYTHONS)
PLATFORM_TAGS = {  # what pip is asked for; glibc 2.28 and newer is what Blender itself needs
    "linux-x64": ("manylinux_2_28_x86_64", "manylinux_2_27_x86_64", "manylinux2014_x86_64"),
    "windows-x64": ("win_amd64",),
    "macos-arm64": ("macosx_14_0_arm64",),  # ONNX Runtime has none for older systems
}

PACKAGES = ("momask_blender", "model_runtime", "weights_fetcher")
DOCUMENTS = ("LICENSE", "LICENSES.md")
LEFT_OUT = (  # needs PyTorch and a training folder; generating does not need it
    "model_runtime/training/",
    "model_runtime/evaluation/",
    "weights_fetcher/evaluator.py",
)
KEPT = (  # the command line of the runtime names its options
    "model_runtime/evaluation/__init__.py",
    "model_runtime/evaluation/command.py",
    "model_runtime/evaluation/sweep_command.py",
)
ROOT_INIT = '''"""MoMask Motion: text to editable character animation."""

from .momask_blender import register, unregister

__all__ = ("register", "unregister")
'''
LICENCE_FILE = re.compile(r"(licen[sc]e|notice|copying|thirdpartynotices)[^/]*$", re.IGNORECASE)

MAX_PATH = 115  # characters inside the zip: what Windows leaves behind a long user name
MAX_BYTES = 200_000_000


class BuildError(Exception):
    """What stopped the build, in one line."""


def wheel_of(name: str) -> WheelName:
    """Raises BuildError when the name is no wheel's."""
    try:
        return WheelName.of(name)
    except ValueError as error:
        raise BuildError(str(error)) from error


def main(arguments: list[str] | None = None) -> int:
    parser = Parser(prog=PROGRAM, description=__doc__)
    parser.add_argument("--platform", action="append", choices=tuple(PLATFORM_TAGS), default=[])
    parser.add_argument("--out", type=Path, metavar="DIR", help="where the zips go")
    parser.add_argument("--index", action="store_true", help="make DIR an extension repository")
    parser.add_argument(
        "--torch-wheels", type=Path, metavar="DIR", help="PyTorch with CUDA, see docs/studio.md"
    )
    parser.add_argument(
        "--update-lock", action="store_true", help=f"write {LOCK.name} anew and stop"
    )
    chosen = parser.parse_args(arguments)
    try:
        if chosen.update_lock:
            update_lock()
            return 0
        if not chosen.platform or chosen.out is None:
            return refuse(PROGRAM, "--platform and --out say what to build and where to.")
        validator = find_validator()
        chosen.out.mkdir(parents=True, exist_ok=True)
        for platform in dict.fromkeys(chosen.platform):
            report(build(platform, chosen.out, validator, chosen.torch_wheels))
        if chosen.index:
            run_validator(validator, "server-generate", "--repo-dir", str(chosen.out))
            print(f"Wrote {chosen.out / 'index.json'}")
    except (BuildError, OSError) as error:
        return refuse(PROGRAM, str(error))
    return 0


def build(platform: str, out: Path, validator: Path, torch_wheels: Path | None = None) -> Path:
    """Write, check and validate one zip; return it. Raises BuildError."""
    wheels = [fetch(name, sha256) for name, sha256 in read_lock()[platform].items()]
    variant = ""
    if torch_wheels is not None:
        wheels += studio_wheels(torch_wheels, platform, wheels)
        variant = "-cuda"
    version = tomllib.loads((ROOT / MANIFEST).read_text(encoding="utf-8"))["version"]
    target = out / f"momask-{version}-{platform}{variant}.zip"
    print(f"Building {target.name}", flush=True)
    with tempfile.TemporaryDirectory(dir=out, prefix=".building-") as folder:
        stage, part = Path(folder) / "momask", Path(folder) / target.name
        copy_sources(stage)
        add_wheels(stage, wheels, platform)
        write_zip(stage, part)
        check(part, max_bytes=None if variant else MAX_BYTES)
        validate(validator, part)
        part.replace(target)
    return target


def copy_sources(stage: Path) -> None:
    """The packages without what generating does not need, the licences and the root package."""
    for package in PACKAGES:
        for file in sorted((ROOT / package).rglob("*")):
            if file.is_file() and is_shipped(file.relative_to(ROOT)):
                copy(file, stage / file.relative_to(ROOT))
    for document in DOCUMENTS:
        copy(ROOT / document, stage / document)
    (stage / "__init__.py").write_text(ROOT_INIT, encoding="utf-8", newline="\n")


def is_shipped(path: Path) -> bool:
    """Whether the file at `path`, relative to the root, goes into the zip."""
    if any(part.startswith(".") or part == "__pycache__" for part in path.parts):
        return False
    if path.parts[:2] == ("model_runtime", "weights"):
        return path.parts[2] == "starter"
    if path.as_posix() in KEPT:
        return True
    return not path.as_posix().startswith(LEFT_OUT)


def copy(source: Path, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(source, target)


def add_wheels(stage: Path, wheels: list[Path], platform: str) -> None:
    """Put the wheels, their licences and the manifest that lists them into the stage."""
    for wheel in wheels:
        copy(wheel, stage / "wheels" / wheel.name)
        for name, text in licences(wheel):
            target = stage / "LICENSES" / wheel_of(wheel.name).distribution / name
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(text)
    listed = "".join(f'    "./wheels/{name}",\n' for name in sorted(file.name for file in wheels))
    source = (ROOT / MANIFEST).read_text(encoding="utf-8")
    filled, count = re.subn(
        r"(?m)(^#.*\n)*^platforms = .*$",
        f'platforms = ["{platform}"]\nwheels = [\n{listed}]',
        source,
    )
    if count != 1:
        raise BuildError(f"{MANIFEST} must have one line that begins with 'platforms = '.")
    (stage / MANIFEST).write_text(filled, encoding="utf-8", newline="\n")


def licences(wheel: Path) -> Iterator[tuple[str, bytes]]:
    """File name and text of each licence at the top of the wheel's package or metadata."""
    if not zipfile.is_zipfile(wheel):
        raise BuildError(f"{wheel} is damaged: fetch it again.")
    with zipfile.ZipFile(wheel) as archive:
        for name in archive.namelist():
            folder, _, base = name.rpartition("/")
            is_top = folder.count("/") == 0 or folder.endswith(".dist-info/licenses")
            if is_top and LICENCE_FILE.match(base):
                yield base, archive.read(name)


def write_zip(stage: Path, target: Path) -> None:
    """Sorted entries, one date, one mode. Stored: the wheels are compressed, weights hardly
    shrink, and so no version of zlib changes the bytes."""
    with zipfile.ZipFile(target, "w", zipfile.ZIP_STORED) as archive:
        for file in sorted(stage.rglob("*"), key=lambda file: file.relative_to(stage).as_posix()):
            if file.is_dir():
                continue
            entry = zipfile.ZipInfo(file.relative_to(stage).as_posix(), (1980, 1, 1, 0, 0, 0))
            entry.create_system = 3  # Unix, wherever it is built: says that the mode counts
            entry.external_attr = 0o100644 << 16
            entry.file_size = file.stat().st_size
            with file.open("rb") as source, archive.open(entry, "w") as sink:
                shutil.copyfileobj(source, sink, 1 << 20)


def check(archive: Path, max_bytes: int | None) -> None:
    """What Blender's validator does not ask. Raises BuildError."""
    with zipfile.ZipFile(archive) as opened:
        names = opened.namelist()
    longest = max(names, key=len)
    if len(longest) >= MAX_PATH:
        raise BuildError(f"{longest} is too long a path: {len(longest)} of {MAX_PATH - 1}.")
    seen: dict[str, str] = {}
    for name in names:
        if twin := seen.get(name.casefold()):
            raise BuildError(f"{name} and {twin} are one file on Windows.")
        seen[name.casefold()] = name
    if max_bytes is not None and archive.stat().st_size >= max_bytes:
        size = archive.stat().st_size / 1e6
        raise BuildError(
            f"{archive.name} has {size:.0f} MB; {max_bytes / 1e6:.0f} MB is the limit."
        )


def report(archive: Path) -> None:
    """Print what the zip weighs, its longest paths and its SHA-256."""
    with zipfile.ZipFile(archive) as opened:
        sizes = {entry.filename: entry.file_size for entry in opened.infolist()}
        inside = [path for name in sizes for path in paths_in_wheel(opened, name)]
    wheels = sum(size for name, size in sizes.items() if name.startswith("wheels/"))
    weights = sum(size for name, size in sizes.items() if name.startswith("model_runtime/weights/"))
    print(
        f"  {archive.stat().st_size / 1e6:.1f} MB: wheels {wheels / 1e6:.1f}, weights "
        f"{weights / 1e6:.1f}, the rest {(sum(sizes.values()) - wheels - weights) / 1e6:.1f}\n"
        f"  longest path {max(map(len, sizes))}, inside a wheel {max(map(len, inside))}\n"
        f"  SHA-256 {sha256_of(archive)}"
    )


def paths_in_wheel(archive: zipfile.ZipFile, name: str) -> list[str]:
    if not name.endswith(".whl"):
        return []
    with archive.open(name) as stream, zipfile.ZipFile(stream) as wheel:
        return wheel.namelist()


def read_lock() -> dict[str, dict[str, str]]:
    """Platform -> wheel's file name -> SHA-256."""
    if not LOCK.exists():
        raise BuildError(f"{LOCK.name} is missing; `{PROGRAM} --update-lock` writes it.")
    return tomllib.loads(LOCK.read_text(encoding="utf-8"))


def fetch(name: str, sha256: str) -> Path:
    """The wheel in the cache, from pip's index when it is not there yet. Raises BuildError."""
    file = CACHE / name
    if not file.exists():
        print(f"Fetching {name}", flush=True)
        wheel = wheel_of(name)
        python = "311" if wheel.abi == "abi3" else wheel.python.removeprefix("cp")
        download(f"{wheel.distribution}=={wheel.version}", python, wheel.platform.split("."))
    if not file.exists() or sha256_of(file) != sha256:
        raise BuildError(
            f"{file} is not the wheel that {LOCK.name} names: delete it and build again. When a "
            "fresh one is refused too, the package index has changed it."
        )
    return file


def download(requirement: str, python: str, platforms: list[str] | tuple[str, ...]) -> None:
    """Let pip put one wheel into the cache. Raises BuildError."""
    CACHE.mkdir(parents=True, exist_ok=True)
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps"]
    command += ["--only-binary=:all:", "--implementation=cp", f"--python-version={python}"]
    command += [f"--platform={platform}" for platform in platforms]
    command += [f"--dest={CACHE}", requirement]
    ended = subprocess.run(command, capture_output=True, text=True, check=False)
    if ended.returncode != 0:
        errors = [line for line in ended.stderr.splitlines() if line.startswith("ERROR")]
        reason = (errors or ended.stderr.splitlines() or ["no reason given"])[-1]
        raise BuildError(f"pip could not fetch {requirement} for Python {python}: {reason}")


def update_lock() -> None:
    """Write the lock file for VERSIONS, PYTHONS and PLATFORM_TAGS. Raises BuildError."""
    lines = [f"# Made by `{PROGRAM} --update-lock`: the wheels of each zip and their SHA-256."]
    for platform, tags in PLATFORM_TAGS.items():
        for distribution, version in VERSIONS.items():
            for python in PYTHONS:
                print(f"Looking up {distribution} {version}, {platform}, {python}", flush=True)
                download(f"{distribution}=={version}", python, tags)
        lines += ["", f"[{platform}]"]
        lines += [f'"{file.name}" = "{sha256_of(file)}"' for file in locked_files(platform)]
    LOCK.write_text("\n".join(lines) + "\n", encoding="utf-8", newline="\n")


def locked_files(platform: str) -> list[Path]:
    """The wheels in the cache that belong to `platform` and are of the pinned versions."""
    wheels = {file: wheel_of(file.name) for file in sorted(CACHE.glob("*.whl"))}
    return [
        file
        for file, wheel in wheels.items()
        if wheel.fits(platform, BLENDERS_PYTHONS)
        and VERSIONS.get(wheel.distribution) == wheel.version
    ]


def studio_wheels(folder: Path, platform: str, ours: list[Path]) -> list[Path]:
    """The wheels of a folder that a studio filled, without NumPy. Raises BuildError."""
    found = {file: wheel_of(file.name) for file in sorted(folder.glob("*.whl"))}
    if not any(wheel.distribution == "torch" for wheel in found.values()):
        raise BuildError(f"{folder} holds no torch wheel; docs/studio.md says how to fetch it.")
    taken = {wheel_of(file.name)[:1] + wheel_of(file.name)[2:4] for file in ours}
    wheels = []
    for file, wheel in found.items():
        if wheel.distribution == "numpy":
            print(f"Leaving out {file.name}: Blender has a NumPy of its own")
            continue
        if not wheel.fits(platform, BLENDERS_PYTHONS):
            raise BuildError(f"{file.name} does not run in any Blender on {platform}.")
        if (wheel.distribution, wheel.python, wheel.abi) in taken:
            raise BuildError(f"{file.name} would be in the zip twice; delete it from {folder}.")
        taken.add((wheel.distribution, wheel.python, wheel.abi))
        wheels.append(file)
    return wheels


def find_validator() -> Path:
    """Blender's own `blender_ext.py`, of the bpy module. Raises BuildError."""
    spec = importlib.util.find_spec("bpy")
    for folder in (spec and spec.submodule_search_locations) or ():
        for file in Path(folder).glob("*/scripts/addons_core/bl_pkg/cli/blender_ext.py"):
            return file
    raise BuildError("Blender's manifest validator comes with the bpy module: pip install bpy.")


def validate(validator: Path, archive: Path) -> None:
    """Ask Blender whether the manifest and its tags are good. Raises BuildError."""
    tags = validator.parents[3] / "modules" / "_bpy_internal" / "extensions" / "tags.py"
    if tags.exists():
        run_validator(validator, "validate", f"--valid-tags={tags}", str(archive))
    else:
        run_validator(validator, "validate", str(archive))


def run_validator(validator: Path, *arguments: str) -> None:
    ended = subprocess.run(
        [sys.executable, str(validator), *arguments], capture_output=True, text=True, check=False
    )
    if ended.returncode != 0:
        said = " ".join((ended.stdout + ended.stderr).split())
        raise BuildError(f"Blender refuses {arguments[-1]}: {said}")


def sha256_of(file: Path) -> str:
    with file.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


if __name__ == "__main__":
    sys.exit(main())

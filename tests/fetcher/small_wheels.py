"""Wheels of a few bytes, a PyTorch among them that the trial can import; and catalogues of them."""

import json
import sys
import zipfile
from pathlib import Path

from tests.fetcher.faulty_server import sha256

PYTHON = f"cp{sys.version_info.major}{sys.version_info.minor}"
TORCH = "torch-2.8.0-py3-none-any.whl"  # runs on every system that the tests do
TORCH_FILES = {
    "torch/__init__.py": "from torch import cuda, version\n__version__ = '2.8.0+cu128'\n",
    "torch/version.py": "__version__ = '2.8.0+cu128'\ncuda: str = '12.8'\n",
    "torch/cuda.py": "def is_available():\n    return False\n",
    "torch/lib/libtorch.so": "library " * 20_000,  # 160 kB
    "torch/include/ATen/ATen.h": "#pragma once\n",
    "torch/lib/torch.lib": "static",
    "torch/__pycache__/version.pyc": "stale",
    "torch-2.8.0.data/scripts/torchrun": "#!python\n",
    "torch-2.8.0.data/purelib/torchgen/__init__.py": "",
    "torch-2.8.0.dist-info/METADATA": "Name: torch\n",
    "torch-2.8.0.dist-info/LICENSE": "BSD\n",
    "torch.pth": "import os; os.abort()\n",
}
UNPACKED = [
    "torch-2.8.0.dist-info/LICENSE",
    "torch-2.8.0.dist-info/METADATA",
    "torch/__init__.py",
    "torch/cuda.py",
    "torch/lib/libtorch.so",
    "torch/version.py",
    "torchgen/__init__.py",
]
NVIDIA = "nvidia_cublas_cu12-12.8.4.1-py3-none-any.whl"
NVIDIA_FILES = {"nvidia/__init__.py": "", "nvidia/cublas/lib/libcublas.so.12": "blas"}


def write_wheel(file: Path, files: dict[str, str]) -> Path:
    file.parent.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(file, "w") as archive:
        for name, text in files.items():
            archive.writestr(name, text)
    return file


def write_runtime_catalogue(file: Path, wheels: dict[Path, list[str]], accept: bool = True) -> Path:
    """A release of these wheels, each with its sources."""
    lines = ["[release]", 'torch = "2.8.0"', 'cuda = "12.8"', "[licence]", 'name = "theirs"']
    lines += [f"accept = {json.dumps(accept)}", 'means = "Read it."', 'text = "Terms."']
    for wheel, sources in wheels.items():
        content = wheel.read_bytes()
        lines += ["[[wheels]]", f'name = "{wheel.name}"', f"bytes = {len(content)}"]
        lines += [f'sha256 = "{sha256(content)}"', f"sources = {json.dumps(sources)}"]
    file.write_text("\n".join(lines) + "\n")
    return file

"""Run by path with `-I`, in Blender's own Python: `start_worker.py [--runtime DIR] --site DIR ...`.

Isolated mode ignores PYTHONPATH and the user's packages, so the folders to import from come as
arguments: first our own and the PyTorch that the user has installed, last the extension's wheels.
"""

import os
import sys
from pathlib import Path

if __name__ == "__main__":
    # NumPy's matrices are small here: its threads wait for each other longer than they compute.
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    arguments = sys.argv[1:]
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
    if arguments[:1] == ["--runtime"]:
        sys.path.insert(1, arguments[1])
        arguments = arguments[2:]
    while arguments[:1] == ["--site"]:
        sys.path.append(arguments[1])
        arguments = arguments[2:]
    from model_runtime import worker

    worker.main(arguments)

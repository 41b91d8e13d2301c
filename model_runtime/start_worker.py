"""Run by path, in Blender's own Python with `-I`: `start_worker.py --site DIR ... [--idle S]`.

Isolated mode ignores PYTHONPATH and the user's packages, so the folders to import from come as
arguments: first our own, last those of the extension's wheels.
"""

import os
import sys
from pathlib import Path

if __name__ == "__main__":
    # NumPy's matrices are small here: its threads wait for each other longer than they compute.
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    arguments = sys.argv[1:]
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
    while arguments[:1] == ["--site"]:
        sys.path.append(arguments[1])
        arguments = arguments[2:]
    from model_runtime import worker

    worker.main(arguments)

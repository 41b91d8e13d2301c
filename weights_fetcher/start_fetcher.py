"""Run by path, in Blender's own Python with `-I`: `start_fetcher.py --site DIR ... fetch NAME`.

As `model_runtime/start_worker.py`: isolated mode has no other way to its packages.
"""

import sys
from pathlib import Path

if __name__ == "__main__":
    arguments = sys.argv[1:]
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
    while arguments[:1] == ["--site"]:
        sys.path.append(arguments[1])
        arguments = arguments[2:]
    from weights_fetcher.__main__ import main

    sys.exit(main(arguments))

"""The child process in which Blender writes files of a batch: jobs in on stdin, answers on stdout.

A crash of Blender costs one row, and several such processes fill the machine. It ends when its
parent does.
"""

import json
import os
import queue
import sys
import threading
import time
from argparse import Namespace
from pathlib import Path
from typing import Any, NoReturn, TextIO

from .animation.whole_files import remove_unfinished
from .blender_module import require_bpy
from .contract.messages import Finished, Generate, from_line, to_line
from .errors import UserError
from .terminal import leave

PARTING = 1.0  # seconds for what is being written when the parent goes
PATHS = ("out", "character", "map")
SENT = (*PATHS, "armature", "feet", "travel", "fps", "preset", "preview", "seconds", "seed")


def job_to_line(row: Namespace, finished: Finished) -> str:
    plain = {name: getattr(row, name) for name in SENT}
    texts = {name: plain[name] and str(plain[name]) for name in PATHS}
    job = {"row": plain | texts, "request": to_line(row.request), "finished": to_line(finished)}
    return json.dumps(job) + "\n"


def line_to_job(line: str) -> tuple[Namespace, Finished]:
    job = json.loads(line)
    paths = {name: job["row"][name] and Path(job["row"][name]) for name in PATHS}
    finished, request = from_line(job["finished"]), from_line(job["request"])
    assert isinstance(finished, Finished)
    assert isinstance(request, Generate)
    return Namespace(**job["row"] | paths, request=request), finished


def main() -> NoReturn:
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8", buffering=1)
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)  # Blender prints there
    jobs: queue.Queue[tuple[Namespace, Finished] | None] = queue.Queue()
    threading.Thread(target=_listen, args=(sys.stdin, jobs), daemon=True).start()
    try:
        require_bpy()
    except UserError as error:
        _say(answers, error=str(error))
        leave(1)
    _say(answers, error="")
    while (job := jobs.get()) is not None:
        notes: list[str] = []
        try:
            _write(*job, notes)
            _say(answers, error="", notes=notes)
        except Exception as error:  # noqa: BLE001 - the parent must hear of every failure
            _say(answers, error=_reason(error), notes=notes)
    leave(0)


def _listen(lines: TextIO, jobs: queue.Queue[Any]) -> None:
    files: list[Path] = []
    for line in lines:
        job = line_to_job(line)
        files = [job[0].out]
        jobs.put(job)
    jobs.put(None)
    time.sleep(PARTING)
    remove_unfinished(files)
    os._exit(0)


def _say(answers: TextIO, **fields: Any) -> None:
    answers.write(json.dumps(fields) + "\n")


def _write(row: Namespace, finished: Finished, notes: list[str]) -> None:
    """Raises UserError, and whatever Blender says of a character that it cannot cope with."""
    from .animation.takes import made_by, read_pose
    from .generate import Delivery, deliver
    from .own_character import open_own
    from .rig.known_maps import known_maps

    known_maps.open(None)  # a map that another row gave is no part of this one
    own = open_own(row, notes.append)
    how = made_by(row.request, finished, row.seed)
    deliver(read_pose(finished.files[0]), how, Delivery.of(row), lambda _stage: None, own)


def _reason(error: Exception) -> str:
    kind = "" if isinstance(error, UserError) else f"{type(error).__name__}: "
    return kind + " ".join(str(error).split())


if __name__ == "__main__":
    main()

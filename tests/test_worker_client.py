"""The add-on's side of the pipe, with real child processes that behave well and badly."""

import os
import sys
import time
from pathlib import Path

import pytest

from momask_blender.contract.messages import Finished, Generate, Notice, Progress, to_line
from momask_blender.errors import UserError
from momask_blender.worker_client import request_motion

REQUEST = Generate(prompt="a person walks 走", out="somewhere é.npz", seed=3)
FINISHED = to_line(Finished(out="somewhere é.npz", seconds={"Decoding": 0.5}))


def ask(script: str) -> tuple[Finished, list]:
    heard: list = []
    return request_motion(REQUEST, heard.append, (sys.executable, "-c", script)), heard


def test_hears_progress_and_the_result():
    lines = to_line(Progress(phase="Decoding", done=1, total=2)) + to_line(Notice(text="é"))
    answer, heard = ask(f"import sys; sys.stdout.write({lines + FINISHED!r})")
    assert answer.seconds == {"Decoding": 0.5}
    assert heard == [Progress(phase="Decoding", done=1, total=2), Notice(text="é")]


def test_the_request_arrives_whole(tmp_path):
    file = tmp_path / "request.json"
    script = (
        "import sys, pathlib; "
        f"pathlib.Path({str(file)!r}).write_bytes(sys.stdin.buffer.read()); "
        f"sys.stdout.write({FINISHED!r})"
    )
    ask(script)
    assert file.read_text(encoding="utf-8") == to_line(REQUEST)


def test_garbage_from_libraries_is_passed_over():
    noise = "warning: no GPU\\n\\x00\\xff {broken json\\n[1, 2]\\n"
    script = f"import sys; sys.stdout.buffer.write(b'{noise}' + {FINISHED!r}.encode())"
    answer, heard = ask(script)
    assert answer.out == "somewhere é.npz"
    assert heard == []


def test_a_child_that_dies_is_reported_with_its_last_words():
    script = (
        "import sys, os; print('the disk is on fire', file=sys.stderr, flush=True); os._exit(7)"
    )
    with pytest.raises(UserError, match=r"exit status 7.*the disk is on fire"):
        ask(script)


def test_a_child_that_cannot_start_python_modules_is_reported():
    with pytest.raises(UserError, match="No module named"):
        request_motion(REQUEST, print, (sys.executable, "-m", "no_such_module"))


def test_a_flood_on_stderr_does_not_block():
    script = f"import sys; sys.stderr.write('x' * 1_000_000); sys.stdout.write({FINISHED!r})"
    answer, _ = ask(script)
    assert answer.seconds


@pytest.mark.skipif(os.name != "posix", reason="looks the process up by its number")
def test_an_interrupted_call_leaves_no_child(tmp_path):
    file = tmp_path / "pid"
    progress = to_line(Progress(phase="Decoding", done=0, total=1))
    script = (
        f"import os, sys, time, pathlib; pathlib.Path({str(file)!r}).write_text(str(os.getpid())); "
        f"sys.stdout.write({progress!r}); sys.stdout.flush(); time.sleep(60)"
    )

    def interrupt(_message) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        request_motion(REQUEST, interrupt, (sys.executable, "-c", script))
    time.sleep(0.1)
    assert not Path(f"/proc/{file.read_text()}").exists()

"""The add-on's side of the pipe, with real child processes that behave well and badly."""

import json
import os
import signal
import sys
import time
from pathlib import Path

import pytest

from momask_blender.contract.messages import (
    CANCELLED,
    OUT_OF_MEMORY,
    PROTOCOL,
    Failed,
    Finished,
    Generate,
    Hello,
    Notice,
    Progress,
    to_line,
)
from momask_blender.errors import UserError
from momask_blender.job import DIED, HUNG, MISMATCH, NOT_STARTED, Job, request_motion, start_worker
from momask_blender.worker_client import Ended, Worker

REQUEST = Generate(prompt="a person walks 走", out="somewhere é.npz", seed=3, job=7)
HELLO = to_line(Hello(protocol=PROTOCOL, python="3", pid=1))
DECODING = to_line(Progress(phase="Decoding", done=1, total=2, job=7))
FINISHED = to_line(Finished(files=("somewhere é.npz",), seconds={"Decoding": 0.5}, job=7))
SAYING = (
    "import os, sys, time; say = lambda text: (sys.stdout.buffer.write(text), sys.stdout.flush())\n"
)


def child(script: str) -> Worker:
    return Worker([sys.executable, "-X", "utf8", "-c", SAYING + script])


def says(*lines: str) -> str:
    return f"say({''.join(lines).encode()!r})\n"


def ask(script: str) -> tuple[Finished, list]:
    heard: list = []
    return request_motion(REQUEST, heard.append, child(script)), heard


def test_hears_progress_and_the_result():
    notice = to_line(Notice(text="é", prompts=("walk",), job=7))
    answer, heard = ask(says(HELLO, DECODING, notice, FINISHED) + "sys.stdin.read()")
    assert answer.seconds == {"Decoding": 0.5}
    assert Notice(text="é", prompts=("walk",), job=7) in heard


def test_progress_is_phase_and_share():
    job = Job(child(says(HELLO, DECODING) + "sys.stdin.read()"), REQUEST)
    while job.phase == "Starting":
        assert job.poll(patience=5.0) is None
    assert (job.phase, job.share) == ("Decoding", 0.5)
    job.worker.kill()


def test_the_request_arrives_whole(tmp_path):
    file = tmp_path / "request.json"
    script = f"open({str(file)!r}, 'wb').write(sys.stdin.buffer.readline())\n"
    ask(script + says(FINISHED))
    assert file.read_text(encoding="utf-8") == to_line(REQUEST)


def test_garbage_from_libraries_is_passed_over():
    noise = (
        "say(b'warning: no GPU\\n\\x00\\xff {broken json\\n[1, 2]\\n' + b'x' * 300_000 + b'\\n')\n"
    )
    answer, heard = ask(noise + says(FINISHED))
    assert answer.files == ("somewhere é.npz",)
    assert heard == []


def test_answers_to_jobs_that_were_given_up_are_passed_over():
    old = to_line(Finished(files=("old.npz",), seconds={}, job=6))
    failed = to_line(Failed(message="old", job=5))
    answer, _ = ask(says(old, failed, FINISHED))
    assert answer.files == ("somewhere é.npz",)


def failing(script: str, **options) -> UserError:
    worker = child(script)
    job = Job(worker, REQUEST, **options)
    with pytest.raises(UserError) as caught:
        while True:
            job.poll(patience=0.2)
    assert not worker.is_alive
    return caught.value


def test_a_child_that_dies_is_reported_with_its_last_words():
    error = failing(
        says(DECODING) + "print('the disk is on fire', file=sys.stderr, flush=True); os._exit(7)"
    )
    assert error.code == DIED
    for words in ("'Decoding'", "exit status 7", "the disk is on fire"):
        assert words in str(error)


@pytest.mark.skipif(os.name != "posix", reason="sends a signal")
def test_a_child_that_the_system_kills_is_said_to_lack_memory():
    error = failing(says(DECODING) + f"os.kill(os.getpid(), {int(signal.SIGKILL)})")
    assert error.code == OUT_OF_MEMORY
    assert "memory" in str(error)


def test_a_child_that_says_nothing_is_ended_after_a_while():
    began = time.monotonic()
    error = failing(says(HELLO, DECODING) + "time.sleep(60)", patience=0.5)
    assert error.code == HUNG
    assert "'Decoding'" in str(error)
    assert time.monotonic() - began < 10.0


def test_another_protocol_is_refused():
    error = failing(says(to_line(Hello(protocol=99, python="3", pid=1))) + "time.sleep(60)")
    assert error.code == MISMATCH
    assert "protocol 99" in str(error)
    assert "Restart Blender" in str(error)


def test_a_hello_from_another_age_is_refused_by_silence():
    """Fields that we do not know make no message: the child counts as hung, not as ours."""
    strange = json.dumps({"kind": "Hello", "protocol": 99, "shoe_size": 43}) + "\n"
    assert failing(says(strange) + "time.sleep(60)", patience=0.5).code == HUNG


def test_a_program_that_cannot_be_started_is_reported(monkeypatch, tmp_path):
    nothing = [str(tmp_path / "no python here")]
    monkeypatch.setattr("momask_blender.job.worker_command", lambda _idle: nothing)
    with pytest.raises(UserError, match="could not be started") as caught:
        start_worker()
    assert caught.value.code == NOT_STARTED


def test_a_flood_on_stderr_does_not_block():
    answer, _ = ask("sys.stderr.write('x' * 1_000_000)\n" + says(FINISHED))
    assert answer.seconds


@pytest.mark.parametrize("obedient", [True, False], ids=["obedient", "deaf"])
def test_cancel_is_quick_whatever_the_child_does(obedient):
    cancelled = to_line(Failed(message="Cancelled.", code=CANCELLED, job=7))
    deaf = "time.sleep(60)"
    obey = "sys.stdin.readline(); assert 'Cancel' in sys.stdin.readline()\n" + says(cancelled)
    worker = child(says(HELLO, DECODING) + (obey + "sys.stdin.read()" if obedient else deaf))
    job = Job(worker, REQUEST)
    while job.phase == "Starting":
        job.poll(patience=1.0)
    began = time.monotonic()
    job.cancel()
    with pytest.raises(UserError) as caught:
        while True:
            job.poll()
            time.sleep(0.01)
    assert caught.value.code == CANCELLED
    assert time.monotonic() - began < 0.3
    assert worker.is_alive == obedient, "an obedient child stays for the next job"
    worker.kill()


def test_sending_to_a_dead_child_is_no_error():
    worker = child("os._exit(3)")
    ended = worker.messages(patience=10.0)
    worker.send(REQUEST)
    assert ended == [Ended(exit_status=3, last_words="")]
    worker.stop()


@pytest.mark.skipif(os.name != "posix", reason="looks the process up by its number")
def test_an_interrupted_call_leaves_no_child():
    def interrupt(_message) -> None:
        raise KeyboardInterrupt

    worker = child(says(DECODING) + "time.sleep(60)")
    with pytest.raises(KeyboardInterrupt):
        request_motion(REQUEST, interrupt, worker)
    assert not Path(f"/proc/{worker.pid}").exists()

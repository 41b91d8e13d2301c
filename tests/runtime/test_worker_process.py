"""The real worker as a process: faults, cancel, memory, orphans. Its model is the starter."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from momask_blender.contract.messages import (
    BAD_INPUT,
    CANCELLED,
    FILES,
    OUT_OF_MEMORY,
    PROTOCOL,
    WEIGHTS,
    Cancel,
    Failed,
    Finished,
    Generate,
    Hello,
    Load,
    Loaded,
    Message,
    Notice,
    Progress,
    Quit,
    Unload,
    Unloaded,
    from_line,
    to_line,
)
from momask_blender.errors import UserError
from momask_blender.job import Job, start_worker
from momask_blender.worker_client import Ended, Worker, worker_command

LINUX = pytest.mark.skipif(sys.platform != "linux", reason="looks into Linux's /proc")
MEGABYTE = 2**20


@pytest.fixture
def worker() -> Iterator[Worker]:
    running = start_worker()
    yield running
    running.kill()


class Ear:
    """Hears a worker message by message."""

    def __init__(self, worker: Worker) -> None:
        self.worker = worker
        self._heard: list[Message | Ended] = []

    def next(self, *kinds: type, patience: float = 60.0) -> Message | Ended:
        """The next message of these kinds; the ones before it are passed over."""
        until = time.monotonic() + patience
        while time.monotonic() < until:
            self._heard += self.worker.messages(patience=0.05)
            while self._heard:
                message = self._heard.pop(0)
                if isinstance(message, kinds):
                    return message
        raise AssertionError(f"no {kinds}; the worker's log: {list(self.worker.log)[-5:]}")

    def phase(self, wanted: str) -> None:
        while self.next(Progress).phase != wanted:
            pass


@pytest.fixture
def ear(worker) -> Ear:
    return Ear(worker)


def walk(folder: Path, job: int, **changes) -> Generate:
    wanted = {"prompt": "a person walks", "num_frames": 80, "out": str(folder / f"{job}.npz")}
    return Generate(job=job, **(wanted | changes))


def memory(worker: Worker) -> int:
    """Resident bytes."""
    pages = int(Path(f"/proc/{worker.pid}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")


def test_it_says_hello_first(worker, ear):
    hello = ear.next(Message)
    assert isinstance(hello, Hello)
    assert (hello.protocol, hello.pid) == (PROTOCOL, worker.pid)
    assert hello.python == ".".join(str(part) for part in sys.version_info[:3])


def test_a_loaded_model_stays_for_the_next_motion(worker, ear, tmp_path):
    worker.send(Load(job=1, device="cpu"))
    loaded = ear.next(Loaded)
    assert loaded.runs_on.startswith("CPU")
    for job in (2, 3):
        worker.send(walk(tmp_path, job, device="cpu"))
        finished = ear.next(Finished)
        assert finished.job == job
        assert finished.seconds["Loading the model"] < 0.05
        assert (tmp_path / f"{job}.npz").exists()


def test_nonsense_is_answered_and_the_next_job_runs(worker, ear, tmp_path):
    for line in (
        "not json\n",
        to_line(Failed(message="?")),
        '{"kind": "Generate", "prompt": ""}\n',
    ):
        worker._child.stdin.write(line)
    worker.send(walk(tmp_path, 4))
    answers = [ear.next(Failed | Finished) for _ in range(4)]
    assert [type(answer) for answer in answers] == [Failed] * 3 + [Finished]
    assert {answer.code for answer in answers[:3]} == {BAD_INPUT}


def test_only_messages_come_out_and_quit_ends_it(tmp_path):
    lines = to_line(walk(tmp_path, 1)) + to_line(Quit())
    child = subprocess.Popen(worker_command(), stdin=-1, stdout=-1, text=True)
    child.stdin.write(lines)
    child.stdin.flush()
    kinds = [type(from_line(line)) for line in child.stdout]
    assert kinds[0] is Hello
    assert kinds[-1] is Finished
    assert set(kinds[1:-1]) <= {Progress, Notice}
    assert child.wait(timeout=10) == 0


@pytest.mark.parametrize("phase", ["Loading the model", "Generating motion", "Adding detail"])
def test_cancel_is_heard_in_every_phase(worker, ear, tmp_path, phase):
    """After it the worker is ready for the next job."""
    worker.send(walk(tmp_path, 1, num_frames=196, steps=20, variations=4))
    ear.phase(phase)
    worker.send(Cancel(job=1))
    assert ear.next(Failed).code == CANCELLED
    assert list(tmp_path.iterdir()) == []
    worker.send(walk(tmp_path, 2))
    assert ear.next(Finished).job == 2


@pytest.mark.parametrize("phase", ["Starting", "Loading the model", "Generating motion"])
def test_cancel_answers_within_three_tenths_of_a_second(worker, tmp_path, phase):
    """A worker that cannot answer so soon is killed."""
    job = Job(worker, walk(tmp_path, 1, num_frames=196, steps=100, variations=16))
    while job.phase != phase:
        job.poll(patience=0.01)
    asked = time.monotonic()
    job.cancel()
    with pytest.raises(UserError) as caught:
        while True:
            job.poll(patience=0.01)
    assert time.monotonic() - asked < 0.3
    assert caught.value.code == CANCELLED


def test_a_waiting_job_can_be_cancelled(worker, ear, tmp_path):
    worker.send(walk(tmp_path, 1))
    worker.send(walk(tmp_path, 2))
    worker.send(Cancel(job=2))
    assert ear.next(Finished).job == 1
    failed = ear.next(Failed)
    assert (failed.job, failed.code) == (2, CANCELLED)
    assert not (tmp_path / "2.npz").exists()


@LINUX
def test_unloading_gives_the_memory_back(worker, ear, tmp_path):
    ear.next(Hello)
    worker.send(walk(tmp_path, 1))
    ear.next(Finished)
    loaded = memory(worker)
    worker.send(Unload(job=2))
    assert ear.next(Unloaded).job == 2
    given_back = loaded - memory(worker)
    assert given_back > 60 * MEGABYTE, f"{given_back / MEGABYTE:.0f} MB of {loaded / MEGABYTE:.0f}"
    worker.send(walk(tmp_path, 3))
    assert ear.next(Finished).job == 3


def test_an_idle_worker_unloads_by_itself(tmp_path):
    worker = start_worker(idle_seconds=0.5)
    ear = Ear(worker)
    worker.send(walk(tmp_path, 1))
    ear.next(Finished)
    assert ear.next(Unloaded, patience=5.0).job == 0
    worker.send(walk(tmp_path, 2))
    assert ear.next(Finished).job == 2
    worker.kill()


@LINUX
@pytest.mark.parametrize("when", ["idle", "busy"])
def test_it_ends_with_its_parent(tmp_path, when):
    """The parent is killed without a chance to say anything."""
    parent = subprocess.Popen(
        [sys.executable, "-c", PARENT, str(tmp_path), when],
        stdout=subprocess.PIPE,
        text=True,
        cwd=Path(__file__).resolve().parents[2],
    )
    pid = int(parent.stdout.readline())
    parent.kill()
    parent.wait()
    until = time.monotonic() + 5.0
    while Path(f"/proc/{pid}").exists() and "Z" not in _state(pid):
        assert time.monotonic() < until, "the worker is an orphan"
        time.sleep(0.05)


def _state(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0]
    except OSError:
        return "Z"


PARENT = """
import sys, time
sys.path.insert(0, "")
from momask_blender.contract.messages import Generate, Progress
from momask_blender.errors import UserError
from momask_blender.job import Job, start_worker
worker = start_worker()
if sys.argv[2] == "busy":
    worker.send(Generate(prompt="walk", out=sys.argv[1] + "/a.npz", num_frames=196, steps=100,
                         variations=8))
    while not any(getattr(m, "phase", "") == "Generating motion" for m in worker.messages(0.1)):
        pass
print(worker.pid, flush=True)
time.sleep(60)
"""


def limit(worker: Worker, what: str, most: int) -> None:
    resource = pytest.importorskip("resource")
    if not hasattr(resource, "prlimit"):
        pytest.skip("no prlimit on this system")
    resource.prlimit(worker.pid, getattr(resource, what), (most, most))


@LINUX
def test_a_full_disk_is_named_and_leaves_nothing(worker, ear, tmp_path):
    ear.next(Hello)
    limit(worker, "RLIMIT_FSIZE", 4096)
    worker.send(walk(tmp_path, 1))
    failed = ear.next(Failed)
    assert failed.code == FILES
    assert "disk" in failed.message
    assert list(tmp_path.iterdir()) == []


@LINUX
@pytest.mark.parametrize("more", [30, 120], ids="{} MB".format)
def test_too_little_memory_is_named(worker, ear, tmp_path, more):
    """That much more address space than at its start: the libraries, or the model, do not fit.
    A library may end the whole process then: that is told the same."""
    ear.next(Hello)
    used = int(Path(f"/proc/{worker.pid}/statm").read_text().split()[0])
    limit(worker, "RLIMIT_AS", used * os.sysconf("SC_PAGE_SIZE") + more * MEGABYTE)
    job = Job(worker, walk(tmp_path, 1), patience=30.0)
    with pytest.raises(UserError) as caught:
        while job.poll(patience=0.1) is None:
            pass
    assert caught.value.code == OUT_OF_MEMORY
    assert list(tmp_path.iterdir()) == []


def test_a_lack_of_memory_is_not_taken_for_damaged_weights():
    """As ONNX Runtime says it when it cannot start its threads, inside our own error."""
    from model_runtime.weights_folder import WeightsError
    from model_runtime.worker import failure

    cause = RuntimeError("env.cc:327 PosixThread(...) pthread_create failed, error code: 11")
    error = WeightsError("base.onnx cannot be used")
    assert failure(error, 1).code == WEIGHTS
    error.__cause__ = cause
    assert failure(error, 1).code == OUT_OF_MEMORY


@pytest.mark.skipif(os.name != "posix", reason="sends a signal")
def test_it_can_be_killed_in_the_middle(worker, ear, tmp_path):
    worker.send(walk(tmp_path, 1, num_frames=196, steps=20, variations=4))
    ear.phase("Generating motion")
    os.kill(worker.pid, signal.SIGKILL)
    assert ear.next(Ended).exit_status == -signal.SIGKILL
    assert list(tmp_path.iterdir()) == []


def test_folders_with_spaces_and_letters_of_any_script(tmp_path):
    folder = tmp_path / "é 空 space"
    folder.mkdir()
    worker = start_worker()
    ear = Ear(worker)
    worker.send(walk(folder, 1))
    assert ear.next(Finished).files == (str(folder / "1.npz"),)
    worker.kill()

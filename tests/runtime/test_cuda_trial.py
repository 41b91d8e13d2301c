"""A PyTorch that the user has installed is tried where it can do no harm, and never stops a motion.

The driver is a library made here that shows one device; PyTorch is a stand-in of a few lines.
"""

import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from model_runtime.cuda_trial import recall_trial, run_trial, trouble_with
from model_runtime.nvidia_driver import Driver
from momask_blender.contract.cuda_folder import Installed, python_tag, sentinel_of
from momask_blender.contract.messages import Failed, Finished, Generate, Load, Loaded, Notice
from momask_blender.job import start_worker
from momask_blender.worker_client import Worker
from tests.runtime.test_worker_process import Ear

DRIVER = r"""
int cuInit(unsigned flags) { return 0; }
int cuDriverGetVersion(int *version) { *version = 12080; return 0; }
int cuDeviceGetCount(int *count) { *count = 1; return 0; }
int cuDeviceGet(int *device, int index) { *device = index; return 0; }
int cuDeviceGetName(char *name, int size, int device) { name[0] = 'X'; name[1] = 0; return 0; }
"""
WORKING = """
class Tensor:
    def reshape(self, *shape): return self
    cuda = cpu = reshape
class version: cuda = "12.8"
class cuda:
    is_available = staticmethod(lambda: True)
    get_device_name = staticmethod(lambda: "X")
class nn:
    class functional: conv1d = staticmethod(lambda signal, weight: signal)
__version__ = "2.8.0+cu128"
arange = ones = lambda *_: Tensor()
allclose = lambda *_: True
"""
FAULTS = {
    "raises": ("raise OSError('libcudnn.so.9 is missing')", "OSError: libcudnn.so.9 is missing"),
    "ends": ("import os; os._exit(7)", "ended its process, status 7"),
    "crashes": ("import ctypes; ctypes.string_at(0)", "ended its process, status -11"),
    "without CUDA": (WORKING.replace('"12.8"', "None"), "built without CUDA"),
    "no device": (WORKING.replace("True)", "False)", 1), "finds no CUDA device"),
    "no kernels": (
        WORKING + "nn.functional.conv1d = lambda *_: 1 / 0",
        "ZeroDivisionError: division by zero",
    ),
    "wrong": (WORKING + "allclose = lambda *_: False", "computes wrong results"),
}


@pytest.fixture
def installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Installed:
    """What a user has installed: a PyTorch that works."""
    monkeypatch.setenv("MOMASK_RUNTIME", str(tmp_path))
    made = Installed(folder=tmp_path / python_tag(), torch="2.8.0", cuda="12.8")
    (made.site / "torch").mkdir(parents=True)
    (made.folder / "runtime.json").write_text(sentinel_of(made))
    write_torch(made, WORKING)
    return made


def write_torch(installed: Installed, text: str) -> None:
    (installed.site / "torch" / "__init__.py").write_text(text)
    (installed.site / "torch" / "version.py").write_text("cuda: str = '12.8'\n")


@pytest.fixture
def driver(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The child processes find an NVIDIA driver with one device."""
    if sys.platform != "linux" or shutil.which("cc") is None:
        pytest.skip("makes a library with the system's C compiler")
    folder = tmp_path / "driver"
    folder.mkdir()
    (folder / "cuda.c").write_text(DRIVER)
    subprocess.run(["cc", "-shared", "-o", "libcuda.so.1", "cuda.c"], cwd=folder, check=True)
    monkeypatch.setenv("LD_LIBRARY_PATH", str(folder))


@pytest.fixture
def worker() -> Iterator[Worker]:
    """Started by the test, after it has put PyTorch there."""
    running: list[Worker] = []

    def start() -> Worker:
        running.append(start_worker())
        return running[0]

    yield start  # type: ignore[misc]
    for each in running:
        each.kill()


def test_a_working_pytorch_says_what_it_is(installed):
    trial = run_trial([installed.site, *sys.path])
    assert (trial.torch, trial.cuda, trial.device) == ("2.8.0", "12.8", "X")
    assert not trial.error and not trial.trouble


@pytest.mark.parametrize("fault", FAULTS)
def test_what_is_wrong_is_said(installed, fault):
    body, words = FAULTS[fault]
    write_torch(installed, body)
    trial = run_trial([installed.site, *sys.path])
    assert words in trial.error + trial.trouble


def test_a_pytorch_that_hangs_is_given_up(installed):
    write_torch(installed, "import time; time.sleep(60)")
    assert "did not start within 1 seconds" in run_trial([installed.site], patience=1.0).error


def test_once_it_works_it_is_not_tried_again_until_the_driver_changes(installed, monkeypatch):
    monkeypatch.syspath_prepend(str(installed.site))
    old, new = Driver(12080, ("X",)), Driver(13000, ("X",))
    assert recall_trial(installed, old) is None
    assert trouble_with(installed, old) == ""
    write_torch(installed, "raise OSError('gone')")
    assert trouble_with(installed, old) == ""
    assert "gone" in trouble_with(installed, new)
    assert "gone" in (recall_trial(installed, new) or "")
    write_torch(installed, WORKING)
    assert trouble_with(installed, new) == ""


def motion(worker: Worker, out: Path) -> tuple[str, Finished]:
    """The notice that came before the motion, and the motion."""
    ear = Ear(worker)
    worker.send(Generate(prompt="a person walks", num_frames=40, out=str(out), job=1))
    notice = ear.next(Notice, Failed)
    assert isinstance(notice, Notice), notice
    finished = ear.next(Finished, Failed)
    assert isinstance(finished, Finished), finished
    return notice.text, finished


def test_without_a_driver_the_cpu_makes_the_motion_and_says_so(installed, worker, tmp_path):
    write_torch(installed, "import os; os.abort()")  # it is not even tried
    if Path("/dev/nvidiactl").exists():
        pytest.skip("there is an NVIDIA driver here")
    text, finished = motion(worker(), tmp_path / "walk.npz")
    assert text == (
        "CUDA cannot be used: there is no NVIDIA driver. The CPU makes the motions instead."
    )
    assert finished.runs_on.startswith("CPU (ONNX Runtime")


@pytest.mark.parametrize("fault", ["raises", "crashes"])
def test_a_broken_pytorch_never_stops_a_motion(installed, driver, worker, tmp_path, fault):
    body, words = FAULTS[fault]
    write_torch(installed, body)
    text, finished = motion(worker(), tmp_path / "walk.npz")
    assert words in text and text.endswith("The CPU makes the motions instead.")
    assert finished.runs_on.startswith("CPU (ONNX Runtime")


def test_one_that_fails_only_with_the_model_does_not_stop_it_either(
    installed, driver, worker, tmp_path
):
    """The stand-in passes the trial, but has no networks."""
    text, finished = motion(worker(), tmp_path / "walk.npz")
    assert "PyTorch fails" in text and finished.runs_on.startswith("CPU (ONNX Runtime")


def test_who_asks_for_cuda_is_told_why_not(installed, driver, worker):
    write_torch(installed, FAULTS["raises"][0])
    running = worker()
    ear = Ear(running)
    running.send(Load(job=1, device="cuda"))
    failed = ear.next(Failed, Loaded)
    assert isinstance(failed, Failed)
    assert "libcudnn.so.9 is missing" in failed.message and "Automatic or CPU" in failed.message

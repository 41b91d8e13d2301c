"""`python -m weights_fetcher` as a process: refused, cut short, killed, gone on with."""

import json
import os
import resource
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pytest

from tests.fetcher.faulty_server import Server, trickle, whole
from tests.fetcher.small_catalogue import entry, write_catalogue


def ended(process: subprocess.Popen) -> tuple[int, str, str]:
    out, err = process.communicate(timeout=30)
    return process.returncode, out, err


def refusal(process: subprocess.Popen) -> str:
    code, _, err = ended(process)
    assert code == 2
    assert err.strip().count("\n") == 0, err
    return err


def wait_for(is_true) -> None:
    end = time.monotonic() + 10.0
    while not is_true():
        assert time.monotonic() < end
        time.sleep(0.02)


@pytest.fixture
def part(tmp_path: Path) -> Path:
    return tmp_path / "weights" / "downloads" / "net" / ".incoming" / "net.bin.part"


@pytest.fixture
def under_way(server: Server, plain, command, content, part):
    """Starts a fetch that hangs after 200 kB."""

    def start(*arguments: object, **options) -> subprocess.Popen:
        server.answers["/net"] = trickle(content, pause=60.0, piece=200_000)
        process = command("fetch", "net", "--catalogue", plain("/net"), *arguments, **options)
        wait_for(lambda: part.exists() and part.stat().st_size == 200_000)
        return process

    return start


@pytest.fixture
def goes_on(server: Server, plain, command, content, tmp_path: Path):
    """A second run fetches the rest only."""

    def check() -> None:
        server.answers["/net"] = whole(content)
        code, _, err = ended(command("fetch", "net", "--catalogue", plain("/net")))
        assert code == 0, err
        assert server.asked[-1][1] == "bytes=200000-"
        assert (tmp_path / "weights/downloads/net/net.bin").read_bytes() == content

    return check


@pytest.mark.parametrize("sent", [signal.SIGKILL, signal.SIGINT, signal.SIGTERM])
def test_a_fetch_that_is_ended_goes_on_next_time(under_way, goes_on, tmp_path: Path, sent):
    process = under_way()
    process.send_signal(sent)
    code, _, err = ended(process)
    assert code == (130 if sent == signal.SIGINT else -sent)
    assert "Traceback" not in err
    assert not list((tmp_path / "weights").rglob("net.bin"))
    goes_on()


def test_a_fetch_ends_with_the_program_that_started_it(under_way, goes_on):
    process = under_way("--progress", "json", stdin=subprocess.PIPE)
    process.stdin.close()
    process.stdin = None
    code, out, _ = ended(process)
    assert code == 130
    kinds = [json.loads(line)["kind"] for line in out.splitlines()]
    assert set(kinds) == {"Progress"}
    goes_on()


def test_only_one_fetch_at_a_time(under_way, goes_on, command, plain):
    process = under_way()
    assert "Another process is fetching 'net'" in refusal(
        command("fetch", "net", "--catalogue", plain("/net"))
    )
    assert "Another process" in refusal(command("remove", "net", "--catalogue", plain("/net")))
    process.kill()
    ended(process)
    goes_on()


def test_a_full_disk_is_told_and_what_came_is_kept(server, plain, command, content, part, goes_on):
    def small_files() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (200_000, 200_000))

    server.answers["/net"] = whole(content)
    started = command("fetch", "net", "--catalogue", plain("/net"), preexec_fn=small_files)
    code, _, err = ended(started)
    assert code == 2
    assert "The disk is full" in err.splitlines()[-1] and "goes on where it stopped" in err
    assert 0 < part.stat().st_size <= 200_000
    os.truncate(part, 200_000)
    goes_on()


def test_a_folder_that_cannot_be_written_is_told(server, plain, content, monkeypatch):
    server.answers["/net"] = whole(content)
    folder = Path(tempfile.mkdtemp(dir="/tmp"))
    try:
        catalogue = shutil.copyfile(plain("/net"), folder / "list.toml")
        folder.chmod(0o555)
        monkeypatch.setenv("MOMASK_WEIGHTS", str(folder / "weights"))
        message = refused_as_nobody("fetch", "net", "--catalogue", str(catalogue))
        assert "Set MOMASK_WEIGHTS" in message and str(folder) in message
        assert message.count("\n") == 1
        assert [file.name for file in folder.iterdir()] == ["list.toml"]
    finally:
        folder.chmod(0o755)
        shutil.rmtree(folder)
    assert not server.asked


# A process of its own: a copy of this one could wait for ever for what another thread holds. All
# is imported before it gives up the right to read this folder.
AS_NOBODY = """
import importlib, os, pkgutil, sys
import weights_fetcher
for module in pkgutil.iter_modules(weights_fetcher.__path__):
    if module.name not in ("evaluator", "start_fetcher"):  # which needs PyTorch; which starts
        importlib.import_module(f"weights_fetcher.{module.name}")
from weights_fetcher.__main__ import main
if os.geteuid() == 0:
    os.setuid(65534)
sys.exit(main(sys.argv[1:]))
"""


def refused_as_nobody(*arguments: str) -> str:
    """What the command says to somebody without root's rights, whom no folder would stop."""
    root = Path(__file__).parents[2]
    command = [sys.executable, "-c", AS_NOBODY, *arguments]
    done = subprocess.run(
        command, cwd=root, capture_output=True, text=True, timeout=30, check=False
    )
    assert done.returncode == 2, done.stderr
    return done.stderr


def test_terms_are_accepted_before_anything_is_fetched(server, plain, command, content):
    server.answers["/net"] = whole(content)
    catalogue = plain("/net", licence="strict")
    message = refusal(command("fetch", "net", "--catalogue", catalogue))
    assert "It is strict." in message and "--accept-licence" in message
    assert not server.asked
    code, out, _ = ended(command("fetch", "net", "--accept-licence", "--catalogue", catalogue))
    assert code == 0 and "It is strict." in out


def test_messages_for_the_add_on(server, plain, command, content, tmp_path: Path):
    def said(*arguments: str) -> list[dict]:
        process = command(*arguments, "--catalogue", catalogue, "--progress", "json",
                          stdin=subprocess.PIPE)  # fmt: skip
        lines = [json.loads(line) for line in process.stdout]
        process.stdin.close()
        process.stdin = None
        code = ended(process)[0]
        assert code == (2 if lines[-1]["kind"] == "Failed" else 0)
        return lines

    server.answers["/net"] = whole(content)
    catalogue = plain("/net")
    first, last = said("list")
    assert (first["kind"], first["state"], first["num_bytes"]) == ("Offer", "absent", 600_000)
    assert last["kind"] == "Finished"
    *lines, last = said("fetch", "net")
    assert {line["kind"] for line in lines} == {"Progress"}
    assert lines[-1]["phase"] == "Checking net.bin"
    assert last["files"] == [str(tmp_path / "weights" / "downloads" / "net")]
    assert said("list")[0]["state"] == "fetched"
    assert said("remove", "net")[-1]["kind"] == "Finished"
    server.answers.clear()
    assert said("fetch", "net")[-1] == {
        "kind": "Failed",
        "code": "NETWORK",
        "job": 0,
        "message": f"Cannot fetch net.bin: 127.0.0.1 answers 404 Not Found. Try again later, or "
        f"save {server.address}/net with a browser and import the file.",
    }


def test_damage_is_found_and_mended(server, plain, command, content, tmp_path: Path):
    server.answers["/net"] = whole(content)
    catalogue = plain("/net")
    assert "Nothing was fetched" in ended(command("verify", "--catalogue", catalogue))[1]
    assert "net.bin is missing" in refusal(command("verify", "net", "--catalogue", catalogue))
    assert ended(command("fetch", "net", "--catalogue", catalogue))[0] == 0
    assert "net: as published" in ended(command("verify", "--catalogue", catalogue))[1]
    file = tmp_path / "weights" / "downloads" / "net" / "net.bin"
    file.write_bytes(content[:-1] + b"x")
    message = refusal(command("verify", "--catalogue", catalogue))
    assert f"{file} is damaged" in message and "Fetch again" in message
    assert ended(command("fetch", "net", "--catalogue", catalogue))[0] == 0
    assert file.read_bytes() == content
    code, out, _ = ended(command("remove", "net", "--catalogue", catalogue))
    assert code == 0 and str(file.parent) in out
    assert not file.parent.exists()
    assert "is not in" in refusal(command("remove", "net", "--catalogue", catalogue))


def test_a_name_that_nobody_knows(command, plain):
    for name in ("show", "fetch", "verify", "remove"):
        message = refusal(command(name, "../net", "--catalogue", plain("/net")))
        assert "no model '../net'. Known are: net" in message


def test_a_catalogue_that_is_none(command, tmp_path: Path):
    file = tmp_path / "list.toml"
    for text, words in (("[", "Cannot read"), ("a = 1", "no catalogue")):
        file.write_text(text)
        assert words in refusal(command("list", "--catalogue", file))
    for path in ("../net.bin", "/net.bin", "a\\\\b", "C:net"):
        package = {"sources": ["http://x/y"], "files": [entry(path, b"1")]}
        write_catalogue(file, {"net": {"packages": [package]}})
        assert "no catalogue" in refusal(command("list", "--catalogue", file))


def test_the_shipped_catalogue_can_be_shown(command):
    code, out, _ = ended(command("list"))
    assert code == 0
    for name in ("humanml3d", "kit", "clip", "evaluator", "glove"):
        assert name in out
    code, out, _ = ended(command("show", "humanml3d"))
    assert code == 0
    for words in ("fd42f54df6d4ecf1226959b5a7de3f849a04e76bfb9d8dde0a588f98de180088", "84070519"):
        assert words in out
    assert "non-commercial" in out and "Chuan Guo" in out

"""The batch command as a studio meets it: real worker, the model that ships, real files."""

import os
import re
import signal
import subprocess
import sys
import time
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest

from momask_blender.__main__ import command_line
from momask_blender.batch_processes import Motions, Writers
from momask_blender.batch_rows import chosen_rows, file_names, read_table, rows_of
from momask_blender.errors import UserError
from momask_blender.terminal import Terminal

ROOT = Path(__file__).resolve().parents[1]


def command(*arguments: str) -> list[str]:
    return [sys.executable, "-m", "momask_blender", *arguments]


def run(*arguments: str, cwd: Path):
    return subprocess.run(
        command(*arguments),
        cwd=cwd,
        capture_output=True,
        text=True,
        env=os.environ | {"PYTHONPATH": f"{ROOT}{os.pathsep}{os.environ.get('PYTHONPATH', '')}"},
        timeout=120,
        check=False,
    )


def write_table(folder: Path, *lines: str) -> Path:
    table = folder / "prompts.csv"
    table.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return table


def files_in(folder: Path) -> dict[str, int]:
    """When each file was written; our notes and folders in the making begin with a dot."""
    return {file.name: file.stat().st_mtime_ns for file in folder.iterdir() if file.is_file()}


HOSTILE = [
    *("../evil", "..", ".", "/etc/evil", "a/b", "a\\b", "C:evil", "\\\\server\\x", "~/../x"),
    *("NUL", "con", "Com1.walk", "aux .x", "LPT¹", ".hidden", "-rf", "walk.", "walk "),
    *("a\x00b", "a\nb", "a\u202eb", "w?", "a|b", "n" * 300),
]


@pytest.mark.parametrize("name", HOSTILE)
def test_a_name_is_a_plain_one_or_refused(name):
    assert isinstance(file_names([{"name": name}])[0], UserError)
    (from_prompt,) = file_names([{"prompt": name}])
    assert isinstance(from_prompt, str)
    assert re.fullmatch(r"\w[\w.-]{0,60}", from_prompt)
    assert isinstance(file_names([{"name": from_prompt}])[0], str), "what we make up we accept"


def test_no_two_rows_write_one_file_on_any_file_system():
    spelled = ["walk", "WALK", "café", "cafe\u0301", "ﬁx", "fix"]
    named = file_names([{"name": name} for name in spelled])
    assert [isinstance(name, str) for name in named] == [True, False] * 3
    prompts = [{"prompt": "Walk!"}, {"prompt": "walk"}, {"name": "walk-2"}, {"prompt": "…"}]
    assert file_names(prompts) == ["walk", "walk-3", "walk-2", "motion"]


BAD_TABLES = {
    "no prompts": ("name\nwalk\n", "no column 'prompt'"),
    "unknown column": ("prompt,secconds\nwalk,2\n", "'secconds'"),
    "a column twice": ("prompt,seed,Seed\nwalk,1,2\n", "'seed' twice"),
    "an open quote": ('prompt\n"a person walks\n', "quote"),
    "another encoding": ("prompt\nläuft\n".encode("latin-1"), "UTF-8"),
    "empty": ("", "no column 'prompt'"),
}


@pytest.mark.parametrize(("content", "words"), BAD_TABLES.values(), ids=list(BAD_TABLES))
def test_a_file_that_is_no_table_is_one_line_and_status_2(tmp_path, content, words):
    table = tmp_path / "prompts.csv"
    table.write_bytes(content if isinstance(content, bytes) else content.encode())
    ended = run("batch", "prompts.csv", "--out", "out", cwd=tmp_path)
    assert ended.returncode == 2
    assert words in ended.stderr
    assert len(ended.stderr.splitlines()) == 1
    assert not (tmp_path / "out").exists()


def test_without_bpy_the_user_hears_it_once(tmp_path, monkeypatch):
    """A Python that has no bpy: this one, told that there is none."""
    (tmp_path / "sitecustomize.py").write_text("import sys; sys.modules['bpy'] = None")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    write_table(tmp_path, "prompt,frames", "a person walks,20", "a person jumps,20")
    ended = run("batch", "prompts.csv", "--out", "out", cwd=tmp_path)
    assert ended.returncode == 2
    assert "pip install bpy" in ended.stderr
    assert len(ended.stderr.splitlines()) == 1
    assert files_in(tmp_path / "out") == {}


@pytest.mark.parametrize("text", ["", "0:3", "3", "5:4", "1:2:3", "a:b", ":4", "-1:4"])
def test_what_are_no_rows_is_refused(text):
    with pytest.raises(UserError, match=r"1:40"):
        chosen_rows(text)


def test_spreadsheets_write_tables_in_several_ways(tmp_path):
    table = tmp_path / "t.csv"
    cells = [{"prompt": "a person walks, then sits", "residual_guidance": "3"}, {}, {"prompt": "x"}]
    for delimiter in ",;\t":
        lines = [["Prompt", "Residual Guidance", "#shot", ""]]
        lines += [['"a person walks, then sits"', "3", "s01", ""], ["", "", "", ""], ["x"]]
        text = "\r\n".join(delimiter.join(line) for line in lines) + "\r\n\r\n"
        table.write_text(text, encoding="utf-8-sig", newline="")
        assert read_table(table) == cells


def test_bad_rows_are_told_with_number_and_reason_and_the_rest_is_made(tmp_path):
    write_table(
        tmp_path,
        "prompt;name;seconds;seed;weights;character;feet",
        "a person walks;walk;1;1",
        ";nobody;1",
        "a person jumps;../jump;1",
        "a person jumps;long;60",
        "a person jumps;word;two",
        "a person jumps;whole;1;1.5",
        "a person jumps;Walk;1",
        "a person jumps;model;1;1;gigantic",
        "a person jumps;who;1;1;;missing.glb",
        "a person jumps;glued;1;1;;;glued",
        "a person jumps;many;1;1;;;;;more",
        "a person runs;wave;1;2",
    )
    arguments = ["batch", "prompts.csv", "--out", "new/out", "--format", ".npz"]
    ended = run(*arguments, cwd=tmp_path)
    assert ended.returncode == 1, ended.stderr
    told = dict(re.findall(r"(?m)^row (\d+): (.+)$", ended.stderr.partition("row 12:")[0]))
    reasons = {
        **{"2": "prompt is empty", "3": "'../jump'", "4": "9.8 seconds", "5": "'two'"},
        **{"6": "whole number", "7": "row 1", "8": "no model 'gigantic'", "9": "missing.glb"},
        **{"10": "strict", "11": "more cells"},
    }
    assert told.keys() == reasons.keys()
    for number, words in reasons.items():
        assert words in told[number]
    assert ended.stdout.splitlines()[-1] == "2 made, 0 there already, 10 failed, of 12 rows"
    assert files_in(tmp_path / "new/out").keys() == {"walk.npz", "wave.npz"}
    assert {entry.name for entry in tmp_path.iterdir()} == {"prompts.csv", "new"}


@pytest.mark.skipif(os.name != "posix", reason="sends signals as POSIX has them")
@pytest.mark.parametrize(
    ("end", "ending"),
    [(signal.SIGINT, ".npz"), pytest.param(signal.SIGKILL, ".fbx", marks=pytest.mark.blender)],
)
def test_a_run_that_was_ended_is_taken_up_where_it_was(tmp_path, end, ending):
    if ending == ".fbx":
        pytest.importorskip("bpy", reason="the bpy module is not installed")
    rows = [f"a person walks,walk{seed},1,{seed}" for seed in range(6)]
    write_table(tmp_path, "prompt,name,seconds,seed", *rows)
    arguments = ["batch", "prompts.csv", "--out", "out", "--format", ending, "--processes", "2"]
    out = tmp_path / "out"
    running = subprocess.Popen(
        command(*arguments),
        cwd=tmp_path,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        start_new_session=True,
    )
    assert running.stdout is not None
    made = [running.stdout.readline().split()[-1] for _ in range(2)]
    if end == signal.SIGINT:
        os.killpg(running.pid, end)  # as a terminal does: the worker hears it too
    else:
        running.kill()
    said, complained = running.communicate(timeout=20)
    if end == signal.SIGINT:
        assert running.returncode == 130
        last = said.splitlines()[-1]
        assert re.fullmatch(r"Ended with \d+ of 6 rows\.", last)
        assert complained == ""
    if end == signal.SIGINT or ending == ".fbx":  # a writer cleans up when its parent is gone
        deadline = time.monotonic() + 5.0
        while [*out.glob(".momask-*")] and time.monotonic() < deadline:
            time.sleep(0.1)
        assert not [*out.glob(".momask-*")]
    before = files_in(out)
    assert 2 <= len(before) < 6
    ended = run(*arguments, cwd=tmp_path)
    assert ended.returncode == 0, ended.stderr
    counted = re.match(r"(\d+) made, (\d+) there", ended.stdout.splitlines()[-1])
    assert counted is not None
    num_made, num_there = map(int, counted.groups())
    assert num_there >= 2
    assert num_made + num_there == 6
    after = files_in(out)
    assert len(after) == 6
    for file in made:
        assert after[Path(file).name] == before[Path(file).name], "what was made stays"
    for file in out.glob("*.npz"):
        with np.load(file, allow_pickle=False) as motion:
            assert f"walk{motion['seed']}" == file.stem


def test_a_file_is_made_again_if_it_or_its_row_has_changed(tmp_path):
    lines = [f"a person walks,walk{seed},1,{seed}" for seed in range(4)]
    write_table(tmp_path, "prompt,name,seconds,seed", *lines)
    arguments = ["batch", "prompts.csv", "--out", "out", "--format", ".npz"]
    out = tmp_path / "out"
    only_some = run(*arguments, "--rows", "2:3", cwd=tmp_path)
    assert "2 made, 0 there already, 0 failed, of 2 rows" in only_some.stdout
    assert files_in(out).keys() == {"walk1.npz", "walk2.npz"}
    assert run(*arguments, cwd=tmp_path).returncode == 0
    before = files_in(out)
    original = (out / "walk1.npz").read_bytes()
    (out / "walk1.npz").write_bytes(original[:-1])
    (out / "walk2.npz").unlink()
    write_table(tmp_path, "prompt,name,seconds,seed,#note", *lines[:3], "a person jumps,walk3,1,3")
    for age, name in ((2 * 86400, ".momask-dead-x"), (60, ".momask-busy-x")):
        (out / name).mkdir()
        os.utime(out / name, (time.time() - age,) * 2)
    ended = run(*arguments, "--rows", "1:", cwd=tmp_path)
    assert "3 made, 1 there already, 0 failed, of 4 rows" in ended.stdout
    after = files_in(out)
    assert after["walk0.npz"] == before["walk0.npz"]
    with np.load(out / "walk1.npz") as again:  # bytes hold the time of day
        assert again["seed"] == 1
    with np.load(out / "walk3.npz") as changed:
        assert str(changed["prompt"]) == "a person jumps"
    assert not (out / ".momask-dead-x").exists()
    assert (out / ".momask-busy-x").exists(), "another machine may be at work there"
    beyond = run(*arguments, "--rows", "9:", cwd=tmp_path)
    assert (beyond.returncode, beyond.stdout) == (
        0,
        "0 made, 0 there already, 0 failed, of 0 rows\n",
    )


def rows_in(table: Path, *options: str):
    arguments = ["batch", str(table), "--out", str(table.parent), *options]
    return dict(rows_of(read_table(table), command_line().parse_args(arguments)))


def test_a_worker_that_dies_costs_its_row_only(tmp_path):
    table = write_table(tmp_path, "prompt,seconds", "a person walks,1", "a person jumps,1")
    rows = rows_in(table)
    with closing(Motions(Terminal())) as motions:
        motions.ask(1, rows[1])
        motions._worker._child.kill()
        with pytest.raises(UserError, match="ended the motion generator"):
            motions.wait(1, rows[1])
        finished = motions.wait(2, rows[2])
        with np.load(finished.files[0]) as motion:
            assert str(motion["prompt"]) == "a person jumps"
    assert not Path(finished.files[0]).exists()


@pytest.mark.blender
@pytest.mark.slow
def test_a_blender_that_crashes_costs_its_row_only(tmp_path):
    pytest.importorskip("bpy", reason="the bpy module is not installed")
    table = write_table(tmp_path, "prompt,frames", "a person walks,20", "a person jumps,20")
    rows = rows_in(table, "--format", ".bvh")
    motions, writers = Motions(Terminal()), Writers(1)
    with closing(motions), closing(writers):
        crashing = motions.wait(1, rows[1])
        writers._all[0]._child.kill()
        with pytest.raises(UserError, match="Blender crashed"):
            writers.write(rows[1], crashing)
        finished = motions.wait(2, rows[2])
        assert writers.write(rows[2], finished) == []
        child = writers._all[-1]._child
    assert child.returncode == 0, "it ended by itself"
    assert files_in(tmp_path).keys() == {"prompts.csv", "a-person-jumps.bvh"}


@pytest.mark.blender
@pytest.mark.slow
def test_each_row_has_its_own_character(tmp_path):
    bpy = pytest.importorskip("bpy", reason="the bpy module is not installed")
    made = run("generate", "a person waves", "--frames", "20", "--out", "own.glb", cwd=tmp_path)
    assert made.returncode == 0, made.stderr
    (tmp_path / "broken.glb").write_bytes(b"glTF but not really")
    write_table(
        tmp_path,
        "prompt,name,frames,character",
        "a person walks,ours,40,",
        "a person walks,broken,40,broken.glb",
        "a person walks,own,40,own.glb",
    )
    ended = run("batch", "prompts.csv", "--out", "out", "--fps", "20", cwd=tmp_path)
    assert ended.returncode == 1
    assert ended.stderr.startswith("row 2: Cannot open"), ended.stderr
    assert len(ended.stderr.splitlines()) == 1
    assert files_in(tmp_path / "out").keys() == {"ours.fbx", "own.fbx"}
    bpy.ops.wm.read_factory_settings(use_empty=True)
    bpy.context.scene.render.fps = 20
    bpy.ops.import_scene.fbx(filepath=str(tmp_path / "out" / "own.fbx"))
    first, last = bpy.data.actions[0].frame_range
    assert round(last - first) == 39

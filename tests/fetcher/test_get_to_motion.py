"""From an archive on a server, or a folder on a share, to a model that `--weights NAME` finds."""

import shutil
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from model_runtime.weights_folder import find_weights, read_card
from tests.fetcher.faulty_server import Server, sha256, whole
from tests.fetcher.original_clip import Clip, write_originals
from tests.fetcher.small_catalogue import entry, write_catalogue
from weights_fetcher.__main__ import main
from weights_fetcher.clip import ARCHIVE, PAIRS

RVQ = "rvq_nq6_dc32_nc64_noshare_qdp0.2"
BASE = "t2m_nlayer2_nhead6_ld24_ff64_cdp0.1_rvq6ns"
RESIDUAL = "tres_nlayer3_ld12_ff56_rvq6ns_cdp0.2_sw"
FILES = (
    *(f"{RVQ}/{name}" for name in ("meta/mean.npy", "meta/std.npy", "model/net_best_fid.tar")),
    f"{BASE}/model/latest.tar",
    f"{RESIDUAL}/model/net_best_fid.tar",
    "length_estimator/model/finest.tar",
)
OPTIONS = tuple(f"{folder}/opt.txt" for folder in (RVQ, BASE, RESIDUAL))


@pytest.fixture
def tree(shared: Path) -> Path:
    return shared / "fixtures" / "checkpoints" / "t2m"


@pytest.fixture(scope="session")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """CLIP's two files with a small tower."""
    return write_originals(tmp_path_factory.mktemp("clip") / "small", Clip(width=64, num_layers=1))


@pytest.fixture
def run(
    tree: Path, clip: Path, tmp_path: Path, server: Server, monkeypatch: pytest.MonkeyPatch
) -> Callable[..., int]:
    """The command line, with the fixtures' tree as a published model and a CLIP that it needs."""
    files = [entry(name, (tree / name).read_bytes()) for name in FILES]
    files += [{"path": name, "bytes": 65536} for name in OPTIONS]
    package = {"archive": "models.zip", "folder": "t2m", "files": files}
    text = [
        {
            "sources": [f"{server.address}/{name}"],
            "files": [entry(name, (clip / name).read_bytes())],
        }
        for name in (ARCHIVE, PAIRS)
    ]
    server.answers |= {f"/{name}": whole((clip / name).read_bytes()) for name in (ARCHIVE, PAIRS)}
    models: dict[str, dict[str, Any]] = {
        "tiny": {
            "dataset": "t2m",
            "needs": ["clip"],
            "licence": "strict",
            "packages": [package | {"sources": [f"{server.address}/zip"]}],
        },
        "clip": {"packages": text},
    }
    catalogue = write_catalogue(tmp_path / "list.toml", models)
    monkeypatch.setenv("MOMASK_WEIGHTS", str(tmp_path / "weights"))
    monkeypatch.setitem(sys.modules, "model_runtime.training.graphs", None)  # as without PyTorch
    return lambda name, *rest: main([name, *map(str, rest), "--catalogue", str(catalogue)])


@pytest.fixture
def archive(tree: Path, tmp_path: Path) -> Path:
    file = tmp_path / "models.zip"
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as packed:
        for name in (*FILES, *OPTIONS):
            packed.writestr(f"t2m/{name}", (tree / name).read_bytes())
    return file


def test_one_command_from_the_server_to_a_model(
    run, server: Server, archive: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    server.answers |= {"/zip": whole(archive.read_bytes())}
    assert run("fetch", "tiny", "--accept-licence") == 0
    assert "--weights tiny" in capsys.readouterr().out
    folder = find_weights("tiny")
    assert folder == tmp_path / "weights" / "tiny"
    card = read_card(folder)
    assert card.name == "tiny" and card.has("length") and card.parts["text"].kind == "clip"
    assert sha256(archive.read_bytes()) not in (folder / "fetched.txt").read_text()
    assert "It is strict." in (folder / "fetched.txt").read_text()
    assert not list((tmp_path / "weights").rglob(".incoming"))
    stamp = (folder / "model.json").stat().st_mtime_ns
    assert run("fetch", "tiny", "--accept-licence") == 0
    assert len(server.asked) == 3 and (folder / "model.json").stat().st_mtime_ns == stamp
    assert run("verify") == 0
    (folder / "base.safetensors").write_bytes(b"x")
    assert run("verify", "tiny") == 2
    assert "base.safetensors is damaged" in capsys.readouterr().err
    assert run("remove", "tiny") == 0
    assert not folder.exists() and (tmp_path / "weights/downloads/clip").exists()


def test_a_share_or_files_got_by_hand_are_imported(
    run, archive: Path, tree: Path, clip: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    assert run("import", "tiny", archive) == 2
    message = capsys.readouterr().err
    assert (
        f"Imported 9 files. Still missing: {ARCHIVE}, {PAIRS} (of 'clip')."
        in message.splitlines()[-1]
    )
    downloaded = tmp_path / "downloaded"
    downloaded.mkdir()
    shutil.copyfile(clip / ARCHIVE, downloaded / "ViT-B-32 (1).pt")
    shutil.copyfile(clip / PAIRS, downloaded / PAIRS)
    assert run("import", "tiny", downloaded) == 0
    assert read_card(find_weights("tiny")).name == "tiny"
    share = tmp_path / "share"
    shutil.copytree(tree, share / "momask" / "t2m", copy_function=shutil.copyfile)
    for name in (ARCHIVE, PAIRS):
        shutil.copyfile(clip / name, share / "momask" / name)
    assert run("remove", "tiny") == run("remove", "clip") == 0
    assert run("import", "tiny", share) == 0
    assert read_card(find_weights("tiny")).has("length")


def test_what_is_not_the_published_file_is_not_imported(
    run, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    assert run("import", "clip", tmp_path / "nowhere") == 2
    assert "There is no file or folder" in capsys.readouterr().err
    wrong = tmp_path / ARCHIVE
    for content in (b"towel", b"a taller tower"):
        wrong.write_bytes(content)
        assert run("import", "clip", wrong) == 2
        assert f"{wrong} is not the published file" in capsys.readouterr().err.splitlines()[-1]
    assert not list((tmp_path / "weights").rglob(ARCHIVE))


def test_a_model_that_is_the_users_own_is_left_alone(
    run, server: Server, archive: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    server.answers |= {"/zip": whole(archive.read_bytes())}
    own = tmp_path / "weights" / "tiny"
    own.mkdir(parents=True)
    (own / "model.json").write_text("mine")
    for command in (("fetch", "tiny", "--accept-licence"), ("remove", "tiny")):
        assert run(*command) == 2
        assert "was not made by fetching" in capsys.readouterr().err.splitlines()[-1]
        assert (own / "model.json").read_text() == "mine"
    own.rename(tmp_path / "weights" / "mine")
    assert run("fetch", "tiny", "--accept-licence") == 0


def test_a_conversion_that_fails_keeps_what_was_fetched(
    run, server: Server, archive: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    """Options have no published hash: they may be anything, and are read as text only."""
    evil = tmp_path / "evil.zip"
    with zipfile.ZipFile(archive) as good, zipfile.ZipFile(evil, "w") as bad:
        for name in good.namelist():
            content = good.read(name)
            if name.endswith(f"{RVQ}/opt.txt"):
                content = content.replace(b"width: 24", b"width: __import__('os').getcwd()")
            bad.writestr(name, content)
    server.answers |= {"/zip": whole(evil.read_bytes())}
    assert run("fetch", "tiny", "--accept-licence") == 2
    assert "width" in capsys.readouterr().err.splitlines()[-1]
    root = tmp_path / "weights"
    assert not (root / "tiny").exists()
    assert (root / "downloads" / "tiny" / "t2m" / BASE / "model" / "latest.tar").is_file()

"""Published models in the preferences: the real child process, fetching from a server here."""

import json
import time
import zipfile
from pathlib import Path

import pytest

from tests.fetcher.faulty_server import Server, trickle, whole
from tests.fetcher.small_catalogue import entry, write_catalogue

pytestmark = pytest.mark.blender

FOLDERS = (
    "rvq_nq6_dc32_nc64_noshare_qdp0.2",
    "t2m_nlayer2_nhead6_ld24_ff64_cdp0.1_rvq6ns",
    "tres_nlayer3_ld12_ff56_rvq6ns_cdp0.2_sw",
    "length_estimator",
)


@pytest.fixture
def archive(shared: Path, tmp_path: Path) -> Path:
    """A published model, tiny."""
    tree, file = shared / "fixtures" / "checkpoints" / "t2m", tmp_path / "models.zip"
    with zipfile.ZipFile(file, "w") as packed:
        for each in sorted(each for folder in FOLDERS for each in (tree / folder).rglob("*.*")):
            if each.is_file():
                packed.writestr(str(each.relative_to(tree)), each.read_bytes())
    return file


@pytest.fixture
def server():
    running = Server()
    yield running
    running.close()


@pytest.fixture
def weights(bpy, session, archive: Path, server: Server, tmp_path: Path, monkeypatch):
    """The add-on's weights, with one model to fetch and an empty folder; Blender may go online."""
    from momask_blender import settings
    from momask_blender.weights import Weights, weights

    with zipfile.ZipFile(archive) as packed:
        files = [entry(name, packed.read(name)) for name in packed.namelist()]
    package = {"archive": "models.zip", "sources": [f"{server.address}/zip"], "files": files}
    model = {"packages": [package | {"folder": "t2m"}], "dataset": "t2m", "licence": "strict"}
    catalogue = write_catalogue(tmp_path / "list.toml", {"tiny": model})
    monkeypatch.setenv("MOMASK_CATALOGUE", str(catalogue))
    folder = str(tmp_path / "weights")
    monkeypatch.setattr(settings._DEFAULTS, "weights_folder", folder, raising=False)
    bpy.context.preferences.system.use_online_access = True
    yield weights
    weights.shut_down()
    vars(weights).update(vars(Weights()))
    bpy.context.preferences.system.use_online_access = False


def state(weights) -> str:
    return weights.offers[0].state


def wait_until(weights, is_true) -> None:
    """Poll as a window's timer does."""
    end = time.monotonic() + 20.0
    while not is_true():
        assert weights.poll(0.05), weights.error
        assert time.monotonic() < end


def test_a_model_is_fetched_and_can_be_chosen(bpy, session, weights, server, archive, tmp_path):
    server.answers["/zip"] = whole(archive.read_bytes())
    assert bpy.ops.momask.look_for_weights() == {"FINISHED"}
    assert [offer.name for offer in weights.offers] == ["tiny"] and state(weights) == "absent"
    assert bpy.ops.momask.fetch_weights(name="tiny", accept_licence=True) == {"FINISHED"}
    assert "tiny" in session.models
    card = json.loads((tmp_path / "weights" / "tiny" / "model.json").read_text())
    assert card["name"] == "tiny"
    bpy.ops.momask.look_for_weights()
    assert state(weights) == "ready"
    assert bpy.ops.momask.remove_weights(name="tiny") == {"FINISHED"}
    assert "tiny" not in session.models


def test_terms_are_accepted_first(bpy, weights, server):
    with pytest.raises(RuntimeError, match="when its terms are accepted"):
        bpy.ops.momask.fetch_weights(name="tiny")
    assert "terms" in weights.error and not server.asked


def test_blenders_online_setting_is_honoured(bpy, weights, server, archive):
    bpy.context.preferences.system.use_online_access = False
    with pytest.raises(RuntimeError, match="may not go online"):
        bpy.ops.momask.fetch_weights(name="tiny", accept_licence=True)
    assert not server.asked
    assert bpy.ops.momask.import_weights(name="tiny", filepath=str(archive)) == {"FINISHED"}
    bpy.ops.momask.look_for_weights()
    assert state(weights) == "ready"


@pytest.mark.parametrize("name", ["other", "--help", ""])
def test_only_listed_models_are_fetched(bpy, weights, name):
    with pytest.raises(RuntimeError, match="no published model"):
        bpy.ops.momask.fetch_weights(name=name, accept_licence=True)


def test_what_fails_is_said(bpy, weights, tmp_path):
    with pytest.raises(RuntimeError, match="404"):
        bpy.ops.momask.fetch_weights(name="tiny", accept_licence=True)
    bpy.ops.momask.look_for_weights()
    assert "Cannot fetch models.zip" in weights.notice + weights.error or not weights.error
    with pytest.raises(RuntimeError, match="no file or folder"):
        bpy.ops.momask.import_weights(name="tiny", filepath=str(tmp_path / "nothing.zip"))


def test_cancelling_keeps_what_came(bpy, weights, server, archive, tmp_path):
    """Ticked by hand, as in a window."""
    content = archive.read_bytes()
    server.answers["/zip"] = trickle(content, pause=60.0, piece=100_000)
    folder = str(tmp_path / "weights")
    part = tmp_path / "weights/downloads/tiny/.incoming/models.zip.part"
    weights.fetch(folder, "tiny", is_licence_accepted=True)
    wait_until(weights, lambda: weights.share > 0.0 and part.stat().st_size == 100_000)
    assert weights.phase == "Downloading models.zip" and weights.is_busy
    assert not bpy.ops.momask.fetch_weights.poll()
    assert bpy.ops.momask.cancel_weights() == {"FINISHED"}
    assert not weights.is_busy and "goes on from there" in weights.notice
    bpy.ops.momask.look_for_weights()
    assert state(weights) == "begun"
    server.answers["/zip"] = whole(content)
    assert bpy.ops.momask.fetch_weights(name="tiny", accept_licence=True) == {"FINISHED"}
    assert server.asked[-1][1] == "bytes=100000-"


def test_the_child_ends_with_the_add_on(weights, server, archive, tmp_path):
    server.answers["/zip"] = trickle(archive.read_bytes(), pause=60.0, piece=100_000)
    weights.fetch(str(tmp_path / "weights"), "tiny", is_licence_accepted=True)
    wait_until(weights, lambda: weights.share > 0.0)
    child = weights._child
    weights.shut_down()
    assert not child.is_alive and not weights.is_busy


def test_preferences_draw_every_state(bpy, session, weights, server, archive):
    """Blender's layout in a panel without a window cannot be had: the calls are what is checked."""
    from momask_blender.ui import preferences

    class Layout:
        def __init__(self) -> None:
            self.texts: list[str] = []

        def __getattr__(self, _name):
            def take(*_arguments, text: str = "", **_options):
                self.texts.append(text)
                return self

            return take

    def drawn() -> str:
        layout = Layout()
        preferences.draw_weights(layout, bpy.context, session_preferences())
        return " | ".join(layout.texts)

    def session_preferences():
        from momask_blender.settings import preferences as wanted

        return wanted()

    bpy.ops.momask.look_for_weights()
    assert "Fetch (" in drawn() and "It is strict." in drawn()
    bpy.context.preferences.system.use_online_access = False
    assert "may not go online" in drawn()
    bpy.ops.momask.import_weights(name="tiny", filepath=str(archive))
    bpy.ops.momask.look_for_weights()
    assert "Use" in drawn().split(" | ")

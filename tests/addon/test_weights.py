"""Published models in the preferences: the real child process, fetching from a server here."""

import json
import time
import zipfile
from pathlib import Path
from types import SimpleNamespace

import pytest

from tests.addon.test_rig_panel import Paper
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
    text = {"packages": [{"sources": ["http://x/y"], "files": [entry("text.bin", b"tower")]}]}
    catalogue = write_catalogue(tmp_path / "list.toml", {"tiny": model, "text": text})
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
    assert [offer.name for offer in weights.offers] == ["tiny", "text"]
    assert state(weights) == "absent"
    assert bpy.ops.momask.fetch_weights(name="tiny", accept_licence=True) == {"FINISHED"}
    assert "tiny" in session.models
    card = json.loads((tmp_path / "weights" / "tiny" / "model.json").read_text())
    assert card["name"] == "tiny"
    bpy.ops.momask.look_for_weights()
    assert state(weights) == "ready"
    assert drawn(bpy).text.startswith("Published models  tiny Use ")
    assert bpy.ops.momask.remove_weights(name="tiny") == {"FINISHED"}
    assert "tiny" not in session.models


def test_terms_are_accepted_first(bpy, weights, server):
    with pytest.raises(RuntimeError, match="when its terms are accepted"):
        bpy.ops.momask.fetch_weights(name="tiny")
    assert "terms" in weights.error and not server.asked


def test_blenders_online_setting_is_honoured(bpy, weights, server):
    bpy.context.preferences.system.use_online_access = False
    with pytest.raises(RuntimeError, match="may not go online"):
        bpy.ops.momask.fetch_weights(name="tiny", accept_licence=True)
    assert not server.asked


def test_importing_needs_no_connection(bpy, weights, tmp_path):
    bpy.context.preferences.system.use_online_access = False
    (tmp_path / "text.bin").write_bytes(b"tower")
    source = str(tmp_path / "text.bin")
    assert bpy.ops.momask.import_weights(name="text", filepath=source) == {"FINISHED"}
    bpy.ops.momask.look_for_weights()
    assert weights.offers[1].state == "fetched"


@pytest.mark.parametrize("name", ["other", "--help", ""])
def test_only_listed_models_are_fetched(bpy, weights, name):
    with pytest.raises(RuntimeError, match="no published model"):
        bpy.ops.momask.fetch_weights(name=name, accept_licence=True)


def test_what_fails_is_said(bpy, weights, tmp_path):
    with pytest.raises(RuntimeError, match="404"):
        bpy.ops.momask.fetch_weights(name="tiny", accept_licence=True)
    assert weights.error.startswith("Cannot fetch models.zip")
    assert weights.error in drawn(bpy).text
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
    weights.fetch(folder, "tiny", is_licence_accepted=True)
    wait_until(weights, lambda: len(server.asked) == 2)
    assert server.asked[-1][1] == "bytes=100000-"


def test_the_child_ends_with_the_add_on(weights, server, archive, tmp_path):
    server.answers["/zip"] = trickle(archive.read_bytes(), pause=60.0, piece=100_000)
    weights.fetch(str(tmp_path / "weights"), "tiny", is_licence_accepted=True)
    wait_until(weights, lambda: weights.share > 0.0)
    child = weights._child
    weights.shut_down()
    assert not child.is_alive and not weights.is_busy


class Sheet(Paper):
    """Also takes what preferences and dialogs draw."""

    def separator(self, **_options) -> None:
        pass

    def progress(self, factor: float, text: str) -> None:
        assert 0.0 <= factor <= 1.0
        self.words.append(text)

    def operator(self, name: str, text: str | None = None, **options) -> SimpleNamespace:
        if name.startswith("momask."):
            return super().operator(name, text, **options)
        group, _, own = name.partition(".")
        getattr(getattr(self.bpy.ops, group), own).get_rna_type()
        return SimpleNamespace()


def drawn(bpy) -> Sheet:
    from momask_blender.settings import preferences
    from momask_blender.ui.preferences import draw_weights

    sheet = Sheet(bpy)
    draw_weights(sheet, bpy.context, preferences())
    return sheet


def test_preferences_show_size_terms_state_and_progress(bpy, weights, server, archive, tmp_path):
    bpy.ops.momask.look_for_weights()
    assert "tiny Fetch (3 MB)" in drawn(bpy).text and "It is strict." in drawn(bpy).text
    bpy.context.preferences.system.use_online_access = False
    assert "may not go online" in drawn(bpy).text
    server.answers["/zip"] = trickle(archive.read_bytes(), pause=60.0, piece=100_000)
    weights.fetch(str(tmp_path / "weights"), "tiny", is_licence_accepted=True)
    wait_until(weights, lambda: weights.share > 0.0)
    assert "Downloading models.zip" in drawn(bpy).text
    assert "momask.cancel_weights" in drawn(bpy).operators
    weights.cancel()
    bpy.ops.momask.look_for_weights()
    assert "Go On (3 MB)" in drawn(bpy).text and "Cancelled." in drawn(bpy).text


def test_the_dialog_shows_what_is_accepted(bpy, weights):
    from momask_blender.ui.weights_operators import MOMASK_OT_fetch_weights

    bpy.ops.momask.look_for_weights()
    sheet = Sheet(bpy)
    rna = bpy.ops.momask.fetch_weights.get_rna_type()
    MOMASK_OT_fetch_weights.draw(
        SimpleNamespace(layout=sheet, name="tiny", bl_rna=rna), bpy.context
    )
    assert "3 MB to download" in sheet.text and "Terms." in sheet.text

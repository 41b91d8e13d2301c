"""Other models than the starter: chosen in the panel, played on a character."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import pytest

from tests.addon.test_rig_panel import Paper
from tests.addon.test_session import start

pytestmark = pytest.mark.blender


@pytest.fixture
def use(session, monkeypatch) -> Callable[[Path, str], None]:
    """A model of a weights folder, as chosen in the preferences."""
    from momask_blender import settings

    def choose(folder: Path, model: str) -> None:
        monkeypatch.setattr(settings._DEFAULTS, "weights_folder", str(folder), raising=False)
        monkeypatch.setattr(settings._DEFAULTS, "model", model, raising=False)
        session.look_around()

    yield choose
    monkeypatch.undo()
    session.look_around()


def test_the_panel_names_the_model_and_asks_for_a_length_that_it_cannot_choose(
    bpy, session, use, tmp_path
):
    from momask_blender.inputs import SHIPPED_WEIGHTS
    from momask_blender.ui.panels import MOMASK_PT_generate

    def drawn() -> str:
        paper = Paper(bpy)
        MOMASK_PT_generate.draw(SimpleNamespace(layout=paper), bpy.context)
        return paper.text

    card = json.loads((SHIPPED_WEIGHTS / "starter" / "model.json").read_text())
    (tmp_path / "mute").mkdir()
    (tmp_path / "mute" / "model.json").write_text(json.dumps(card | {"length": None}))
    settings = bpy.context.scene.momask
    for model, length, is_lacking in (
        ("mute", "MODEL", True),
        ("mute", "SECONDS", False),
        ("starter", "MODEL", False),
    ):
        use(tmp_path, model)
        settings.length = length
        text = drawn()
        assert f"Model {model}" in text
        assert ("'mute' cannot choose a length: set" in text) == is_lacking


@pytest.fixture
def kit(request: pytest.FixtureRequest) -> Path:
    """A small KIT model's folder, where PyTorch is there to make graphs of its sizes."""
    pytest.importorskip("torch", reason="PyTorch, which makes graphs of other sizes, is not here")
    return request.getfixturevalue("published")("kit").card.folder


def test_kit_moves_a_character(bpy, session, tick_on, use, kit: Path, tmp_path: Path):
    folder = tmp_path / "weights"
    shutil.copytree(kit, folder / "kit")
    use(folder, "kit")
    start(bpy, session, target="NEW", length="SECONDS", seconds=2.0)
    tick_on(session)
    assert session.error is None
    assert "21 joints at 12.5 frames per second" in session.notice.text
    action = bpy.context.object.animation_data.action
    assert tuple(action.frame_range) == (1.0, 48.0)
    start(bpy, session, target="NEW", length="MODEL")
    tick_on(session)
    assert "cannot choose a length" in session.error.message

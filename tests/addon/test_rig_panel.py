"""What the panels on the character say, on paper: Blender's module has no window to draw in."""

from types import SimpleNamespace

import pytest

from momask_blender.retarget.roles import ROLES

pytestmark = pytest.mark.blender


class Paper:
    """Takes what panels draw; operators and properties must exist."""

    def __init__(self, bpy) -> None:
        self.bpy = bpy
        self.words: list[str] = []
        self.operators: list[str] = []
        self.opened: list[tuple[str, bool]] = []

    def part(self, **_options) -> "Paper":
        return self

    row = column = box = split = part

    def label(self, text: str = "", icon: str = "NONE") -> None:
        self.words.append(text)

    def prop(self, data, name: str, **_options) -> None:
        assert name in data.bl_rna.properties

    def operator(self, name: str, text: str | None = None, **_options) -> SimpleNamespace:
        kind = getattr(self.bpy.ops.momask, name.removeprefix("momask.")).get_rna_type()
        self.operators.append(name)
        self.words.append(kind.name if text is None else text)
        return SimpleNamespace()

    def menu(self, name: str, text: str = "", **_options) -> None:
        assert hasattr(self.bpy.types, name)
        self.words.append(text)

    def panel(self, name: str, default_closed: bool) -> tuple["Paper", "Paper"]:
        self.opened.append((name, not default_closed))
        return self, self

    @property
    def text(self) -> str:
        return " ".join(self.words)


@pytest.fixture
def drawn(bpy, session):
    from momask_blender.ui import panels, rig_panel

    def draw(name: str) -> Paper:
        paper = Paper(bpy)
        kind = getattr(rig_panel, name, None) or getattr(panels, name)
        kind.draw(SimpleNamespace(layout=paper), bpy.context)
        return paper

    return draw


@pytest.fixture
def hero(bpy, session):
    from momask_blender.rig.character import build_character

    armature = build_character("Hero", bpy.context.scene.collection)
    bpy.context.view_layer.objects.active = armature
    bpy.context.scene.momask.target = "ACTIVE"
    return armature


@pytest.fixture
def known(bpy, hero):
    from momask_blender.rig.known_maps import known_maps

    return known_maps.look_up(hero)


def test_drawing_waits_for_the_bones_to_be_looked_at(bpy, hero, drawn):
    from momask_blender.rig.known_maps import known_maps
    from momask_blender.ui.timer import stop_ticking

    assert "Looking at the bones of 'Hero'" in drawn("MOMASK_PT_rig").text
    assert known_maps.peek(hero) is None
    stop_ticking()


def test_the_panel_says_what_was_found(drawn, known):
    paper = drawn("MOMASK_PT_rig")
    assert f"'Hero': {known.joint_map.source}, 22 of 22 bones" in paper.text
    assert paper.opened == [("MOMASK_bones", False)], "nothing to look at: folded"
    assert set(known.joint_map.bones.values()) <= set(paper.words)
    assert paper.operators.count("momask.set_role") == len(ROLES)
    assert "momask.forget_map" not in paper.operators


def test_a_missing_limb_unfolds_the_list_and_says_what_to_do(bpy, drawn, known):
    bpy.ops.momask.clear_role(role="l_forearm")
    paper = drawn("MOMASK_PT_rig")
    assert "Choose a bone: left forearm" in paper.text
    assert paper.opened == [("MOMASK_bones_to_check", True)]
    assert "momask.forget_map" in paper.operators


def test_what_is_no_humanoid_is_said_with_a_way_out(bpy, session, drawn):
    from momask_blender.rig.known_maps import known_maps

    bpy.ops.object.armature_add()
    found = known_maps.look_up(bpy.context.object)
    paper = drawn("MOMASK_PT_rig")
    assert found.error.split()[0] in paper.text
    assert "momask.detect_bones" in paper.operators
    bpy.context.scene.momask.target = "ACTIVE"
    assert "momask.use_new_character" in drawn("MOMASK_PT_generate").operators


def test_the_panel_says_who_will_move(bpy, drawn, known):
    assert "'Hero', as a new Action" in drawn("MOMASK_PT_generate").text
    bpy.context.scene.momask.target = "NEW"
    assert "A new mannequin" in drawn("MOMASK_PT_generate").text
    assert "momask.use_active_character" in drawn("MOMASK_PT_rig").operators
    bpy.ops.momask.use_active_character()
    assert bpy.context.scene.momask.target == "ACTIVE"


def test_the_fit_panel_sets_what_a_motion_is_fitted_with(bpy, session, drawn):
    from momask_blender.inputs import fit_from
    from momask_blender.retarget.fit import Fit

    drawn("MOMASK_PT_fit")
    settings = bpy.context.scene.momask
    assert fit_from(settings) == Fit()
    settings.feet, settings.travel, settings.start_at = "STRICT", "ROOT_BONE", "CURSOR"
    settings.ground, settings.reduce_legs, settings.ik_feet = 0.5, True, True
    wanted = Fit(feet="STRICT", travel="ROOT_BONE", start="CURSOR", ground=0.5, ik_feet=True)
    assert fit_from(settings) == wanted, "fewer keys on legs only where there are fewer keys"

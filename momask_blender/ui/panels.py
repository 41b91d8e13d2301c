"""Panels of the sidebar: they draw what settings and session say and compute nothing."""

import textwrap
from typing import Any, ClassVar

import bpy
from bpy.types import Action, Context, Menu, Object, Panel, UILayout, UIList

from ..animation.takes import read_take
from ..inputs import lack_of_length, lack_of_target
from ..rig.selected import armature_of
from ..session import session
from ..settings import preferences, settings_of

PIXELS_PER_CHARACTER = 7.2  # of Blender's interface font, about


class Sidebar:
    bl_space_type = "VIEW_3D"
    bl_region_type = "UI"
    bl_category = "MoMask"


class MOMASK_PT_generate(Sidebar, Panel):
    bl_label = "Generate Motion"
    bl_idname = "MOMASK_PT_generate"

    def draw(self, context: Context) -> None:
        settings = settings_of(context.scene)
        inputs = self.layout.column()
        inputs.enabled = not session.is_busy
        draw_model(inputs)
        draw_prompt(inputs, settings)
        draw_choices(inputs, settings)
        draw_target(inputs, context, settings)
        draw_lacks(self.layout, context, settings)
        draw_action(self.layout, settings)
        draw_outcome(self.layout, context)


def draw_model(layout: UILayout) -> None:
    """Which model moves the character, where there is a choice."""
    if len(session.models) > 1:
        row = layout.row()
        row.label(text="Model")
        row.menu("MOMASK_MT_models", text=preferences().model)


def draw_prompt(layout: UILayout, settings: Any) -> None:
    row = layout.row(align=True)
    row.prop(settings, "prompt", text="", placeholder="a person walks forward")
    row.menu("MOMASK_MT_history", text="", icon="TIME")


def draw_choices(layout: UILayout, settings: Any) -> None:
    column = layout.column()
    column.use_property_split = True
    column.use_property_decorate = False
    column.prop(settings, "length")
    if settings.length == "SECONDS":
        column.prop(settings, "seconds")
    row = column.row(align=True)
    row.prop(settings, "seed")
    row.operator("momask.new_seed", text="", icon="FILE_REFRESH")
    row.prop(settings, "lock_seed", text="", icon="LOCKED" if settings.lock_seed else "UNLOCKED")
    column.prop(settings, "variations")
    column.row().prop(settings, "quality", expand=True)
    start = column.row()
    start.enabled = settings.length not in ("SCENE", "PREVIEW")
    start.prop(settings, "start")


def draw_target(layout: UILayout, context: Context, settings: Any) -> None:
    """Who will move, by name."""
    layout.row().prop(settings, "target", expand=True)
    armature = armature_of(context.object)
    if settings.target == "NEW":
        draw_text(layout, context, "A new mannequin, at the 3D cursor", "OUTLINER_OB_ARMATURE")
    elif armature is not None:
        draw_text(layout, context, f"'{armature.name}', as a new Action", "OUTLINER_OB_ARMATURE")


def draw_lacks(layout: UILayout, context: Context, settings: Any) -> None:
    """What is ready and what is missing, with the button that fixes it."""
    length = lack_of_length(settings, session.can_choose_length)
    lacks = [session.lack, lack_of_target(context, settings), length]
    for lack in filter(None, lacks):
        column = layout.column(align=True)
        draw_text(column, context, lack.text, "ERROR")
        if lack.fix:
            column.operator(lack.fix)
    if not any(lacks) and not session.is_busy:
        where = f"Ready on {session.runs_on}" if session.runs_on else "Ready"
        draw_text(layout, context, where, "CHECKMARK")


def draw_action(layout: UILayout, settings: Any) -> None:
    if session.is_busy:
        layout.progress(factor=session.share, text=session.phase)
        layout.operator("momask.cancel", icon="X")
    else:
        row = layout.row()
        row.scale_y = 1.5
        many = settings.variations > 1
        text = f"Generate {settings.variations} Takes" if many else "Generate"
        row.operator("momask.generate", text=text, icon="PLAY")


def draw_outcome(layout: UILayout, context: Context) -> None:
    if session.error is not None:
        box = layout.box()
        draw_text(box, context, session.error.message, "ERROR")
        if session.error.fix:
            box.operator(session.error.fix)
        row = box.row(align=True)
        row.operator("momask.copy_report", icon="COPYDOWN")
        row.operator("momask.dismiss", text="", icon="X")
        if session.can_apply_again:
            box.operator("momask.apply_again")
    if session.notice is not None:
        box = layout.box()
        draw_text(box, context, session.notice.text, "INFO")
        for near, prompt in session.notice.offers():
            box.operator("momask.use_prompt", text=near, icon="FORWARD").prompt = prompt
    if session.result:
        draw_text(layout, context, session.result, "NONE")


def draw_text(layout: UILayout, context: Context, text: str, icon: str) -> None:
    """Wrapped to the width of the sidebar."""
    scale = context.preferences.system.ui_scale
    width = (context.region.width / scale - 60.0) if context.region else 200.0
    column = layout.column(align=True)
    column.scale_y = 0.8
    lines = textwrap.wrap(text, max(16, int(width / PIXELS_PER_CHARACTER)))
    for index, line in enumerate(lines):
        column.label(text=line, icon=icon if index == 0 else "BLANK1" if icon != "NONE" else "NONE")


class MOMASK_PT_advanced(Sidebar, Panel):
    bl_label = "Advanced"
    bl_parent_id = "MOMASK_PT_generate"
    bl_order = 1  # after Rig and Fit
    bl_options: ClassVar = {"DEFAULT_CLOSED"}

    def draw(self, context: Context) -> None:
        settings = settings_of(context.scene)
        layout = self.layout
        layout.use_property_split = True
        layout.use_property_decorate = False
        layout.prop(settings, "own_settings")
        column = layout.column()
        column.enabled = not settings.own_settings
        for name in ("steps", "guidance", "residual_guidance", "temperature"):
            column.prop(settings, name)
        layout.operator("momask.unload" if session.runs_on else "momask.load")


class MOMASK_PT_takes(Sidebar, Panel):
    bl_label = "Takes"
    bl_idname = "MOMASK_PT_takes"
    bl_order = 2

    def draw(self, context: Context) -> None:
        settings, layout = settings_of(context.scene), self.layout
        row = layout.row()
        row.template_list(
            "MOMASK_UL_takes", "", bpy.data, "actions", settings, "take_index", rows=3
        )
        action = chosen_take(settings)
        buttons = layout.column()
        buttons.enabled = action is not None
        name = action.name if action else ""
        row = buttons.row(align=True)
        row.operator("momask.play_take", icon="PLAY").take = name
        row.operator("momask.reuse_take", text="Reuse", icon="LOOP_BACK").take = name
        row.operator("momask.delete_take", text="", icon="TRASH").take = name
        if action is not None:
            draw_take(layout, context, action)
        layout.operator("momask.clean_up_feet", icon="CON_FLOOR")


class MOMASK_PT_export(Sidebar, Panel):
    bl_label = "Export"
    bl_idname = "MOMASK_PT_export"
    bl_order = 3

    def draw(self, context: Context) -> None:
        layout = self.layout
        armature = armature_of(context.object)
        playing = played_action(armature)
        if playing is None:
            draw_text(layout, context, "Select a character that plays a take", "INFO")
        else:
            draw_text(layout, context, f"'{armature.name}' with '{playing.name}'", "ACTION")
        column = layout.column(align=True)
        for preset, label in (("UNREAL", "Unreal"), ("UNITY", "Unity"), ("GENERIC", "Other")):
            button = column.operator("momask.export", text=f"FBX for {label}", icon="EXPORT")
            button.ending, button.preset = ".fbx", preset
        row = layout.row(align=True)
        row.operator("momask.export", text="glTF").ending = ".glb"
        row.operator("momask.export", text="BVH").ending = ".bvh"


def played_action(armature: Object | None) -> Action | None:
    data = armature.animation_data if armature is not None else None
    return data.action if data else None


def chosen_take(settings: Any) -> Action | None:
    """The take on the chosen line of the list, None where the line is no take."""
    index = settings.take_index
    action = bpy.data.actions[index] if 0 <= index < len(bpy.data.actions) else None
    return action if action is not None and read_take(action) is not None else None


def draw_take(layout: UILayout, context: Context, action: Action) -> None:
    take = read_take(action)
    assert take is not None
    used = take.settings
    draw_text(layout, context, f"“{take.prompt}”", "NONE")
    column = layout.column(align=True)
    column.scale_y = 0.8
    column.label(text=f"Seed {take.seed}, {take.num_keys / take.fps:.1f} s at {take.fps:g} fps")
    column.label(text=f"Model {used.get('model', '?')}, {used.get('steps', '?')} steps")
    scales = (used.get("guidance_scale", "?"), used.get("residual_guidance_scale", "?"))
    column.label(text=f"Guidance {scales[0]} and {scales[1]}")


class MOMASK_UL_takes(UIList):
    """The takes among the file's Actions; a dot marks the one that the active object plays."""

    def draw_item(
        self,
        context: Context,
        layout: UILayout,
        _data: Any,
        item: Action,
        _icon: int,
        _active_data: Any,
        _active_name: str,
    ) -> None:
        plays = played_action(armature_of(context.object)) == item
        row = layout.split(factor=0.8)
        row.prop(item, "name", text="", emboss=False, icon="RADIOBUT_ON" if plays else "ACTION")
        take = read_take(item)
        if take is not None:
            row.label(text=f"{take.num_keys / take.fps:.1f} s")

    def filter_items(self, _context: Context, data: Any, name: str) -> tuple[list[int], list[int]]:
        words = self.filter_name.lower()
        shown = [
            self.bitflag_filter_item
            if read_take(action) is not None and words in action.name.lower()
            else 0
            for action in getattr(data, name)
        ]
        return shown, []


class MOMASK_MT_history(Menu):
    bl_label = "Earlier Prompts"

    def draw(self, _context: Context) -> None:
        if not session.history.prompts:
            self.layout.label(text="No earlier prompts")
        for prompt in session.history.prompts:
            self.layout.operator("momask.use_prompt", text=prompt).prompt = prompt


class MOMASK_MT_models(Menu):
    bl_label = "Models"

    def draw(self, _context: Context) -> None:
        for name in session.models:
            self.layout.operator("momask.use_model", text=name).model = name


CLASSES = (
    MOMASK_PT_generate,
    MOMASK_PT_advanced,
    MOMASK_PT_takes,
    MOMASK_PT_export,
    MOMASK_UL_takes,
    MOMASK_MT_history,
    MOMASK_MT_models,
)

"""Panels about the animator's own character: its bones, and how a motion is fitted to it."""

from typing import Any, ClassVar

from bpy.types import Context, Object, Panel, UILayout

from ..retarget.roles import REQUIRED, ROLES, spoken
from ..rig.joint_map import JointMap
from ..rig.known_maps import Known, known_maps
from ..rig.selected import armature_of
from ..settings import settings_of
from .panels import Sidebar, draw_text
from .timer import look_up_soon

SURE = 0.75  # confidence below which an animator had better look
_ARM, _LEG = ("collar", "upperarm", "forearm", "hand"), ("thigh", "shin", "foot", "toe")
GROUPS = {
    "Body": ("hips", "spine1", "spine2", "spine3", "neck", "head"),
    "Left arm": tuple(f"l_{part}" for part in _ARM),
    "Right arm": tuple(f"r_{part}" for part in _ARM),
    "Left leg": tuple(f"l_{part}" for part in _LEG),
    "Right leg": tuple(f"r_{part}" for part in _LEG),
}
"""The roles as a body has them, for reading."""


class MOMASK_PT_rig(Sidebar, Panel):
    bl_label = "Rig"
    bl_parent_id = "MOMASK_PT_generate"

    def draw(self, context: Context) -> None:
        armature = armature_of(context.object)
        if armature is None:
            draw_text(self.layout, context, "Select an armature, or a mesh that it moves", "INFO")
            return
        if settings_of(context.scene).target == "NEW":
            draw_unused(self.layout, context, armature)
        known = known_maps.peek(armature)
        if known is None:
            look_up_soon()
            draw_text(self.layout, context, f"Looking at the bones of '{armature.name}'", "TIME")
        elif known.joint_map is None:
            draw_without_map(self.layout, context, known)
        else:
            draw_found(self.layout, context, armature, known.joint_map)
            draw_bones(self.layout, known.joint_map)
            draw_map_buttons(self.layout, known)


def draw_unused(layout: UILayout, context: Context, armature: Object) -> None:
    column = layout.column(align=True)
    text = f"Motions go onto a new character, not onto '{armature.name}'"
    draw_text(column, context, text, "INFO")
    column.operator("momask.use_active_character", icon="ARMATURE_DATA")


def draw_without_map(layout: UILayout, context: Context, known: Known) -> None:
    draw_text(layout, context, known.error, "ERROR")
    if known.fix:
        layout.operator(known.fix)
    draw_bones(layout, JointMap({}))
    draw_map_buttons(layout, known)


def draw_found(layout: UILayout, context: Context, armature: Object, joint_map: JointMap) -> None:
    found = f"'{armature.name}': {joint_map.source}, {len(joint_map.bones)} of {len(ROLES)} bones"
    draw_text(layout, context, found, "ERROR" if worth_a_look(joint_map) else "CHECKMARK")
    missing = [spoken(role) for role in REQUIRED if role not in joint_map.bones]
    if missing:
        draw_text(layout, context, f"Choose a bone: {', '.join(missing)}", "ERROR")
    for warning in joint_map.warnings:
        draw_text(layout, context, warning, "INFO")


def worth_a_look(joint_map: JointMap) -> bool:
    """Whether some role is unsure, or missing where every human has it."""
    unsure = any(not is_sure(joint_map, role) for role in joint_map.bones)
    return unsure or any(role not in joint_map.bones for role in REQUIRED)


def is_sure(joint_map: JointMap, role: str) -> bool:
    return joint_map.confidence.get(role, 1.0) >= SURE


def draw_bones(layout: UILayout, joint_map: JointMap) -> None:
    """Folded where all is well; Blender remembers folding by name, so the open one has its own."""
    is_open = worth_a_look(joint_map)
    name = "MOMASK_bones_to_check" if is_open else "MOMASK_bones"
    header, body = layout.panel(name, default_closed=not is_open)
    header.label(text="Bones")
    if body is not None:
        column = body.column()
        for group, roles in GROUPS.items():
            rows = column.column(align=True)
            rows.label(text=group)
            for role in roles:
                draw_role(rows, joint_map, role)


def draw_role(layout: UILayout, joint_map: JointMap, role: str) -> None:
    bone = joint_map.bones.get(role, "")
    row = layout.split(factor=0.45, align=True)
    name = row.row()
    name.alert = not is_sure(joint_map, role) if bone else role in REQUIRED
    part = spoken(role).removeprefix("left ").removeprefix("right ")
    name.label(text=part.capitalize(), icon=icon_of(joint_map, role))
    buttons = row.row(align=True)
    buttons.operator("momask.choose_bone", text=bone or "Choose", translate=False).role = role
    buttons.operator("momask.set_role", text="", icon="EYEDROPPER").role = role
    leave_out = buttons.row(align=True)
    leave_out.enabled = bool(bone)
    leave_out.operator("momask.clear_role", text="", icon="X").role = role


def icon_of(joint_map: JointMap, role: str) -> str:
    if role not in joint_map.bones:
        return "ERROR" if role in REQUIRED else "REMOVE"
    return "CHECKMARK" if is_sure(joint_map, role) else "QUESTION"


def draw_map_buttons(layout: UILayout, known: Known) -> None:
    column = layout.column(align=True)
    column.operator("momask.detect_bones", icon="FILE_REFRESH")
    if known.is_own:
        column.operator("momask.forget_map", icon="LOOP_BACK")
    row = layout.row(align=True)
    row.operator("momask.import_map", icon="IMPORT")
    save = row.row(align=True)
    save.enabled = known.joint_map is not None
    save.operator("momask.export_map", icon="EXPORT")


class MOMASK_PT_fit(Sidebar, Panel):
    bl_label = "Fit"
    bl_parent_id = "MOMASK_PT_generate"
    bl_options: ClassVar = {"DEFAULT_CLOSED"}

    def draw(self, context: Context) -> None:
        settings: Any = settings_of(context.scene)
        column = self.layout.column()
        column.use_property_split = True
        column.use_property_decorate = False
        for name in ("feet", "travel", "start_at", "ground"):
            column.prop(settings, name)
        column = column.column(heading="Keys", align=True)
        column.prop(settings, "reduce_keys")
        legs = column.row()
        legs.enabled = settings.reduce_keys
        legs.prop(settings, "reduce_legs")
        column.prop(settings, "ik_feet")
        column.prop(settings, "relaxed_hands")


CLASSES = (MOMASK_PT_rig, MOMASK_PT_fit)

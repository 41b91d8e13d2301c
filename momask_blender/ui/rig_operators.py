"""Thin operators on the character's bones: which plays which role, and maps as files."""

from pathlib import Path
from typing import Any, ClassVar

import bpy
from bpy.props import BoolProperty, EnumProperty, StringProperty
from bpy.types import Context, Event, Object, Operator

from ..contract.targets import check_target
from ..errors import UserError
from ..retarget.roles import ROLES, spoken
from ..rig.joint_map import JointMap
from ..rig.known_maps import is_editable, known_maps
from ..rig.map_file import ENDING, map_to_text, read_map_file, write_map_file
from ..rig.mirror import mirrored_bone, mirrored_role
from ..rig.rest import read_rest
from ..rig.selected import armature_of
from .operators import refuse
from .timer import redraw

ROLE_ITEMS = tuple((role, spoken(role).capitalize(), "") for role in ROLES)
_bone_items: list[tuple[str, str, str]] = []  # Blender wants the strings of a menu kept alive


class RigOperator:
    """What operators on the selected character's bones share."""

    @classmethod
    def poll(cls, context: Context) -> bool:
        if armature_of(context.object) is None:
            cls.poll_message_set("Select an armature, or a mesh that it moves")
            return False
        return True

    def execute(self, context: Context) -> set[str]:
        armature = armature_of(context.object)
        assert armature is not None
        try:
            done = self.act(context, armature)
        except UserError as error:
            return refuse(self, error)
        if done:
            self.report({"INFO"}, done)
        redraw()
        return {"FINISHED"}

    def act(self, context: Context, armature: Object) -> str:
        """-> what was done, in a line. Raises UserError."""
        raise NotImplementedError


def bones_now(armature: Object) -> dict[str, str]:
    """Role -> bone; none where nothing has been found."""
    known = known_maps.look_up(armature)
    return dict(known.joint_map.bones) if known.joint_map else {}


def keep(armature: Object, bones: dict[str, str]) -> None:
    """Raises UserError when it can be remembered nowhere."""
    if not known_maps.keep(armature, JointMap(bones)):
        raise UserError(
            f"'{armature.name}' is linked and the add-on's own folder cannot be written: the map "
            "cannot be kept. Make the armature's data local: Object > Relations > Make Local."
        )
    known_maps.look_up(armature)


def set_role(armature: Object, role: str, bone: str, mirror: bool = True) -> str:
    """A bone plays one part, and is taken from the one it had. Says what was done.

    Raises UserError.
    """
    if bone not in armature.data.bones:
        raise UserError(f"'{armature.name}' has no bone '{bone}'. Choose one of its bones.")
    wanted = (_mirrored(role, bone, armature) if mirror else {}) | {role: bone}
    bones = bones_now(armature)
    taken = [r for r, b in bones.items() if b in wanted.values() and r not in wanted]
    keep(armature, {r: b for r, b in bones.items() if r not in taken} | wanted)
    said = [f"{spoken(role).capitalize()}: '{name}'" for role, name in wanted.items()]
    return ". ".join(said + [f"Now without a bone: {spoken(role)}" for role in taken])


class MOMASK_OT_set_role(RigOperator, Operator):
    """Let the active bone, the one selected last in Pose Mode, play this part. Kept in this file \
and for every character with the same skeleton"""

    bl_idname = "momask.set_role"
    bl_label = "Use the Active Bone"
    bl_options: ClassVar = {"REGISTER", "UNDO"}

    role: EnumProperty(name="Part", items=ROLE_ITEMS)
    bone: StringProperty(name="Bone", description="Empty: the active bone", options={"SKIP_SAVE"})
    mirror: BoolProperty(
        name="Other Side Too",
        default=True,
        description="Set the other side as well, where its bone has the mirrored name",
    )

    def act(self, _context: Context, armature: Object) -> str:
        return set_role(armature, self.role, self.bone or active_bone(armature), self.mirror)


def active_bone(armature: Object) -> str:
    """Raises UserError."""
    bone = armature.data.bones.active
    if bone is None:
        raise UserError(
            f"No bone of '{armature.name}' is active. Click one in Pose Mode, or choose it by name."
        )
    return bone.name


def _mirrored(role: str, bone: str, armature: Object) -> dict[str, str]:
    other = mirrored_bone(bone, armature.data.bones) if mirrored_role(role) else ""
    return {mirrored_role(role): other} if other else {}


class MOMASK_OT_choose_bone(RigOperator, Operator):
    """Choose the bone that plays this part by its name"""

    bl_idname = "momask.choose_bone"
    bl_label = "Choose Bone"
    bl_options: ClassVar = {"REGISTER", "UNDO"}
    bl_property = "bone"

    def list_bones(self, context: Context) -> list[tuple[str, str, str]]:
        armature = armature_of(context.object) if context else None
        _bone_items[:] = [(b.name, b.name, "") for b in armature.data.bones] if armature else []
        return _bone_items

    role: EnumProperty(name="Part", items=ROLE_ITEMS)
    bone: EnumProperty(name="Bone", items=list_bones)

    def invoke(self, context: Context, _event: Event) -> set[str]:
        context.window_manager.invoke_search_popup(self)
        return {"RUNNING_MODAL"}

    def act(self, _context: Context, armature: Object) -> str:
        return set_role(armature, self.role, self.bone)


class MOMASK_OT_clear_role(RigOperator, Operator):
    """Leave this part out: its bone is not animated"""

    bl_idname = "momask.clear_role"
    bl_label = "Leave Out"
    bl_options: ClassVar = {"REGISTER", "UNDO"}

    role: EnumProperty(name="Part", items=ROLE_ITEMS)

    def act(self, _context: Context, armature: Object) -> str:
        bones = bones_now(armature)
        if bones.pop(self.role, None) is None:
            raise UserError(f"The {spoken(self.role)} has no bone.")
        if not bones:
            raise UserError("This is the last bone of the map. Press Forget My Changes instead.")
        keep(armature, bones)
        return f"Left out: {spoken(self.role)}"


class MOMASK_OT_detect_bones(RigOperator, Operator):
    """Look at the character's bones once more, after the skeleton was changed"""

    bl_idname = "momask.detect_bones"
    bl_label = "Detect Again"

    def act(self, _context: Context, armature: Object) -> str:
        known = known_maps.look_again(armature)
        if known.joint_map is None:
            raise UserError(known.error, fix=known.fix)
        return f"{len(known.joint_map.bones)} of {len(ROLES)} bones: {known.joint_map.source}"


class MOMASK_OT_forget_map(RigOperator, Operator):
    """Forget what was set by hand for this skeleton, and find its bones by themselves again"""

    bl_idname = "momask.forget_map"
    bl_label = "Forget My Changes"
    bl_options: ClassVar = {"REGISTER", "UNDO"}

    def act(self, _context: Context, armature: Object) -> str:
        known_maps.forget(armature)
        known_maps.look_up(armature)
        return "" if is_editable(armature.data) else "Forgotten for this skeleton"


class MapFileOperator(RigOperator):
    """What reading and writing a map file share."""

    filepath: StringProperty(subtype="FILE_PATH", options={"SKIP_SAVE"})
    filter_glob: StringProperty(default=f"*{ENDING}", options={"HIDDEN"})

    def invoke(self, context: Context, _event: Event) -> set[str]:
        armature = armature_of(context.object)
        folder = bpy.path.abspath("//") or str(Path.home())
        self.filepath = str(Path(folder) / f"{bpy.path.clean_name(armature.name)}{ENDING}")
        context.window_manager.fileselect_add(self)
        return {"RUNNING_MODAL"}

    def file(self) -> Path:
        return Path(bpy.path.abspath(self.filepath))


class MOMASK_OT_import_map(MapFileOperator, Operator):
    """Use a map that was exported before: it says which bone plays which part"""

    bl_idname = "momask.import_map"
    bl_label = "Import Map"
    bl_options: ClassVar = {"REGISTER", "UNDO"}

    def act(self, _context: Context, armature: Object) -> str:
        joint_map = read_map_file(self.file(), armature.data.bones)
        keep(armature, joint_map.bones)
        return f"{len(joint_map.bones)} bones from {self.file().name}"


class MOMASK_OT_export_map(MapFileOperator, Operator):
    """Write which bone plays which part to a file, for other computers and other people"""

    bl_idname = "momask.export_map"
    bl_label = "Export Map"

    def act(self, _context: Context, armature: Object) -> str:
        file = self.file()
        if file.suffix.lower() != ENDING:
            file = file.with_name(file.name + ENDING)
        try:
            check_target(file, (ENDING,))
        except ValueError as error:
            raise UserError(str(error)) from error
        joint_map = known_maps.map_of(armature)
        write_map_file(file, map_to_text(joint_map, read_rest(armature).fingerprint))
        return f"Wrote {file}"


class MOMASK_OT_use_active_character(RigOperator, Operator):
    """Put motions onto the selected character"""

    bl_idname = "momask.use_active_character"
    bl_label = "Use the Selected Character"
    bl_options: ClassVar = {"REGISTER", "UNDO"}

    def act(self, context: Context, _armature: Object) -> str:
        settings: Any = context.scene.momask
        settings.target = "ACTIVE"
        return ""


CLASSES = (
    MOMASK_OT_set_role,
    MOMASK_OT_choose_bone,
    MOMASK_OT_clear_role,
    MOMASK_OT_detect_bones,
    MOMASK_OT_forget_map,
    MOMASK_OT_import_map,
    MOMASK_OT_export_map,
    MOMASK_OT_use_active_character,
)

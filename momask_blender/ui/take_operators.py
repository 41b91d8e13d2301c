"""Thin operators on one take: play it, delete it, make it again, export it."""

from dataclasses import asdict
from pathlib import Path
from typing import Any, ClassVar

import bpy
from bpy.props import EnumProperty, StringProperty
from bpy.types import Context, Event, Operator

from ..animation.export import export_take
from ..animation.takes import Take, delete_take, fit_of, play_take, read_take
from ..clean_feet import Cleaned, Cleaning, clean_feet
from ..contract.skeleton import FPS
from ..contract.targets import check_target
from ..errors import UserError
from ..refs import Ref
from ..retarget.fit import Fit
from ..rig.known_maps import known_maps
from ..rig.selected import armature_of
from ..session import session
from ..settings import settings_of
from ..steps import Steps
from .operators import carry_out, refuse

PRESETS = (
    ("GENERIC", "Generic", "Y up, for most programs"),
    ("UNREAL", "Unreal", "Axes, units and root as Unreal Engine imports them"),
    ("UNITY", "Unity", "As Unity imports a humanoid"),
)
ENDINGS = (
    (".fbx", "FBX", "For game engines"),
    (".glb", "glTF", "Binary glTF"),
    (".bvh", "BVH", "Bones only, for motion tools"),
)


class TakeOperator:
    """What operators on one take share: they name the Action."""

    take: StringProperty(name="Take", description="Name of the Action")

    def action(self) -> bpy.types.Action:
        action = bpy.data.actions.get(self.take)
        if action is None:
            raise UserError(f"There is no take '{self.take}' any more.")
        return action


class MOMASK_OT_play_take(TakeOperator, Operator):
    """Let the active character play this take. The Action that it plays now stays in the file"""

    bl_idname = "momask.play_take"
    bl_label = "Play Take"
    bl_options: ClassVar = {"REGISTER", "UNDO"}

    @classmethod
    def poll(cls, context: Context) -> bool:
        if armature_of(context.object) is None:
            cls.poll_message_set("Select a character first")
            return False
        return True

    def execute(self, context: Context) -> set[str]:
        try:
            play_take(armature_of(context.object), self.action())
        except UserError as error:
            return refuse(self, error)
        return {"FINISHED"}


class MOMASK_OT_delete_take(TakeOperator, Operator):
    """Delete this take and its keys. Other Actions stay"""

    bl_idname = "momask.delete_take"
    bl_label = "Delete Take"
    bl_options: ClassVar = {"REGISTER", "UNDO"}

    def invoke(self, context: Context, event: Event) -> set[str]:
        return context.window_manager.invoke_confirm(self, event)

    def execute(self, _context: Context) -> set[str]:
        try:
            delete_take(self.action())
        except UserError as error:
            return refuse(self, error)
        return {"FINISHED"}


class MOMASK_OT_reuse_take(TakeOperator, Operator):
    """Set the panel to what made this take: the same prompt, length, seed and settings"""

    bl_idname = "momask.reuse_take"
    bl_label = "Use Its Settings"
    bl_options: ClassVar = {"REGISTER", "UNDO"}

    def execute(self, context: Context) -> set[str]:
        try:
            take = read_take(self.action())
        except UserError as error:
            return refuse(self, error)
        if take is None:
            return refuse(self, UserError(f"'{self.take}' does not say how it was made."))
        settings = settings_of(context.scene)
        settings.prompt, settings.seed, settings.lock_seed = take.prompt, take.seed, True
        settings.variations = 1
        _set_length(settings, take)
        _set_sampling(settings, take.settings)
        _set_fit(settings, fit_of(take))
        return {"FINISHED"}


def _set_length(settings: Any, take: Take) -> None:
    settings.length = "MODEL" if take.num_frames is None else "SECONDS"
    if take.num_frames is not None:
        settings.seconds = take.num_frames / FPS


def _set_sampling(settings: Any, used: dict[str, Any]) -> None:
    """What a take notes may be anything: only numbers in the panel's own limits get through."""
    names = {
        "steps": "steps",
        "guidance": "guidance_scale",
        "residual_guidance": "residual_guidance_scale",
        "temperature": "temperature",
    }
    settings.quality = "DRAFT" if used.get("draft") is True else "FULL"
    found = {name: used.get(noted) for name, noted in names.items()}
    settings.own_settings = not all(isinstance(value, int | float) for value in found.values())
    if not settings.own_settings:
        for name, value in found.items():
            setattr(settings, name, value)


def _set_fit(settings: Any, fit: Fit) -> None:
    for name, value in asdict(fit).items():
        setattr(settings, "start_at" if name == "start" else name, value)


class MOMASK_OT_clean_up_feet(Operator):
    """Plant the feet of what the active character plays, with Feet and Floor Height as set under \
Fit: only its legs, and how high the hips are. Into a copy of the Action; your own stays as it is"""

    bl_idname = "momask.clean_up_feet"
    bl_label = "Clean Up Feet"
    bl_options: ClassVar = {"REGISTER"}

    @classmethod
    def poll(cls, context: Context) -> bool:
        if session.is_busy:
            cls.poll_message_set("A motion is being made. Wait for it, or press Cancel")
            return False
        if armature_of(context.object) is None:
            cls.poll_message_set("Select a character first")
            return False
        return True

    def execute(self, context: Context) -> set[str]:
        armature, settings = armature_of(context.object), settings_of(context.scene)
        cleaned = Cleaned()

        def begin() -> None:
            wanted = Cleaning(
                armature=Ref.of(armature),
                joint_map=known_maps.map_of(armature),
                fps=context.scene.render.fps / context.scene.render.fps_base,
                strict=settings.feet == "STRICT",
                ground=settings.ground,
            )
            work = clean_feet(wanted, cleaned)
            steps = Steps("Cleaning feet", work, self.bl_label, can_be_cancelled=True)
            session.carry_out(steps, cleaned.in_words)

        return carry_out(self, begin)


class MOMASK_OT_export(Operator):
    """Write the active character and the take that it plays, and nothing else, to a file"""

    bl_idname = "momask.export"
    bl_label = "Export Take"

    filepath: StringProperty(subtype="FILE_PATH", options={"SKIP_SAVE"})
    filter_glob: StringProperty(default="*.fbx;*.glb;*.bvh", options={"HIDDEN"})
    ending: EnumProperty(name="Format", items=ENDINGS, default=".fbx")
    preset: EnumProperty(name="For", items=PRESETS, default="GENERIC")

    @classmethod
    def poll(cls, context: Context) -> bool:
        if armature_of(context.object) is None:
            cls.poll_message_set("Select a character first")
            return False
        return True

    def invoke(self, context: Context, _event: Event) -> set[str]:
        armature = armature_of(context.object)
        data = armature.animation_data
        action = data.action if data else None
        name = bpy.path.clean_name(action.name if action else armature.name)
        folder = bpy.path.abspath("//") or str(Path.home())
        self.filepath = str(Path(folder) / f"{name}{self.ending}")
        context.window_manager.fileselect_add(self)
        return {"RUNNING_MODAL"}

    def execute(self, context: Context) -> set[str]:
        file = Path(bpy.path.abspath(self.filepath))
        if file.suffix.lower() != self.ending:
            file = file.with_name(file.name + self.ending)
        try:
            check_target(file, (self.ending,))
            export_take(armature_of(context.object), file, self.preset)
        except (UserError, ValueError) as error:
            return refuse(self, UserError(str(error)))
        self.report({"INFO"}, f"Wrote {file}")
        return {"FINISHED"}


CLASSES = (
    MOMASK_OT_play_take,
    MOMASK_OT_delete_take,
    MOMASK_OT_reuse_take,
    MOMASK_OT_clean_up_feet,
    MOMASK_OT_export,
)

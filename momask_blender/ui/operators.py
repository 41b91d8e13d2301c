"""Thin operators: read, call, report."""

from collections.abc import Callable
from typing import Any, ClassVar

import bpy
from bpy.props import EnumProperty, FloatProperty, IntProperty, StringProperty
from bpy.types import Context, Operator

from ..contract.messages import MAX_SEED, MAX_VARIATIONS
from ..contract.skeleton import MAX_SECONDS
from ..errors import UserError
from ..inputs import placement_from, request_from
from ..session import Report, session
from ..settings import ADDON_ID, TARGETS, new_seed, preferences, settings_of
from .report import error_report
from .timer import keep_ticking, redraw


def refuse(operator: Operator, error: UserError) -> set[str]:
    """The panel keeps the error; scripts hear it as RuntimeError."""
    session.error = Report(str(error), error.code, error.fix)
    operator.report({"ERROR"}, str(error))
    redraw()
    return {"CANCELLED"}


def carry_out(operator: Operator, begin: Callable[[], None]) -> set[str]:
    """Begin a job. In a window timers carry it on; without one it is done on return."""
    try:
        begin()
        if bpy.app.background:
            session.finish()
    except UserError as error:
        return refuse(operator, error)
    keep_ticking()
    return {"FINISHED"}


class MakingOperator:
    """What operators that have a motion made share."""

    @classmethod
    def poll(cls, context: Context) -> bool:
        if session.is_busy:
            cls.poll_message_set("A motion is being made. Wait for it, or press Cancel")
            return False
        return context.scene is not None

    def take_arguments(self, settings: Any, *names: str) -> None:
        """What a script passes becomes what the panel shows; a seed that is not locked changes."""
        passed = [name for name in names if self.properties.is_property_set(name)]
        for name in passed:
            setattr(settings, name, getattr(self, name))
        if not (settings.lock_seed or "seed" in passed):
            settings.seed = new_seed()


class MOMASK_OT_generate(MakingOperator, Operator):
    """Make a motion from the prompt, as a new Action. Keys that exist are not changed: the Action \
that the character plays now stays in the file"""

    bl_idname = "momask.generate"
    bl_label = "Generate"
    bl_options: ClassVar = {"REGISTER"}

    prompt: StringProperty(name="Prompt", options={"SKIP_SAVE"})
    seconds: FloatProperty(name="Seconds", max=MAX_SECONDS, options={"SKIP_SAVE"})
    seed: IntProperty(name="Seed", min=0, max=MAX_SEED, options={"SKIP_SAVE"})
    variations: IntProperty(name="Variations", min=1, max=MAX_VARIATIONS, options={"SKIP_SAVE"})
    target: EnumProperty(name="Target", items=TARGETS, options={"SKIP_SAVE"})

    def execute(self, context: Context) -> set[str]:
        settings = settings_of(context.scene)
        self.take_arguments(settings, "prompt", "seconds", "seed", "variations", "target")
        if self.properties.is_property_set("seconds"):
            settings.length = "SECONDS"

        def begin() -> None:
            request = request_from(settings, settings.seed)
            session.start(request, placement_from(context, settings))

        return carry_out(self, begin)


class MOMASK_OT_cancel(Operator):
    """Stop making the motion. Nothing in the file has been changed yet"""

    bl_idname = "momask.cancel"
    bl_label = "Cancel"

    @classmethod
    def poll(cls, _context: Context) -> bool:
        return session.is_running

    def execute(self, _context: Context) -> set[str]:
        session.cancel()
        keep_ticking()
        redraw()
        return {"FINISHED"}


class MOMASK_OT_apply_again(Operator):
    """Put the last motion onto the target once more, as a new Action"""

    bl_idname = "momask.apply_again"
    bl_label = "Apply Again"

    @classmethod
    def poll(cls, _context: Context) -> bool:
        return session.can_apply_again

    def execute(self, context: Context) -> set[str]:
        settings = settings_of(context.scene)
        return carry_out(self, lambda: session.apply_again(placement_from(context, settings)))


class MOMASK_OT_load(Operator):
    """Load the model now, so that the first motion starts at once, or hear why it cannot be"""

    bl_idname = "momask.load"
    bl_label = "Load Model"

    @classmethod
    def poll(cls, _context: Context) -> bool:
        return not session.is_busy and not session.runs_on

    def execute(self, _context: Context) -> set[str]:
        return carry_out(self, session.load)


class MOMASK_OT_unload(Operator):
    """Give the memory of the loaded model back; the next motion takes a moment longer"""

    bl_idname = "momask.unload"
    bl_label = "Free Memory"

    @classmethod
    def poll(cls, _context: Context) -> bool:
        return bool(session.runs_on) and not session.is_busy

    def execute(self, _context: Context) -> set[str]:
        return carry_out(self, session.unload)


class MOMASK_OT_new_seed(Operator):
    """Roll another seed: another take of the same prompt"""

    bl_idname = "momask.new_seed"
    bl_label = "New Seed"
    bl_options: ClassVar = {"REGISTER", "UNDO"}

    def execute(self, context: Context) -> set[str]:
        settings_of(context.scene).seed = new_seed()
        return {"FINISHED"}


class MOMASK_OT_use_prompt(Operator):
    """Put this prompt into the panel"""

    bl_idname = "momask.use_prompt"
    bl_label = "Use Prompt"
    bl_options: ClassVar = {"REGISTER", "UNDO"}

    prompt: StringProperty(name="Prompt")

    def execute(self, context: Context) -> set[str]:
        settings_of(context.scene).prompt = self.prompt
        return {"FINISHED"}


class MOMASK_OT_use_new_character(Operator):
    """Put motions onto a new character at the 3D cursor"""

    bl_idname = "momask.use_new_character"
    bl_label = "Use a New Character"
    bl_options: ClassVar = {"REGISTER", "UNDO"}

    def execute(self, context: Context) -> set[str]:
        settings_of(context.scene).target = "NEW"
        return {"FINISHED"}


class MOMASK_OT_copy_report(Operator):
    """Copy the error with versions, settings and the generator's last lines, for a bug report"""

    bl_idname = "momask.copy_report"
    bl_label = "Copy Report"

    def execute(self, context: Context) -> set[str]:
        context.window_manager.clipboard = error_report(context)
        self.report({"INFO"}, "The report is in the clipboard")
        return {"FINISHED"}


class MOMASK_OT_dismiss(Operator):
    """Remove this message"""

    bl_idname = "momask.dismiss"
    bl_label = "Dismiss"

    def execute(self, _context: Context) -> set[str]:
        session.error, session.notice = None, None
        redraw()
        return {"FINISHED"}


class MOMASK_OT_show_log(Operator):
    """Write what the motion generator printed into a text block, 'MoMask log'"""

    bl_idname = "momask.show_log"
    bl_label = "Show Worker Log"

    def execute(self, context: Context) -> set[str]:
        name = "MoMask log"
        text = bpy.data.texts.get(name) or bpy.data.texts.new(name)
        text.from_string(error_report(context))
        self.report({"INFO"}, f"See the text '{name}' in the Text Editor")
        return {"FINISHED"}


class MOMASK_OT_show_preferences(Operator):
    """Open the add-on's preferences"""

    bl_idname = "momask.show_preferences"
    bl_label = "Preferences"

    def execute(self, _context: Context) -> set[str]:
        bpy.ops.preferences.addon_show(module=ADDON_ID)
        return {"FINISHED"}


class MOMASK_OT_use_model(Operator):
    """Make motions with this model"""

    bl_idname = "momask.use_model"
    bl_label = "Use Model"

    model: StringProperty(name="Model")

    def execute(self, _context: Context) -> set[str]:
        preferences().model = self.model
        return {"FINISHED"}


CLASSES = (
    MOMASK_OT_generate,
    MOMASK_OT_cancel,
    MOMASK_OT_apply_again,
    MOMASK_OT_load,
    MOMASK_OT_unload,
    MOMASK_OT_new_seed,
    MOMASK_OT_use_prompt,
    MOMASK_OT_use_new_character,
    MOMASK_OT_copy_report,
    MOMASK_OT_dismiss,
    MOMASK_OT_show_log,
    MOMASK_OT_show_preferences,
    MOMASK_OT_use_model,
)

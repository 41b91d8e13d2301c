"""Thin operators: which frames to keep, and filling what is between them."""

from collections.abc import Sequence
from typing import Any, ClassVar

from bpy.props import EnumProperty, IntProperty, StringProperty
from bpy.types import Context, Object, Operator

from ..contract.messages import MAX_SEED
from ..errors import UserError
from ..inputs import fit_from, frame_rate, sampling_from, target_of
from ..refs import Ref
from ..rig.known_maps import known_maps
from ..session import session
from ..settings import settings_of
from ..timeline import wishes
from ..timeline.fill import Wish
from ..timeline.fills import Fill
from ..timeline.ranges import Frames
from .operators import MakingOperator, carry_out, refuse
from .timer import redraw

SOURCES = (
    ("CURRENT", "Current Frame", "The frame under the playhead"),
    ("KEYS", "Selected Keys", "From the first to the last key that is selected"),
    ("MARKERS", "Selected Markers", "Between each two selected markers"),
    ("PREVIEW", "Preview Range", "The preview range of the scene"),
)
WHAT = (
    ("RANGES", "Fill the Rest", "Make all frames of the scene that are not kept"),
    ("BETWEEN", "Fill Between Keys", "Make the frames between the two keys around the playhead"),
    ("BEFORE", "Extend Before", "Make some seconds that lead to the first key"),
    ("AFTER", "Extend After", "Make some seconds that go on from the last key"),
    ("SELECTION", "Replace Selection", "Make the frames of the selected keys or preview range"),
)


class MOMASK_OT_keep_frames(Operator):
    """Add a range of frames that stay as they are"""

    bl_idname = "momask.keep_frames"
    bl_label = "Keep Frames"
    bl_options: ClassVar = {"REGISTER", "UNDO"}

    source: EnumProperty(name="From", items=SOURCES)

    def execute(self, context: Context) -> set[str]:
        try:
            for each in self._frames(context):
                item = settings_of(context.scene).kept.add()
                item.first, item.last = each.first, each.last
        except UserError as error:
            return refuse(self, error)
        redraw()
        return {"FINISHED"}

    def _frames(self, context: Context) -> list[Frames]:
        scene = context.scene
        if self.source == "CURRENT":
            return [Frames(scene.frame_current, scene.frame_current)]
        if self.source == "MARKERS":
            return wishes.marked_frames(scene)
        if self.source == "PREVIEW" and not scene.use_preview_range:
            raise UserError("The scene has no preview range. Set one in the timeline, with P.")
        if self.source == "PREVIEW":
            return [Frames(scene.frame_preview_start, scene.frame_preview_end)]
        armature = target_of(context)
        return [wishes.selected_frames(armature, armature.pose.bones.keys(), scene)]


class MOMASK_OT_forget_frames(Operator):
    """Take this range off the list; its frames may change"""

    bl_idname = "momask.forget_frames"
    bl_label = "Do Not Keep"
    bl_options: ClassVar = {"REGISTER", "UNDO"}

    index: IntProperty(name="Range", default=-1, description="-1: all ranges")

    def execute(self, context: Context) -> set[str]:
        kept = settings_of(context.scene).kept
        if self.index < 0:
            kept.clear()
        else:
            kept.remove(self.index)
        redraw()
        return {"FINISHED"}


class MOMASK_OT_fill(MakingOperator, Operator):
    """Make the frames between what is kept, in a copy of the Action"""

    bl_idname = "momask.fill"
    bl_label = "Fill"
    bl_options: ClassVar = {"REGISTER"}

    what: EnumProperty(name="What", items=WHAT, options={"SKIP_SAVE"})
    prompt: StringProperty(name="Prompt", options={"SKIP_SAVE"})
    seed: IntProperty(name="Seed", min=0, max=MAX_SEED, options={"SKIP_SAVE"})

    @classmethod
    def description(cls, _context: Context, properties: Any) -> str:
        said = next(words for name, _, words in WHAT if name == properties.what)
        return f"{said}. Keys outside stay bit for bit; the Action itself stays in the file"

    def execute(self, context: Context) -> set[str]:
        settings = settings_of(context.scene)
        self.take_arguments(settings, "prompt", "seed")
        return carry_out(self, lambda: session.start_fill(self._fill(context, settings)))

    def _fill(self, context: Context, settings: Any) -> Fill:
        armature = target_of(context)
        joint_map = known_maps.map_of(armature)
        gaps, whole = self._gaps(context, armature, list(joint_map.bones.values()))
        wish = Wish(
            gaps=tuple(gaps),
            whole=whole,
            fps=frame_rate(context.scene),
            fit=fit_from(settings),
            parts=wishes.roles_of(settings.body),
        )
        asked = sampling_from(settings, settings.seed)
        asked["prompt"] = settings.prompt if settings.use_prompt else ""
        return Fill(Ref.of(armature), joint_map, wish, asked)

    def _gaps(
        self, context: Context, armature: Object, bones: Sequence[str]
    ) -> tuple[Sequence[Frames], Frames]:
        scene, settings = context.scene, settings_of(context.scene)
        if self.what == "RANGES":
            return wishes.listed(settings)
        count = max(1, round(settings.extension * frame_rate(scene)))
        if self.what == "BETWEEN":
            gap, whole = wishes.around_playhead(armature, bones, scene.frame_current)
        elif self.what == "BEFORE":
            gap, whole = wishes.before_keys(armature, bones, count)
        elif self.what == "AFTER":
            gap, whole = wishes.after_keys(armature, bones, count)
        else:
            gap = wishes.selected_frames(armature, bones, scene)
            keyed = wishes.keyed_frames(armature, bones)
            whole = Frames(min([gap.first, *keyed]), max([gap.last, *keyed]))
        return [gap], whole


CLASSES = (MOMASK_OT_keep_frames, MOMASK_OT_forget_frames, MOMASK_OT_fill)

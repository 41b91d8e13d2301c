"""All RNA: what the animator sets, on the scene and in the preferences. Never run-time state."""

import random
from typing import Any

import bpy
from bpy.props import (
    BoolProperty,
    CollectionProperty,
    EnumProperty,
    FloatProperty,
    IntProperty,
    PointerProperty,
    StringProperty,
)
from bpy.types import AddonPreferences, Context, PropertyGroup, Scene

from .contract.messages import MAX_SEED, MAX_VARIATIONS
from .contract.skeleton import MAX_SECONDS

ADDON_ID = __package__.rpartition(".")[0] or __package__  # Blender knows us by the outer package

LENGTHS = (
    ("SECONDS", "Seconds", "As long as you say; frames after that keep what they have"),
    ("SCENE", "Scene Range", "Fill the scene's frame range, from its first frame"),
    ("PREVIEW", "Preview Range", "Fill the preview range, from its first frame"),
    ("MODEL", "As Needed", "The model decides how long the action takes, 2 to 9.8 seconds"),
)
TARGETS = (
    (
        "ACTIVE",
        "Active Character",
        "Onto the selected character, your own too: any armature of a human body, or its mesh. As "
        "a new Action; the Action that it plays now stays in the file, untouched",
    ),
    (
        "NEW",
        "New Character",
        "Onto a new character at the 3D cursor. It becomes the active one and the target of the "
        "next motion",
    ),
)
STARTS = (
    ("CURRENT", "Current Frame", "The motion begins at the current frame"),
    ("SCENE", "Scene Start", "The motion begins at the first frame of the scene"),
)
FEET = (
    ("OFF", "Off", "Feet as the motion has them; they may slide a little"),
    ("ON", "On", "A foot that stands stays where it stands"),
    ("STRICT", "Strict", "Also where the motion leaves it open: no sliding at all, stiffer steps"),
)
TRAVEL = (
    ("WORLD", "World", "The hips carry the character through the scene"),
    ("IN_PLACE", "In Place", "The character stays where it starts, as on a treadmill"),
    (
        "ROOT_BONE",
        "Root Bone",
        "The root bone carries the character, as engines want it; the hips move above it",
    ),
)
PLACES = (
    ("PRESENT", "Where It Stands", "The motion begins where the character stands and faces now"),
    ("CURSOR", "3D Cursor", "The motion begins at the 3D cursor, facing as that is turned"),
)
QUALITIES = (
    ("FULL", "Full", "As the model was made to be used"),
    ("DRAFT", "Draft", "Two to three times as fast, for trying things: fewer and rougher passes"),
)
BODY = (
    ("ALL", "Whole Body", "All bones that the motion drives"),
    ("UPPER", "Upper Body", "Spine, head and arms; hips and legs keep their keys"),
    ("ARMS", "Arms", "Arms and shoulders only"),
    ("LEGS", "Legs", "Hips and legs only"),
    ("HEAD", "Head", "Neck and head only"),
)
DEVICES = (
    ("auto", "Automatic", "CUDA where PyTorch with CUDA and a graphics card are there, else CPU"),
    ("cpu", "CPU", "The processor, with the runtime that comes with the add-on"),
    ("cuda", "CUDA", "An NVIDIA graphics card; needs PyTorch with CUDA"),
)


class MomaskRange(PropertyGroup):
    """Frames to keep, both ends included."""

    first: IntProperty(name="First", description="First frame that stays as it is")
    last: IntProperty(name="Last", description="Last frame that stays as it is")


class MomaskSettings(PropertyGroup):
    """The panel's inputs, stored with the scene."""

    prompt: StringProperty(  # no `search`: its callback crashes Blender 4.2 when it ends
        name="Prompt",
        description="What the person does, in English: 'a person walks forward'",
        default="a person walks forward",
    )
    length: EnumProperty(
        name="Length",
        items=LENGTHS,
        default="SECONDS",
        description="How long the motion is. Existing keys are never changed: it goes into a new "
        "Action",
    )
    seconds: FloatProperty(
        name="Seconds",
        default=4.0,
        min=0.2,
        max=MAX_SECONDS,
        step=50,
        precision=1,
        description=f"Length of the motion, at most {MAX_SECONDS:g} seconds",
    )
    seed: IntProperty(
        name="Seed",
        default=0,
        min=0,
        max=MAX_SEED,
        description="The same prompt, length, settings and seed give the same motion",
    )
    lock_seed: BoolProperty(
        name="Lock Seed",
        default=False,
        description="Keep the seed. Unlocked, every motion gets a new one",
    )
    variations: IntProperty(
        name="Variations",
        default=1,
        min=1,
        max=MAX_VARIATIONS,
        soft_max=8,
        description="Takes to make at once, with this seed and the following ones. You can switch "
        "between them under Takes",
    )
    quality: EnumProperty(
        name="Quality",
        items=QUALITIES,
        default="FULL",
        description="How carefully a motion is made. A seed gives another motion in each",
    )
    target: EnumProperty(
        name="Target", items=TARGETS, default="NEW", description="Which character moves"
    )
    start: EnumProperty(
        name="Start", items=STARTS, default="CURRENT", description="Where the motion begins"
    )
    feet: EnumProperty(
        name="Planted Feet",
        items=FEET,
        default="ON",
        description="Whether standing feet are held in place",
    )
    travel: EnumProperty(
        name="Travel",
        items=TRAVEL,
        default="WORLD",
        description="What carries the character through the scene",
    )
    start_at: EnumProperty(
        name="Start At", items=PLACES, default="PRESENT", description="Where in space it begins"
    )
    ground: FloatProperty(
        name="Ground Height",
        default=0.0,
        soft_min=-2.0,
        soft_max=2.0,
        subtype="DISTANCE",
        description="How far the ground lies above the one that the character was made to stand on",
    )
    reduce_keys: BoolProperty(
        name="Fewer Keys",
        default=False,
        description="Leave out keys that change nothing visible, so that curves are easier to "
        "edit. Hips and legs keep one key per frame",
    )
    reduce_legs: BoolProperty(
        name="On Legs Too",
        default=False,
        description="Also on hips and legs: planted feet then slide a little",
    )
    relaxed_hands: BoolProperty(
        name="Relaxed Hands",
        default=False,
        description="Bend fingers a little where they have no keys of their own",
    )
    ik_feet: BoolProperty(
        name="Key IK Feet",
        default=False,
        description="On control rigs: key the IK controls of the feet instead of the FK legs",
    )
    kept: CollectionProperty(type=MomaskRange, name="Frames to Keep")
    kept_index: IntProperty(name="Range", options={"HIDDEN"})
    body: EnumProperty(
        name="Body", items=BODY, default="ALL", description="Which bones are keyed in the gap"
    )
    use_prompt: BoolProperty(
        name="Follow the Prompt",
        default=True,
        description="What happens in the gap is what the prompt says; else what fits best",
    )
    extension: FloatProperty(
        name="Extend By",
        default=2.0,
        min=0.2,
        max=MAX_SECONDS,
        step=50,
        precision=1,
        description="Seconds to add before the first or after the last key",
    )
    take_index: IntProperty(name="Take", options={"HIDDEN"})
    own_settings: BoolProperty(
        name="Model's Own Settings",
        default=True,
        description="Use the settings that the model was made with",
    )
    steps: IntProperty(
        name="Steps",
        default=10,
        min=1,
        max=100,
        soft_max=30,
        description="Passes in which the motion is filled in: fewer are faster and rougher",
    )
    guidance: FloatProperty(
        name="Guidance",
        default=4.0,
        min=0.0,
        max=20.0,
        soft_max=8.0,
        description="How strictly the body follows the words. High values are exact and stiff",
    )
    residual_guidance: FloatProperty(
        name="Detail Guidance",
        default=5.0,
        min=0.0,
        max=20.0,
        soft_max=8.0,
        description="How strictly the fine detail follows the words",
    )
    temperature: FloatProperty(
        name="Temperature",
        default=1.0,
        min=0.05,
        max=5.0,
        soft_max=2.0,
        description="Below 1 the most usual motion, above 1 more unusual ones",
    )


class MomaskPreferences(AddonPreferences):
    """Kept with Blender, not with the file: a file from a stranger changes none of it."""

    bl_idname = ADDON_ID

    device: EnumProperty(
        name="Device", items=DEVICES, default="auto", description="What the model runs on"
    )
    weights_folder: StringProperty(
        name="Weights Folder",
        subtype="DIR_PATH",
        description="Folder with further models, one folder each; fetched ones go there too. When "
        "empty, a folder among your user data. The starter model comes with the add-on",
        update=lambda _self, _context: look_again(),
    )
    model: StringProperty(
        name="Model",
        default="starter",
        description="Name of the model to use: starter, or a folder in the weights folder",
        update=lambda _self, _context: look_again(),
    )
    idle_minutes: FloatProperty(
        name="Free Memory After (Minutes)",
        default=5.0,
        min=0.1,
        max=240.0,
        precision=1,
        description="Minutes without a motion after which the model's memory is given back",
    )

    def draw(self, context: Context) -> None:
        from .ui.preferences import draw_preferences

        draw_preferences(self.layout, context, self)


def settings_of(scene: Scene) -> MomaskSettings:
    return scene.momask


def preferences() -> Any:
    """The add-on's preferences; the defaults where it was registered without being installed."""
    addon = bpy.context.preferences.addons.get(ADDON_ID)
    return addon.preferences if addon and addon.preferences else _DEFAULTS


class _Defaults:
    device, weights_folder, model, idle_minutes = "auto", "", "starter", 5.0


_DEFAULTS = _Defaults()


def new_seed() -> int:
    return random.SystemRandom().randint(0, MAX_SEED)


def look_again() -> None:
    """After the preferences changed: another model may be there, or missing."""
    from .session import session
    from .weights import weights

    weights.forget()
    session.look_around()


CLASSES = (MomaskRange, MomaskSettings, MomaskPreferences)


def attach() -> None:
    Scene.momask = PointerProperty(type=MomaskSettings)


def detach() -> None:
    del Scene.momask

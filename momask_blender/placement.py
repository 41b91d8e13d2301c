"""Where a motion goes, decided at the click, and putting it there when it has been made."""

from collections.abc import Generator, Iterator
from dataclasses import asdict, dataclass, field
from typing import Any, ClassVar, TypeVar

import bpy
from bpy.types import Collection, Object, Scene
from mathutils import Matrix

from .animation.takes import Span, Take, made_by, make_take, play_take, read_pose
from .contract.messages import Finished, Generate
from .contract.skeleton import FPS
from .errors import UserError
from .fitting import Rig, fit_motion, read_rig, take_keys
from .refs import Ref
from .retarget.fit import Fit
from .rig.character import add_mannequin, build_armature
from .rig.checks import notes_on_travel
from .rig.known_maps import known_maps
from .rig.mannequin import mannequin
from .settings import settings_of

CHARACTER = "Mannequin"
Result = TypeVar("Result")


@dataclass(frozen=True, kw_only=True)
class Placement:
    """Target and place in time. `armature` None is a new character at the cursor."""

    scene: Ref
    span: Span
    armature: Ref | None = None
    cursor: Matrix = field(default_factory=Matrix)  # the 3D cursor at the click, in the world
    fit: Fit = field(default_factory=Fit)
    undo_name: ClassVar = "Generate Motion"

    def steps(self, finished: Finished, request: Generate) -> Iterator["Placed"]:
        return place(finished, request, self)

    def told(self, placed: "Placed", request: Generate, seconds: float) -> str:
        count, length = len(placed.actions), placed.num_keys / self.span.fps
        what = f"{count} takes" if count > 1 else f"'{placed.actions[0]}'"
        told = (
            f"{what}: {length:.1f} s, {placed.num_keys} keys per channel, seed "
            f"{request.seed}, in {seconds:.1f} s"
        )
        if placed.replaced:
            told += f". '{placed.replaced}' stays in the file"
        told += self._beyond_the_scene(placed)
        return told + "".join(f". {words.rstrip('.')}" for words in placed.warnings)

    def _beyond_the_scene(self, placed: "Placed") -> str:
        """What to say of keys that the scene's range does not show."""
        scene = self.scene.find()
        last = self.span.first_frame + placed.num_keys - 1
        if scene is None or last <= scene.frame_end:
            return ""
        return f". It ends at frame {last}, after the scene's last frame {scene.frame_end}"


@dataclass
class Placed:
    """What has been put into the file so far."""

    armature: Ref | None = None
    actions: list[str] = field(default_factory=list)
    num_keys: int = 0
    replaced: str = ""  # name of the user's own Action that the armature played before
    warnings: list[str] = field(default_factory=list)  # what is not animated, or not as it seems


def place(finished: Finished, request: Generate, where: Placement) -> Iterator[Placed]:
    """Put the takes onto the character in short steps, for a timer to take one at a time.

    Between steps anything may be renamed, undone or deleted. The first variation plays at the end;
    an error leaves the file as it was. Raises UserError.
    """
    placed = Placed()
    try:
        for _ in _character(where, placed):
            yield placed
        rig = yield from _said_by(placed, _read_rig(where, placed))
        placed.warnings += [*rig.warnings, *notes_on_travel(_armature(placed))]
        for file, seed in zip(finished.files, request.seeds(), strict=True):
            how = made_by(request, finished, seed)
            yield from _said_by(placed, _add_take(file, how, rig, where, placed))
        armature = _armature(placed)
        before = play_take(armature, bpy.data.actions[placed.actions[0]])
        placed.replaced = before.name if before else ""
        settings = settings_of(where.scene.resolve())
        settings.take_index = bpy.data.actions.find(placed.actions[0])
        yield placed
    except (ReferenceError, KeyError) as error:
        _remove(placed, where)
        raise UserError(
            "The character or its new Action was removed while the motion was being applied. "
            "Press Apply Again."
        ) from error
    except BaseException:  # also when it is closed, and a mistake of ours
        _remove(placed, where)
        raise


def _read_rig(where: Placement, placed: Placed) -> Generator[None, None, Rig]:
    """A new character stands at the cursor already."""
    armature = _armature(placed)
    joint_map = known_maps.map_of(armature)
    yield
    cursor = where.cursor if where.armature is not None else None
    return (yield from read_rig(_armature(placed), joint_map, where.fit, cursor))


def _said_by(
    placed: Placed, work: Generator[None, None, Result]
) -> Generator[Placed, None, Result]:
    """The same steps, each of which says what has been placed."""
    try:
        while True:
            next(work)
            yield placed
    except StopIteration as end:
        return end.value
    finally:
        work.close()


def _character(where: Placement, placed: Placed) -> Iterator[None]:
    """The target; a new one is built bones first, as the mesh takes its own time."""
    if where.armature is not None:
        placed.armature = Ref.of(where.armature.resolve())
        return
    scene = where.scene.resolve()
    mannequin()  # its shape is computed once, in a step of its own
    yield
    armature = build_armature(CHARACTER, _collection(scene))
    armature.location = where.cursor.translation
    placed.armature = Ref.of(armature)
    yield
    scene = where.scene.resolve()
    add_mannequin(_armature(placed), _collection(scene))
    _make_active(_armature(placed), scene)
    settings_of(scene).target = "ACTIVE"  # the next motion is for this one
    yield


def _collection(scene: Scene) -> Collection:
    """The active collection where the scene is the one being looked at, else its root."""
    context = bpy.context
    is_open = context.scene == scene and context.collection is not None
    return context.collection if is_open else scene.collection


def _make_active(armature: Object, scene: Scene) -> None:
    """Select it, and nothing else, in the windows that show the scene."""
    manager = bpy.context.window_manager
    shown = [window.view_layer for window in manager.windows if window.scene == scene]
    if not shown and bpy.context.scene == scene:
        shown = [bpy.context.view_layer]
    for layer in shown:
        try:
            armature.select_set(True, view_layer=layer)
        except RuntimeError:  # its collection is excluded there
            continue
        for ob in [ob for ob in layer.objects.selected if ob != armature]:
            ob.select_set(False, view_layer=layer)
        layer.objects.active = armature


def _armature(placed: Placed) -> Object:
    assert placed.armature is not None
    return placed.armature.resolve()


def _add_take(
    file: str, how: dict[str, Any], rig: Rig, where: Placement, placed: Placed
) -> Generator[None, None, None]:
    pose = read_pose(file)
    yield
    placed.num_keys = where.span.keys_for(len(pose.root), FPS)
    motion = yield from fit_motion(rig, pose, placed.num_keys, where.span.fps)
    yield
    keys = take_keys(rig, motion)
    yield
    armature = _armature(placed)
    take = Take(
        num_keys=placed.num_keys,
        fps=where.span.fps,
        first_frame=where.span.first_frame,
        character=armature.name,
        fit=asdict(where.fit),
        **how,
    )
    name, said = yield from make_take(armature, take, keys)
    placed.actions.append(name)
    placed.warnings += [words for words in said if words not in placed.warnings]


def _remove(placed: Placed, where: Placement) -> None:
    """Take back what was made before the error."""
    for name in placed.actions:
        if (action := bpy.data.actions.get(name)) is not None:
            bpy.data.actions.remove(action)
    placed.actions.clear()
    armature = placed.armature.find() if placed.armature and where.armature is None else None
    if armature is not None:
        meshes = [child.data for child in armature.children]
        bpy.data.batch_remove([*meshes, armature.data])  # and the objects that are made of them

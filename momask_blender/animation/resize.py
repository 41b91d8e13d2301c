"""Other units and axes for what stands on a stage, in the bones themselves.

What exporters do instead is a scale or a turn on the armature object, which engines take for a
bone: motion of its children then comes out multiplied.
"""

from bpy.types import Object
from bpy_extras import anim_utils
from mathutils import Matrix

from .actions import clear_drivers, play_as_strip, playing, strip_channels
from .staging import Stage


def scale_stage(stage: Stage, factor: float) -> None:
    """Make bones, meshes and motion `factor` times larger, and leave scale 1 on every object."""
    _free_of_distances(stage)
    objects = [stage.rig, *stage.meshes]
    worlds = [Matrix.Scale(factor, 4) @ ob.matrix_world for ob in objects]
    for ob, world in zip(objects, worlds, strict=True):
        size = Matrix.LocRotScale(None, None, world.to_scale())
        if ob == stage.rig:
            ob.data.transform(size)
            _scale_locations(ob, sum(world.to_scale()) / 3.0, factor)
        else:
            ob.data.transform(size, shape_keys=True)
    for ob, world in zip(objects, worlds, strict=True):
        ob.matrix_world = Matrix.LocRotScale(world.to_translation(), world.to_quaternion(), None)
        stage.scene.view_layers[0].update()


def turn_stage(stage: Stage, axes: Matrix) -> None:
    """Bring the bones into `axes` of the world; the armature object rests at its zero."""
    _free_of_distances(stage)
    world = axes @ stage.rig.matrix_world
    stage.rig.data.transform(world)
    _scale_locations(stage.rig, sum(world.to_scale()) / 3.0, 1.0)
    stage.rig.matrix_world = Matrix()
    stage.scene.view_layers[0].update()


def _free_of_distances(stage: Stage) -> None:
    """Constraints and drivers know distances: keys take their place."""
    rig, frames = stage.rig, (stage.first, stage.last)
    if not any(bone.constraints for bone in rig.pose.bones) and not rig.animation_data.drivers:
        return
    options = anim_utils.BakeOptions(
        only_selected=False,
        do_pose=True,
        do_object=False,
        do_visual_keying=True,
        do_constraint_clear=True,
        do_parents_clear=False,
        do_clean=False,
        do_location=True,
        do_rotation=True,
        do_scale=True,
        do_bbone=False,
        do_custom_props=False,
    )
    anim_utils.bake_action(
        rig, action=None, frames=range(frames[0], frames[1] + 1), bake_options=options
    )
    clear_drivers(rig)
    play_as_strip(rig, *playing(rig), frames, stage.take)


def _scale_locations(rig: Object, bone_factor: float, object_factor: float) -> None:
    for curve in strip_channels(rig).fcurves:
        if not curve.data_path.endswith("location"):
            continue
        factor = bone_factor if curve.data_path.startswith("pose.bones") else object_factor
        for key in curve.keyframe_points:
            for point in (key.co, key.handle_left, key.handle_right):
                point.y *= factor
        curve.update()
    for bone in rig.pose.bones:
        bone.location *= bone_factor

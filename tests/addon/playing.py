"""A motion put onto a rig as a placement does it, without a worker, and measured there."""

from dataclasses import asdict
from typing import Any

import measures
import numpy as np
from control_rigs import run_to_end
from measures import Measures, Shown, watch

from momask_blender.contract.pose import Pose
from momask_blender.retarget.border import pose_to_blender, resample_pose
from momask_blender.retarget.fit import Fit
from momask_blender.retarget.roles import ROLES
from momask_blender.retarget.target import BoneMotion

FIRST = 1


def play(
    bpy: Any, armature: Any, joint_map: Any, pose: Pose, fps: float, fit: Fit
) -> tuple[Any, BoneMotion, list[str]]:
    """-> the rig as it was read, the motion as it was fitted, what was said."""
    from momask_blender.animation.takes import Take, make_take, play_take
    from momask_blender.fitting import fit_motion, read_rig, take_keys

    num_keys = keys_of(pose, fps)
    rig = run_to_end(read_rig(armature, joint_map, fit))
    motion = run_to_end(fit_motion(rig, pose, num_keys, fps))
    take = Take(prompt="motion", num_keys=num_keys, fps=fps, first_frame=FIRST, fit=asdict(fit))
    name, said = run_to_end(make_take(armature, take, take_keys(rig, motion)))
    play_take(armature, bpy.data.actions[name])
    return rig, motion, [*rig.warnings, *said]


def keys_of(pose: Pose, fps: float) -> int:
    return round(len(pose.root) / 20.0 * fps)


def forget(bpy: Any, armature: Any) -> None:
    """Take the take away again, and the pose that it left."""
    action = armature.animation_data.action
    armature.animation_data.action = None
    bpy.data.actions.remove(action)
    for bone in armature.pose.bones:
        bone.matrix_basis.identity()
    bpy.context.view_layer.update()


def measure(
    bpy: Any, armature: Any, joint_map: Any, pose: Pose, fps: float, facing: np.ndarray
) -> Measures:
    """Twice: as the motion has it, and with planted feet."""
    num_keys = keys_of(pose, fps)
    joints = measures.joints_of(pose_to_blender(resample_pose(pose, num_keys, fps)))
    frames = [float(FIRST + key) for key in range(num_keys)]
    bones = {role: joint_map.bones[role] for role in ROLES if role in joint_map.bones}

    def shown(at: list[float]) -> Shown:
        return watch(bpy, armature, bones, at, fps)

    play(bpy, armature, joint_map, pose, fps, Fit(feet="OFF"))
    free, between = shown(frames), shown([frame + 0.5 for frame in frames[:-1]])
    joints_back, bones_back, hips_back = _there_and_back(armature, joint_map, frames, joints)
    forget(bpy, armature)
    play(bpy, armature, joint_map, pose, fps, Fit())
    planted = shown(frames)
    forget(bpy, armature)
    legs = measures.leg_error(planted, joints)
    lowest, median = measures.toe_heights(planted, joints)
    return Measures(
        limbs=float(measures.limb_error(free, joints).max()),
        heading=measures.heading_error(free, joints, facing),
        legs_mean=float(legs.mean()),
        legs_most=float(legs.max()),
        joints_back=joints_back,
        bones_back=bones_back,
        hips_back=hips_back,
        contact=float(measures.standing_toes(planted, joints)[1].mean()),
        skate=measures.skate(planted, joints),
        lowest=lowest,
        median=median,
        twist=measures.excess_twist(free),
        jerk=measures.jerk_ratio(free, joints),
        jerk_planted=measures.jerk_ratio(planted, joints),
        stretch=measures.stretch(planted),
        detour=measures.detour(free, between),
    )


def _there_and_back(
    armature: Any, joint_map: Any, frames: list[float], joints: np.ndarray
) -> tuple[float, float, float]:
    """mm of joints that were read; degrees and mm of bones that were solved again from them."""
    from momask_blender.retarget.proportions import size_of
    from momask_blender.retarget.read import read_pose
    from momask_blender.retarget.solve import solve_motion
    from momask_blender.rig.driven import driven_bones
    from momask_blender.rig.rest import read_rest
    from momask_blender.rig.sample import sample_bones

    target = driven_bones(read_rest(armature), joint_map)
    motion = run_to_end(sample_bones(armature, target.bones, frames)).motion(target)
    read = read_pose(target, motion)
    again = solve_motion(read, target)
    exempt = ("hand", "foot", "toe", "head")
    rows = [bone for role, bone in target.roles.items() if not role.endswith(exempt)]
    apart = measures.degrees_apart(again.turns[:, rows], motion.turns[:, rows])
    moved = np.linalg.norm(again.location - motion.location, axis=-1).max() / size_of(target)
    return (
        measures.joint_error(measures.joints_of(read), joints),
        float(apart.max()),
        1000.0 * float(moved),
    )

"""Families of rigs that no convention of ours describes whole, as their makers hang the bones."""

import pytest
from bodies import HEADS, Body

from momask_blender.rig.joint_map import find_joint_map

# A line for each chain: what it hangs from, then role=bone outwards. A bone alone plays no part.
FAMILIES = {
    "3ds Max Biped, arms on the neck and legs on the spine": """
        - Bip01 hips=Bip01_Pelvis spine1=Bip01_Spine spine2=Bip01_Spine1 spine3=Bip01_Spine2
        Bip01_Spine2 neck=Bip01_Neck head=Bip01_Head Bip01_HeadNub
        Bip01_Neck {s}_collar=Bip01_{S}_Clavicle {s}_upperarm=Bip01_{S}_UpperArm
        ... {s}_forearm=Bip01_{S}_Forearm {s}_hand=Bip01_{S}_Hand Bip01_{S}_Finger0
        Bip01_Spine {s}_thigh=Bip01_{S}_Thigh {s}_shin=Bip01_{S}_Calf {s}_foot=Bip01_{S}_Foot
        ... {s}_toe=Bip01_{S}_Toe0 Bip01_{S}_Toe0Nub""",
    "MikuMikuDance": """
        - 全ての親 センター グルーブ hips=腰 spine1=上半身 spine3=上半身2 neck=首 head=頭
        上半身2 {k}肩P {s}_collar={k}肩 {k}肩C {s}_upperarm={k}腕 {k}腕捩 {s}_forearm={k}ひじ
        ... {k}手捩 {s}_hand={k}手首 {k}親指0
        腰 下半身 {k}腰キャンセル {s}_thigh={k}足 {s}_shin={k}ひざ {s}_foot={k}足首
        ... {s}_toe={k}つま先
        下半身 {k}足D {k}ひざD {k}足首D {k}足先EX
        全ての親 {k}足ＩＫ親 {k}足ＩＫ {k}つま先ＩＫ""",
    "Second Life": """
        - hips=mPelvis spine1=mTorso spine3=mChest neck=mNeck head=mHead mSkull
        mChest {s}_collar=mCollar{D} {s}_upperarm=mShoulder{D} {s}_forearm=mElbow{D}
        ... {s}_hand=mWrist{D}
        mPelvis {s}_thigh=mHip{D} {s}_shin=mKnee{D} {s}_foot=mAnkle{D} {s}_toe=mFoot{D}
        ... mToe{D}End""",
    "Advanced Skeleton": """
        - hips=Root_M spine1=Spine1_M spine2=Spine2_M spine3=Chest_M neck=Neck_M head=Head_M
        ... HeadEnd_M
        Chest_M {s}_collar=Scapula_{S} {s}_upperarm=Shoulder_{S} ShoulderPart1_{S}
        ... {s}_forearm=Elbow_{S} ElbowPart1_{S} {s}_hand=Wrist_{S} IndexFinger1_{S}
        Root_M {s}_thigh=Hip_{S} HipPart1_{S} {s}_shin=Knee_{S} {s}_foot=Ankle_{S} {s}_toe=Toes_{S}
        ... ToesEnd_{S}""",
    "Cascadeur": """
        - hips=pelvis spine1=stomach spine3=chest neck=neck head=head
        chest {s}_collar=clavicle_{s} {s}_upperarm=arm_up_{s} {s}_forearm=arm_down_{s}
        ... {s}_hand=hand_{s}
        pelvis {s}_thigh=leg_up_{s} {s}_shin=leg_down_{s} {s}_foot=foot_{s} {s}_toe=toe_{s}""",
    "Synty": """
        - Root hips=Hips spine1=Spine_01 spine2=Spine_02 spine3=Spine_03 neck=Neck head=Head Eyes
        Spine_03 {s}_collar=Clavicle_{S} {s}_upperarm=Shoulder_{S} {s}_forearm=Elbow_{S}
        ... {s}_hand=Hand_{S} Thumb_01_{S}
        Hips {s}_thigh=UpperLeg_{S} {s}_shin=LowerLeg_{S} {s}_foot=Ankle_{S} {s}_toe=Ball_{S}
        ... Toes_{S}""",
    "OptiTrack": """
        - hips=Hip spine1=Ab spine3=Chest neck=Neck head=Head
        Chest {s}_collar={S}Shoulder {s}_upperarm={S}UArm {s}_forearm={S}FArm {s}_hand={S}Hand
        Hip {s}_thigh={S}Thigh {s}_shin={S}Shin {s}_foot={S}Foot {s}_toe={S}Toe""",
    "3ds Max CAT": """
        - hips=CATRigPelvis spine1=CATRigSpine1 spine2=CATRigSpine2 spine3=CATRigRibcage
        CATRigRibcage neck=CATRigNeck head=CATRigHead
        CATRigRibcage {s}_collar=CATRig{S}ArmCollarbone {s}_upperarm=CATRig{S}Arm1
        ... {s}_forearm=CATRig{S}Arm2 {s}_hand=CATRig{S}ArmPalm CATRig{S}ArmDigit11
        CATRigPelvis {s}_thigh=CATRig{S}Leg1 {s}_shin=CATRig{S}Leg2 {s}_foot=CATRig{S}LegAnkle""",
    "a download with a number on every bone": """
        - _rootJoint hips=mixamorig:Hips_01 spine1=mixamorig:Spine_02 spine2=mixamorig:Spine1_03
        mixamorig:Spine1_03 spine3=mixamorig:Spine2_04 neck=mixamorig:Neck_05 head=mixamorig:Head_06
        mixamorig:Spine2_04 {s}_collar=mixamorig:{D}Shoulder_1{n} {s}_upperarm=mixamorig:{D}Arm_2{n}
        ... {s}_forearm=mixamorig:{D}ForeArm_3{n} {s}_hand=mixamorig:{D}Hand_4{n}
        mixamorig:Hips_01 {s}_thigh=mixamorig:{D}UpLeg_5{n} {s}_shin=mixamorig:{D}Leg_6{n}
        ... {s}_foot=mixamorig:{D}Foot_7{n} {s}_toe=mixamorig:{D}ToeBase_8{n}""",
    "joints, without collars": """
        - hips=pelvis_jnt spine1=torso_jnt neck=neck_jnt head=skull_jnt
        torso_jnt {s}_upperarm={s}_shoulder_jnt {s}_forearm={s}_elbow_jnt {s}_hand={s}_wrist_jnt
        pelvis_jnt {s}_thigh={s}_hip_jnt {s}_shin={s}_knee_jnt {s}_foot={s}_ankle_jnt""",
    "Roblox": """
        - Root hips=LowerTorso spine1=UpperTorso head=Head
        UpperTorso {s}_upperarm={D}UpperArm {s}_forearm={D}LowerArm {s}_hand={D}Hand
        LowerTorso {s}_thigh={D}UpperLeg {s}_shin={D}LowerLeg {s}_foot={D}Foot""",
    "Auto-Rig Pro, its controls beside what deforms": """
        - c_pos c_traj c_root_master.x hips=root.x spine1=spine_01.x spine2=spine_02.x
        ... spine3=spine_03.x
        spine_03.x neck=neck.x head=head.x
        spine_03.x {s}_collar=shoulder.{s} {s}_upperarm=arm_stretch.{s} arm_twist.{s}
        arm_stretch.{s} {s}_forearm=forearm_stretch.{s} forearm_twist.{s}
        forearm_stretch.{s} {s}_hand=hand.{s} c_index1.{s}
        root.x {s}_thigh=thigh_stretch.{s} thigh_twist.{s}
        thigh_stretch.{s} {s}_shin=leg_stretch.{s} leg_twist.{s}
        leg_stretch.{s} {s}_foot=foot.{s} {s}_toe=toes_01.{s}
        c_traj c_spine_01.x c_spine_02.x c_spine_03.x c_neck.x c_head.x
        c_spine_03.x c_shoulder.{s} c_arm_fk.{s} c_forearm_fk.{s} c_hand_fk.{s}
        c_root_master.x c_thigh_fk.{s} c_leg_fk.{s} c_foot_fk.{s} c_toes_fk.{s}
        c_traj c_hand_ik.{s} c_foot_ik.{s} c_arms_pole.{s} c_leg_pole.{s}""",
    "Character Creator, twist bones in the chain": """
        - BoneRoot hips=CC_Base_Hip CC_Base_Pelvis
        CC_Base_Hip spine1=CC_Base_Waist spine2=CC_Base_Spine01 spine3=CC_Base_Spine02
        CC_Base_Spine02 neck=CC_Base_NeckTwist01 CC_Base_NeckTwist02 head=CC_Base_Head
        ... CC_Base_Teeth01
        CC_Base_Spine02 CC_Base_{S}_RibsTwist CC_Base_{S}_Breast
        CC_Base_Spine02 {s}_collar=CC_Base_{S}_Clavicle {s}_upperarm=CC_Base_{S}_Upperarm
        CC_Base_{S}_Upperarm CC_Base_{S}_UpperarmTwist01 CC_Base_{S}_UpperarmTwist02
        CC_Base_{S}_Upperarm {s}_forearm=CC_Base_{S}_Forearm {s}_hand=CC_Base_{S}_Hand
        CC_Base_{S}_Forearm CC_Base_{S}_ElbowShareBone CC_Base_{S}_ForearmTwist01
        CC_Base_Pelvis {s}_thigh=CC_Base_{S}_Thigh {s}_shin=CC_Base_{S}_Calf
        ... {s}_foot=CC_Base_{S}_Foot
        CC_Base_{S}_Calf CC_Base_{S}_KneeShareBone
        CC_Base_{S}_Foot {s}_toe=CC_Base_{S}_ToeBase CC_Base_{S}_BigToe1
        ... CC_Base_{S}_ToeBaseShareBone""",
}  # fmt: skip
SIGNS = {
    "l": {"s": "l", "S": "L", "D": "Left", "k": "左", "n": "1"},
    "r": {"s": "r", "S": "R", "D": "Right", "k": "右", "n": "2"},
}


def build(text: str):
    body, expected = Body(), {}
    for line in text.replace("\n        ...", "").strip().splitlines():
        sides = "lr" if "{" in line else "l"
        for side in sides:
            parent, *chain = line.format(**SIGNS[side]).split()
            parent = {"-": ""}.get(parent, parent)
            head = body.heads[body.names.index(parent)] if parent else HEADS["hips"]
            for entry in chain:
                role, _, name = entry.rpartition("=")
                head = HEADS[role] if role else head
                body.add(name, parent, head)
                parent = name
                if role:
                    expected[role] = name
    return body.rest(), expected


@pytest.mark.parametrize("family", FAMILIES)
def test_a_family_of_rigs_is_found(family):
    rest, expected = build(FAMILIES[family])
    assert find_joint_map(rest).bones == expected

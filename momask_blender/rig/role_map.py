"""The answer to which bone plays which role. No bpy."""

from dataclasses import dataclass, field


@dataclass(frozen=True)
class JointMap:
    """The answer for one armature."""

    bones: dict[str, str]  # role -> bone; roles that the rig does not have are absent
    confidence: dict[str, float] = field(default_factory=dict)  # role -> 0 to 1
    source: str = ""  # how it was found, in words: "Mixamo names", "saved", "structure"
    warnings: tuple[str, ...] = ()  # what is not animated, and why

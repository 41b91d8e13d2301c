"""A fill from the click to the file: read, ask, write."""

from collections.abc import Generator, Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, ClassVar

import bpy
import numpy as np

from ..animation.takes import Take, play_take, read_pose
from ..contract.messages import Finished, Inpaint
from ..errors import UserError
from ..refs import Ref
from ..retarget.border import pose_to_model
from ..rig.joint_map import JointMap
from .fill import Filling, Wish, made_keys, read_filling
from .write import Written, play_fill, write_fill

CHANGED = "The character or its animation was removed meanwhile. Nothing was written."


@dataclass
class Filled:
    """What has been put into the file so far."""

    actions: list[str] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    replaced: str = ""  # name of the Action that the armature played before


@dataclass
class Fill:
    """One or more gaps of one armature's animation."""

    armature: Ref
    joint_map: JointMap
    wish: Wish
    asked: dict[str, Any]  # fields of an `Inpaint` but for files and frames
    filling: Filling | None = None
    undo_name: ClassVar = "Fill Gaps"

    def read(self, source: Path) -> Generator[Any, None, None]:
        """Read what is shown and write it to `source` (.npz) for the worker. Raises UserError."""
        try:
            armature = self.armature.resolve()
            self.filling = yield from read_filling(armature, self.joint_map, self.wish)
        except ReferenceError as error:
            raise UserError(CHANGED) from error
        yield
        pose = pose_to_model(self.filling.shown.pose)
        np.savez(source, root=pose.root, rotations=pose.rotations)

    def request(self, source: Path, out: str = "") -> Inpaint:
        """Raises UserError."""
        assert self.filling is not None
        try:
            kept = tuple(self.filling.kept_moments())
            names = self.filling.gap_names()
            return Inpaint(source=str(source), kept=kept, gap_names=names, out=out, **self.asked)
        except ValueError as error:
            raise UserError(str(error)) from error

    def without_model(self, source: Path, request: Inpaint) -> Finished | None:
        """The answer where gaps are so short that no moment of the model's lies in them: what is
        between two moments is interpolated anyway."""
        assert self.filling is not None
        runs = self.filling.kept_moments()
        if runs != [(0, len(self.filling.shown.pose.root) - 1)]:
            return None
        return Finished(files=(str(source),) * request.variations, seconds={})

    def steps(self, finished: Finished, request: Inpaint) -> Iterator[Filled]:
        """Each variation becomes an Action; the first one plays at the end. Raises UserError."""
        filled = Filled()
        try:
            for file, seed in zip(finished.files, request.seeds(), strict=True):
                for _ in self._write(file, self._take(finished, request, seed), filled):
                    yield filled
            self._play(filled)
            yield filled
        except (ReferenceError, KeyError) as error:
            _remove(filled)
            raise UserError(CHANGED) from error
        except BaseException:
            _remove(filled)
            raise

    def told(self, filled: Filled, request: Inpaint, seconds: float) -> str:
        count = len(filled.actions)
        what = f"{count} fills" if count > 1 else f"'{filled.actions[0]}'"
        gaps = ", ".join(str(gap) for gap in self.wish.gaps)
        told = f"{what}: frames {gaps}, seed {request.seed}, in {seconds:.1f} s"
        if filled.replaced:
            told += f". '{filled.replaced}' stays in the file"
        return told + "".join(f". {words.rstrip('.')}" for words in filled.warnings)

    def _take(self, finished: Finished, request: Inpaint, seed: int) -> Take:
        return Take(
            prompt=request.prompt,
            seed=seed,
            settings=finished.settings | {"ran on": finished.runs_on},
            num_keys=sum(map(len, self.wish.gaps)),
            fps=self.wish.fps,
            first_frame=self.wish.gaps[0].first,
            character=self.armature.resolve().name,
            fit=asdict(self.wish.fit),
            gaps=[[gap.first, gap.last] for gap in self.wish.gaps],
        )

    def _write(self, file: str, take: Take, filled: Filled) -> Generator[None, None, None]:
        assert self.filling is not None
        pose, made = read_pose(file), read_pose(file, as_made=True)
        yield
        keys = yield from made_keys(self.filling, pose, made)
        written: Written = yield from write_fill(self.armature.resolve(), self.filling, keys, take)
        filled.actions.append(written.action)
        said = (*self.filling.rig.warnings, *written.warnings)
        filled.warnings += [words for words in said if words not in filled.warnings]

    def _play(self, filled: Filled) -> None:
        assert self.filling is not None
        armature = self.armature.resolve()
        if not self.filling.destination.in_strips:
            before = play_take(armature, bpy.data.actions[filled.actions[0]])
            filled.replaced = before.name if before else ""
            return
        for number, name in enumerate(filled.actions):
            play_fill(armature, bpy.data.actions[name], self.filling, number == 0)


def _remove(filled: Filled) -> None:
    """Take back what was made before the error."""
    for name in filled.actions:
        if (action := bpy.data.actions.get(name)) is not None:
            bpy.data.actions.remove(action)
    filled.actions.clear()

"""How people ask for what a caption says: prompts written for this project, by kinds of action.

Captions and their paraphrases say the action and little else. People also say who, where and why
("the postman hurries home, late for supper"), in many registers; a model that never heard that
takes the scenery for the action.
"""

import re
import tomllib
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from model_runtime.training.paraphrase import mirror_caption, third_person

TABLE = Path(__file__).with_name("user_prompts.toml")


@dataclass(frozen=True)
class Kind:
    """An action: which captions say it (a pattern for their third person), how people ask."""

    captions: re.Pattern[str]
    prompts: tuple[str, ...]
    off_floor: bool  # whether clips of it have nothing near the floor for long


@cache
def read_kinds() -> dict[str, Kind]:
    fields = tomllib.loads(TABLE.read_text(encoding="utf-8"))
    return {
        name: Kind(
            re.compile(kind["captions"]), tuple(kind["prompts"]), kind.get("off_floor", False)
        )
        for name, kind in fields.items()
    }


def kinds_of(caption: str) -> dict[str, bool]:
    """The kinds that a caption says, by name; True where its mirror image does and it does not."""
    actions = third_person(caption).removeprefix("is ")
    mirrored = mirror_caption(actions)
    found = {}
    for name, kind in read_kinds().items():
        if kind.captions.search(actions):
            found[name] = False
        elif kind.captions.search(mirrored):
            found[name] = True
    return found


def user_prompts(caption: str) -> list[str]:
    """What people would say for it; of a caption whose mirror image is in the table, mirrored."""
    found: dict[str, None] = {}
    for name, is_mirrored in kinds_of(caption).items():
        prompts = read_kinds()[name].prompts
        found |= dict.fromkeys(map(mirror_caption, prompts) if is_mirrored else prompts)
    return list(found)

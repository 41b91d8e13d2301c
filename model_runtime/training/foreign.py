"""What people ask for and motion data seldom shows (`foreign.toml`)."""

import tomllib
from pathlib import Path

from model_runtime.training.paraphrase import third

FOREIGN = Path(__file__).with_name("foreign.toml")


def foreign_prompts() -> list[str]:
    """Its actions in three wordings each, its texts as they stand."""
    fields = tomllib.loads(FOREIGN.read_text(encoding="utf-8"))
    actions = [
        text
        for action in fields["actions"]
        for text in (action, f"a person {third(action)}", f"he {third(action)}")
    ]
    return actions + fields["texts"]

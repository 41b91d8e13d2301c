"""`python -m benchmarks.gallery`: what the starter makes of many prompts, as pictures.

Each prompt of `PROMPTS` is generated once, with seed 0 and the length that stands beside it, and
rendered as a contact sheet into docs/gallery, good or bad; docs/gallery.md shows them all. `--only
WORD` renders the prompts that contain the word.
"""

import argparse
import re
import subprocess
import sys
import tempfile
from pathlib import Path

from .pictures import write_jpeg

ROOT = Path(__file__).resolve().parents[1]
PAGE, PICTURES = ROOT / "docs" / "gallery.md", ROOT / "docs" / "gallery"
BEGIN = "<!-- the pictures begin -->\n"

PROMPTS: dict[str, float] = {  # seconds
    "a person walks forward": 4.0,
    "a person walks backward": 4.0,
    "someone saunters along": 4.0,
    "a person walks in a circle to the left": 5.0,
    "a person runs forward": 3.0,
    "a person jogs in place": 4.0,
    "a person jumps straight up": 3.0,
    "he leaps as far as possible": 3.0,
    "a person hops on the left foot": 4.0,
    "a person stands still": 3.0,
    "a person sits down on a chair": 4.0,
    "getting up from an armchair": 4.0,
    "a person does jumping jacks": 4.0,
    "a person performs squats": 4.0,
    "a person touches their toes": 4.0,
    "a person makes circles with both arms": 4.0,
    "a person dances salsa": 5.0,
    "a person performs a ballet move": 5.0,
    "a boxer throws punches": 4.0,
    "a person performs karate kicks": 5.0,
    "a person kicks a ball": 4.0,
    "a person directs traffic": 4.0,
    "a person drinks from a bottle with the right hand": 4.0,
    "a person laughs": 4.0,
    "a person washes a window": 4.0,
    "a person goes up the stairs": 4.0,
    "a person walks forward, then sits down": 6.0,
    "a person stands still and then jumps": 5.0,
    "a person swims": 4.0,
    "a person crawls on the floor": 4.0,
}


def render(prompt: str, seconds: float, file: Path) -> None:
    """Generate as a user does and write the contact sheet as a JPEG."""
    with tempfile.TemporaryDirectory() as folder:
        motion, sheet = Path(folder) / "motion.fbx", Path(folder) / "sheet.png"
        command = [sys.executable, "-m", "momask_blender", "generate", prompt, "--seed", "0"]
        command += ["--seconds", str(seconds), "--out", str(motion), "--preview", str(sheet)]
        subprocess.run(command, check=True, cwd=ROOT, stdout=subprocess.DEVNULL)
        file.parent.mkdir(exist_ok=True)
        write_jpeg([sheet], file)


def file_of(prompt: str) -> Path:
    return PICTURES / (re.sub(r"[^a-z]+", "-", prompt.lower()).strip("-") + ".jpg")


def write_page() -> None:
    """The pictures below the text that somebody wrote, in the order of PROMPTS."""
    text = PAGE.read_text(encoding="utf-8").split(BEGIN)[0]
    pictures = "".join(f"\n![{prompt}](gallery/{file_of(prompt).name})\n" for prompt in PROMPTS)
    PAGE.write_text(text + BEGIN + pictures, encoding="utf-8", newline="\n")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", default="", metavar="WORD")
    chosen = parser.parse_args()
    for prompt, seconds in PROMPTS.items():
        if chosen.only in prompt:
            render(prompt, seconds, file_of(prompt))
            print(file_of(prompt).name, flush=True)
    write_page()


if __name__ == "__main__":
    main()

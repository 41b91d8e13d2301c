"""`python -m tests.goldens.make_clip_merges bpe_simple_vocab_16e6.txt.gz`: the merges that matter.

The golden strings need few of CLIP's merges. Those that they meet stay, at their own ranks; the
other lines are blank, so that the list is small and the tokens are the same. The list is OpenAI's
(MIT licence).
"""

import gzip
import json
import sys
from pathlib import Path

from model_runtime.byte_pairs import NUM_MERGES, BytePairs

HERE = Path(__file__).parent
STRINGS = HERE.parents[2] / "shared" / "fixtures" / "clip" / "strings.json"


class Listening(BytePairs):
    """Notes every pair that is looked up."""

    def __init__(self, merges: list[str]) -> None:
        super().__init__(merges)
        self.met: set[tuple[str, str]] = set()

    def _rank(self, pair: tuple[str, str]) -> float:
        self.met.add(pair)
        return super()._rank(pair)


def main() -> None:
    lines = gzip.decompress(Path(sys.argv[1]).read_bytes()).decode("utf-8").split("\n")
    merges = lines[1 : NUM_MERGES + 1]
    tokenizer = Listening(merges)
    for text in json.loads(STRINGS.read_text(encoding="utf-8"))["strings"]:
        tokenizer.encode(text)
    kept = [line if tuple(line.split()) in tokenizer.met else "" for line in merges]
    text = "\n".join(kept) + "\n"
    packed = gzip.compress(text.encode("utf-8"), mtime=0)
    (HERE / "clip_merges.txt.gz").write_bytes(packed)


if __name__ == "__main__":
    main()

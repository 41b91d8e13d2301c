"""Captions in other words: subjects, synonyms and registers, so that text is not the first limit.

A caption of the data set is taken apart by a small table (`paraphrases.toml`), never by meaning:
what is not in the table stays as it stands, so sides, counts and directions survive.
"""

import random
import re
import tomllib
from dataclasses import dataclass
from functools import cache
from pathlib import Path

TABLE = Path(__file__).with_name("paraphrases.toml")
REPLACED = 0.67  # chance of each phrase that the table knows
IN_CONTEXT = 0.15  # chance of a place or time behind it,
ON_A_WAY = 0.2  # and of a way to go, where somebody goes forward

_SUBJECT = re.compile(r"^(a|an|the) (person|human|figure|individual|man|woman)\b|^someone\b")
# Where a clause begins: "steps" there is a verb, in "salsa steps" it is none.
_CLAUSE = r"(?:^|(?<=, )|(?<=and )|(?<=then )|(?<=while )|(?<=before )|(?<=is ))"
_IS = re.compile(r"^is (?=(?:\w+ly )?\w+ing\b)")
_SEVERAL = re.compile(r",|\b(?:and|then|while)\b")
_ADVERB = re.compile(r"^(\w+ly) (\w.*)$")  # behind the verb, which is to be found in front
# Walks or runs, and does nothing else: a road or a goal may be named in place of "forward".
_GOES = re.compile(
    r"^(?:walk|run|jog|sprint|stroll)(?:s|ning|ging|ing)\b"
    r"(?!.*(?:\b(?:place|spot|circle|around|over|up|down|stairs|without|as"
    r"|\w*turn\w*|backwards?|sideways|left|right)\b))"
)
_FORWARD = re.compile(r" (?:straight ahead|forward|ahead|in a straight line)\b")
SWAPPED_WORDS = {
    "left": "right",
    "right": "left",
    "clockwise": "counterclockwise",
    "counterclockwise": "clockwise",
    "anticlockwise": "clockwise",
}
_IRREGULAR_ING = {"be": "being", "lie": "lying", "trek": "trekking"}
_DOUBLED = {"run", "sit", "jog", "hop", "spin", "step", "get", "put", "bob", "jab", "squat", "trot"}
_DOUBLED |= {"plod", "bet", "dip", "strut", "skip", "sip", "plop", "groov"}


@dataclass(frozen=True)
class Table:
    subjects: list[str]
    contexts: list[str]
    ways: list[str]
    frames: dict[str, list[str]]  # by form: third, ing, base
    verbs: dict[str, list[str]]  # base phrase -> base phrases
    words: dict[str, list[str]]


@cache
def read_table() -> Table:
    fields = tomllib.loads(TABLE.read_text(encoding="utf-8"))
    frames = {form: fields[f"frames_{form}"] for form in ("third", "ing", "base")}
    longest_first = sorted(fields["verbs"], key=len, reverse=True)
    verbs = {phrase: fields["verbs"][phrase] for phrase in longest_first}
    words = {phrase: fields["words"][phrase] for phrase in sorted(fields["words"], key=len)[::-1]}
    return Table(fields["subjects"], fields["contexts"], fields["ways"], frames, verbs, words)


def third(phrase: str) -> str:
    """Third person of a base phrase: "walk forward" -> "walks forward"."""
    verb, _, rest = phrase.partition(" ")
    if verb in ("be", "have"):
        changed = {"be": "is", "have": "has"}[verb]
    elif verb.endswith(("s", "sh", "ch", "x", "o", "z")):
        changed = f"{verb}es"
    elif verb.endswith("y") and verb[-2] not in "aeiou":
        changed = f"{verb[:-1]}ies"
    else:
        changed = f"{verb}s"
    return f"{changed} {rest}".strip()


def ing(phrase: str) -> str:
    """Progressive form of a base phrase: "walk forward" -> "walking forward"."""
    verb, _, rest = phrase.partition(" ")
    if verb in _IRREGULAR_ING:
        changed = _IRREGULAR_ING[verb]
    elif verb in _DOUBLED:
        changed = f"{verb}{verb[-1]}ing"
    elif verb.endswith("e") and not verb.endswith("ee"):
        changed = f"{verb[:-1]}ing"
    else:
        changed = f"{verb}ing"
    return f"{changed} {rest}".strip()


FORMS = {"third": third, "ing": ing, "base": str}


@cache
def _pattern(phrase: str, *, clause: bool) -> re.Pattern[str]:
    begin = _CLAUSE if clause else r"(?<![\w-])"
    return re.compile(rf"{begin}{re.escape(phrase)}(?![\w-])")


@cache
def _third_persons() -> dict[str, str]:
    """Third person -> base form, of every verb in the table and of a few that captions use."""
    table = read_table()
    verbs = {phrase.split()[0] for phrase in table.verbs}
    verbs |= {"keep", "hold", "throw", "land", "touch", "lift", "lean", "stretch", "move", "lower"}
    verbs |= {"use", "start", "stop", "continue", "end", "face", "grab", "bring", "wipe", "come"}
    return {third(verb): verb for verb in verbs}


def third_person(caption: str) -> str:
    """A caption without its subject: "A person walks." -> "walks"."""
    return _SUBJECT.sub("", caption.lower().strip().rstrip(".")).strip()


def mirror_caption(caption: str) -> str:
    """The same with left and right exchanged."""
    words = re.compile(r"\b(" + "|".join(SWAPPED_WORDS) + r")\b")
    return words.sub(lambda found: SWAPPED_WORDS[found.group()], caption)


def paraphrase(caption: str, chance: random.Random) -> str:
    """One other way to say `caption`, which begins with its subject and a verb."""
    table = read_table()
    actions = _IS.sub("", third_person(caption))
    if not _SEVERAL.search(actions):
        actions = _ADVERB.sub(r"\2 \1", actions)
    progressive = re.match(r"\w+ing\b", actions) is not None
    way = ""
    goes = _GOES.search(actions) and not _SEVERAL.search(actions)
    if goes and chance.random() < ON_A_WAY:
        actions = _FORWARD.sub("", actions, count=1)
        way = chance.choice(table.ways)
    form = "ing" if progressive else chance.choice(("third", "third", "ing", "base"))
    actions = _swap(actions, table.verbs, chance, verbs=True)
    actions = _swap(actions, table.words, chance, verbs=False)
    if form != "third" and not progressive:
        actions = _inflect(actions, form)
    if way:
        actions = f"{actions} {way}"
    elif chance.random() < IN_CONTEXT:
        actions = f"{actions} {chance.choice(table.contexts)}"
    frame = chance.choice(table.frames[form])
    return frame.format(subject=chance.choice(table.subjects), **{form: actions})


def _swap(text: str, table: dict[str, list[str]], chance: random.Random, *, verbs: bool) -> str:
    """Replace phrases of the table, each by chance, one pass, longest first.

    What was looked at is hidden behind a mark, so that no part of it is replaced again.
    """
    done: list[str] = []
    forms = (third, ing) if verbs else (str,)
    for phrase, others in table.items():
        for inflect in forms:
            found = _pattern(inflect(phrase), clause=verbs).search(text)
            if found:
                replaced = chance.random() < REPLACED
                done.append(inflect(chance.choice(others)) if replaced else found.group())
                text = f"{text[: found.start()]}\x00{len(done) - 1}\x00{text[found.end() :]}"
    return re.sub("\x00(\\d+)\x00", lambda mark: done[int(mark.group(1))], text)


@cache
def _heads() -> dict[str, str]:
    """Third person of every verb that a paraphrase can contain -> its base form."""
    groups = read_table().verbs.values()
    verbs = {other.split()[0] for group in groups for other in group}
    return _third_persons() | {third(verb): verb for verb in verbs}


def _inflect(text: str, form: str) -> str:
    """Every third person that we know becomes `form`: "walks and sits" -> "walking and sitting"."""

    def change(word: re.Match[str]) -> str:
        base = _heads().get(word.group())
        return FORMS[form](base) if base else word.group()

    return re.sub(_CLAUSE + r"[\w-]+", change, text)


@cache
def paraphrases(caption: str, count: int, seed: int) -> tuple[str, ...]:
    """`count` different ways to say a caption, or fewer where the table has no more."""
    chance = random.Random(f"{seed} {caption}")  # noqa: S311 - no secrets here
    found: dict[str, None] = {}
    for _ in range(4 * count):
        found.setdefault(paraphrase(caption, chance))
        if len(found) == count:
            break
    return tuple(found)

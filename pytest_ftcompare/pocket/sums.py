"""Generate sums: a domain that neither pre-training nor the general requests cover.

`data.py` calls this. The input lists what is counted. Out of domain: held-out nouns; in Chinese,
phrases instead of words.
"""

from __future__ import annotations

from pytest_ftcompare.pocket import chinese, words
from pytest_ftcompare.pocket.grammar import Rng
from pytest_ftcompare.pocket.instructions import Instruction
from pytest_ftcompare.pocket.requests import Maker, nouns

MAX_LIST_LENGTH = 5
KINDS = {"animals": "animal", "people": "person", "things": "thing"}


def _noun_list(rng: Rng, shifted: bool) -> list[str]:
    return nouns(rng, shifted, rng.randint(2, MAX_LIST_LENGTH))


def _sum(rng: Rng, shifted: bool) -> Instruction:
    listed = _noun_list(rng, shifted)
    split = rng.randrange(1, len(listed))
    return Instruction(
        "en-sum",
        "how many are they in all ?",
        f"{' '.join(listed[:split])} and {' '.join(listed[split:])}",
        str(len(listed)),
    )


def _next(rng: Rng, shifted: bool) -> Instruction:
    listed = _noun_list(rng, shifted)
    return Instruction(
        "en-next", "how many are they with one more ?", " ".join(listed), str(len(listed) + 1)
    )


def _left(rng: Rng, shifted: bool) -> Instruction:
    listed = _noun_list(rng, shifted)
    return Instruction(
        "en-left", "how many are they without one ?", " ".join(listed), str(len(listed) - 1)
    )


def _kinds(rng: Rng, shifted: bool) -> Instruction:
    plural, kind = rng.choice(tuple(KINDS.items()))
    listed = _noun_list(rng, shifted)
    return Instruction(
        "en-kinds",
        f"how many {plural} ?",
        " ".join(listed),
        str(sum(words.KINDS[word] == kind for word in listed)),
    )


def _chinese(rng: Rng, shifted: bool) -> tuple[str, int]:
    """Return a list and its length; phrases instead of words if `shifted`."""
    count = rng.randint(2, MAX_LIST_LENGTH)
    if shifted:
        return "，".join(chinese.noun_phrase(rng, False).text for _ in range(count)), count
    return "，".join(rng.choice(tuple(chinese.NOUNS)) for _ in range(count)), count


def _chinese_next(rng: Rng, shifted: bool) -> Instruction:
    listed, count = _chinese(rng, shifted)
    return Instruction("zh-next", "多一个是几个？", listed, str(count + 1))


def _chinese_left(rng: Rng, shifted: bool) -> Instruction:
    listed, count = _chinese(rng, shifted)
    return Instruction("zh-left", "少一个是几个？", listed, str(count - 1))


MAKERS: tuple[Maker, ...] = (_sum, _next, _left, _kinds, _chinese_next, _chinese_left)


def problem(rng: Rng, shifted: bool = False) -> Instruction:
    """Return a problem of any class."""
    return rng.choice(MAKERS)(rng, shifted)

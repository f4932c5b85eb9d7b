"""Sums: a domain of its own, which neither pre-training nor the general requests hold. What is counted is there to be counted.

Out of domain: held-out nouns, and in Chinese lists of other words with another separator.
"""

from __future__ import annotations

from pytest_ftcompare.pocket import chinese, words
from pytest_ftcompare.pocket.grammar import Rng
from pytest_ftcompare.pocket.instructions import Instruction
from pytest_ftcompare.pocket.requests import Maker, nouns

MOST = 5  # of a list
KINDS = {"animals": "animal", "people": "person", "things": "thing"}


def _some(rng: Rng, shifted: bool) -> list[str]:
    return nouns(rng, shifted, rng.randint(2, MOST))


def _sum(rng: Rng, shifted: bool) -> Instruction:
    one = _some(rng, shifted)
    at = rng.randrange(1, len(one))
    return Instruction(
        "en-sum",
        "how many are they in all ?",
        f"{' '.join(one[:at])} and {' '.join(one[at:])}",
        str(len(one)),
    )


def _next(rng: Rng, shifted: bool) -> Instruction:
    one = _some(rng, shifted)
    return Instruction(
        "en-next", "how many are they with one more ?", " ".join(one), str(len(one) + 1)
    )


def _left(rng: Rng, shifted: bool) -> Instruction:
    one = _some(rng, shifted)
    return Instruction(
        "en-left", "how many are they without one ?", " ".join(one), str(len(one) - 1)
    )


def _kinds(rng: Rng, shifted: bool) -> Instruction:
    plural, kind = rng.choice(tuple(KINDS.items()))
    one = _some(rng, shifted)
    return Instruction(
        "en-kinds",
        f"how many {plural} ?",
        " ".join(one),
        str(sum(words.KINDS[each] == kind for each in one)),
    )


def _chinese(rng: Rng, shifted: bool) -> tuple[str, int]:
    """A list and how long it is; out of domain of phrases instead of words."""
    count = rng.randint(2, MOST)
    if shifted:
        return "，".join(chinese.noun_phrase(rng, False).text for _ in range(count)), count
    return "，".join(rng.choice(tuple(chinese.NOUNS)) for _ in range(count)), count


def _chinese_next(rng: Rng, shifted: bool) -> Instruction:
    given, count = _chinese(rng, shifted)
    return Instruction("zh-next", "多一个是几个？", given, str(count + 1))


def _chinese_left(rng: Rng, shifted: bool) -> Instruction:
    given, count = _chinese(rng, shifted)
    return Instruction("zh-left", "少一个是几个？", given, str(count - 1))


MAKERS: tuple[Maker, ...] = (_sum, _next, _left, _kinds, _chinese_next, _chinese_left)


def problem(rng: Rng, shifted: bool = False) -> Instruction:
    """A problem of any class."""
    return rng.choice(MAKERS)(rng, shifted)

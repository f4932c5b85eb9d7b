"""Sums in words: a domain of its own, which neither pre-training nor the general requests hold. Numbers have one digit.

Out of domain: held-out nouns, and in Chinese three terms instead of two.
"""

from __future__ import annotations

from pytest_ftcompare.pocket import chinese, words
from pytest_ftcompare.pocket.grammar import HELD_OUT, SEEN, Rng
from pytest_ftcompare.pocket.instructions import Instruction
from pytest_ftcompare.pocket.requests import Maker

MOST = 9


def _nouns(rng: Rng, shifted: bool, count: int) -> list[str]:
    """Different plural nouns."""
    lexicon = HELD_OUT if shifted else SEEN
    return [words.PLURAL[one] for one in rng.sample((*lexicon.animate, *lexicon.things), count)]


def _two(rng: Rng) -> tuple[int, int]:
    """Two numbers of at least two whose sum has one digit."""
    first = rng.randint(2, MOST - 2)
    return first, rng.randint(2, MOST - first)


def _sum(rng: Rng, shifted: bool) -> Instruction:
    (first, second), (one, other) = _two(rng), _nouns(rng, shifted, 2)
    return Instruction("en-sum", "how many are there ?", f"{first} {one} and {second} {other}", str(first + second))


def _left(rng: Rng, shifted: bool) -> Instruction:
    (first, second), (one,) = _two(rng), _nouns(rng, shifted, 1)
    verb = rng.choice((HELD_OUT if shifted else SEEN).intransitive).past
    return Instruction("en-left", "how many are left ?", f"{first + second} {one} , {second} {verb}", str(first))


def _more(rng: Rng, shifted: bool) -> Instruction:
    (first, second), (one, other) = rng.sample(range(2, MOST + 1), 2), _nouns(rng, shifted, 2)
    return Instruction("en-more", "which are more ?", f"{first} {one} and {second} {other}", one if first > second else other)


def _chinese(rng: Rng, animate: bool) -> str:
    """A noun with its classifier."""
    name, entry = rng.choice([(name, entry) for name, entry in chinese.NOUNS.items() if entry[3] or not animate])
    return f"{entry[0]}{name}"


def _chinese_sum(rng: Rng, shifted: bool) -> Instruction:
    first, second = _two(rng)
    given = f"{first}{_chinese(rng, False)}和{second}{_chinese(rng, False)}"
    third = 0
    if shifted and first + second < MOST:
        third = rng.randint(1, MOST - first - second)
        given = f"{given}和{third}{_chinese(rng, False)}"
    return Instruction("zh-sum", "一共几个？", given, str(first + second + third))


def _chinese_left(rng: Rng, shifted: bool) -> Instruction:
    first, second = _two(rng)
    verb = rng.choice(tuple(chinese.INTRANSITIVE))
    return Instruction("zh-left", "还有几个？", f"{first + second}{_chinese(rng, True)}，{second}个{verb}", str(first))


MAKERS: tuple[Maker, ...] = (_sum, _left, _more, _chinese_sum, _chinese_left)


def problem(rng: Rng, shifted: bool = False) -> Instruction:
    """A problem of any class."""
    return rng.choice(MAKERS)(rng, shifted)

"""Requests for instruction tuning: nine classes in two scripts of which no pre-training text holds a solved example.

They ask for sentences to be turned, phrases to be found and lists to be read, with words that the base models know; digits
are new to them. Out of domain: held-out words, and longer lists and sentences.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from pytest_ftcompare.pocket import chinese
from pytest_ftcompare.pocket.grammar import HELD_OUT, SEEN, Lexicon, Rng, join, noun, present
from pytest_ftcompare.pocket.instructions import Instruction
from pytest_ftcompare.pocket.words import Verb

Maker = Callable[[Rng, bool], Instruction]  # of a random generator, and whether the request is out of domain


@dataclass(frozen=True)
class _Event:
    """Who does what to whom, in the present; phrases with their determiners."""

    subject: str
    plural: bool
    verb: Verb
    target: str
    targets: bool  # whether there are several

    @property
    def text(self) -> str:
        return join(self.subject, present(self.verb, self.plural), self.target, ".")


def _phrase(rng: Rng, lexicon: Lexicon, adjective: float) -> tuple[str, bool]:
    head = noun(rng, lexicon.animate)
    extra = rng.choice(lexicon.adjectives) if rng.random() < adjective else ""
    return join(
        rng.choice(("the", "some", "these", "many") if head.plural else ("the", "a", "this")), extra, head.word
    ), head.plural


def _event(rng: Rng, shifted: bool) -> _Event:
    lexicon = HELD_OUT if shifted else SEEN
    subject, plural = _phrase(rng, lexicon, 0.3)
    target, targets = _phrase(rng, lexicon, 0.3)
    return _Event(subject, plural, rng.choice(lexicon.transitive), target, targets)


def _who(rng: Rng, shifted: bool) -> Instruction:
    one = _event(rng, shifted)
    return Instruction("en-who", "who does it ?", one.text, one.subject)


def _passive(rng: Rng, shifted: bool) -> Instruction:
    one = _event(rng, shifted)
    output = join(one.target, "are" if one.targets else "is", one.verb.participle, "by", one.subject, ".")
    return Instruction("en-passive", "put it into the passive .", one.text, output)


def _deny(rng: Rng, shifted: bool) -> Instruction:
    one = _event(rng, shifted)
    output = join(one.subject, "do not" if one.plural else "does not", one.verb.base, one.target, ".")
    return Instruction("en-deny", "say that it is not so .", one.text, output)


def _ask(rng: Rng, shifted: bool) -> Instruction:
    one = _event(rng, shifted)
    output = join("do" if one.plural else "does", one.subject, one.verb.base, one.target, "?")
    return Instruction("en-ask", "make it a question .", one.text, output)


def _list(rng: Rng, shifted: bool, counts: tuple[int, ...]) -> list[str]:
    """Different nouns, out of domain held-out ones."""
    lexicon = HELD_OUT if shifted else SEEN
    return rng.sample((*lexicon.animate, *lexicon.things), rng.choice(counts))


def _backwards(rng: Rng, shifted: bool) -> Instruction:
    one = _list(rng, shifted, (3, 4))
    return Instruction("en-backwards", "say it backwards .", " ".join(one), " ".join(reversed(one)))


def _count(rng: Rng, shifted: bool) -> Instruction:
    one = _list(rng, shifted, (2, 3, 4, 5, 6, 7, 8))
    return Instruction("en-count", "how many words ?", " ".join(one), str(len(one)))


def _chinese(rng: Rng, shifted: bool) -> tuple[str, str, str]:
    """Subject, verb and object; out of domain there are two subjects."""
    subject, target = (chinese.noun_phrase(rng, animate).text for animate in (True, False))
    if shifted:
        subject = f"{subject}和{chinese.noun_phrase(rng, True).text}"
    return subject, rng.choice(tuple(chinese.TRANSITIVE)), target


def _chinese_who(rng: Rng, shifted: bool) -> Instruction:
    subject, verb, target = _chinese(rng, shifted)
    return Instruction("zh-who", "谁做的？", f"{subject}{verb}{target}。", subject)


def _chinese_swap(rng: Rng, shifted: bool) -> Instruction:
    subject, verb, target = _chinese(rng, shifted)
    return Instruction("zh-swap", "主语和宾语交换。", f"{subject}{verb}{target}。", f"{target}{verb}{subject}。")


def _chinese_repair(rng: Rng, shifted: bool) -> Instruction:
    one, other = chinese.sentence(rng), chinese.sentence(rng)
    if shifted:
        return Instruction("zh-repair", "改正量词。", one.wrong + other.wrong, one.text + other.text)
    return Instruction("zh-repair", "改正量词。", one.wrong, one.text)


MAKERS: tuple[Maker, ...] = (
    _who,
    _passive,
    _deny,
    _ask,
    _backwards,
    _count,
    _chinese_who,
    _chinese_swap,
    _chinese_repair,
)


def request(rng: Rng, shifted: bool = False) -> Instruction:
    """A request of any class."""
    return rng.choice(MAKERS)(rng, shifted)

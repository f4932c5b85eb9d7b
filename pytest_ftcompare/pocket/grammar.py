"""Generate noun phrases, verb phrases and clauses of the pocket language; they agree in number.

The tasks' generators call this.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass

from pytest_ftcompare.pocket import words
from pytest_ftcompare.pocket.words import Verb

Rng = random.Random

SINGULAR_DETERMINERS = ("the", "a", "this", "that", "every", "each")
PLURAL_DETERMINERS = ("the", "some", "these", "those", "many", "two", "three", "all")


@dataclass(frozen=True)
class Noun:
    """A noun in one number."""

    word: str
    plural: bool


@dataclass(frozen=True)
class Lexicon:
    """The words that one split may use."""

    animate: tuple[str, ...]
    things: tuple[str, ...]
    intransitive: tuple[Verb, ...]
    transitive: tuple[Verb, ...]
    adjectives: tuple[str, ...]


SEEN = Lexicon(
    (*words.PEOPLE, *words.ANIMALS),
    tuple(words.THINGS),
    words.INTRANSITIVE,
    words.TRANSITIVE,
    words.ADJECTIVES,
)
HELD_OUT = Lexicon(
    (*words.HELD_OUT_PEOPLE, *words.HELD_OUT_ANIMALS),
    tuple(words.HELD_OUT_THINGS),
    words.HELD_OUT_INTRANSITIVE,
    words.HELD_OUT_TRANSITIVE,
    words.HELD_OUT_ADJECTIVES,
)
ALL = Lexicon(
    SEEN.animate + HELD_OUT.animate,
    SEEN.things + HELD_OUT.things,
    SEEN.intransitive + HELD_OUT.intransitive,
    SEEN.transitive + HELD_OUT.transitive,
    SEEN.adjectives + HELD_OUT.adjectives,
)


def join(*parts: str) -> str:
    """Join the parts that are not empty with single spaces."""
    return " ".join(part for part in parts if part)


def noun(rng: Rng, names: Sequence[str], plural: bool | None = None) -> Noun:
    plural = rng.random() < 0.5 if plural is None else plural
    word = rng.choice(names)
    return Noun(words.PLURAL[word] if plural else word, plural)


def determiner(rng: Rng, plural: bool) -> str:
    if rng.random() < 0.5:
        return "the"
    return rng.choice(PLURAL_DETERMINERS if plural else SINGULAR_DETERMINERS)


def phrase(rng: Rng, lexicon: Lexicon, head: Noun, adjective: float = 0.25) -> str:
    """Return determiner, perhaps an adjective, and noun."""
    extra = rng.choice(lexicon.adjectives) if rng.random() < adjective else ""
    return join(determiner(rng, head.plural), extra, head.word)


def animate(rng: Rng, lexicon: Lexicon, plural: bool | None = None) -> tuple[str, bool]:
    """Return a noun phrase that can act, and whether it is plural."""
    head = noun(rng, lexicon.animate, plural)
    return phrase(rng, lexicon, head), head.plural


def anything(rng: Rng, lexicon: Lexicon) -> str:
    """Return a noun phrase of any kind, for objects."""
    names = lexicon.animate if rng.random() < 0.6 else lexicon.things
    return phrase(rng, lexicon, noun(rng, names))


def present(verb: Verb, plural: bool) -> str:
    return verb.base if plural else verb.third


def finite(rng: Rng, verb: Verb, plural: bool) -> str:
    """Return a verb that agrees: present, past, progressive, perfect, modal or negated."""
    shape = rng.randrange(8)
    if shape <= 2:
        return present(verb, plural)
    if shape == 3:
        return verb.past
    if shape == 4:
        return join("are" if plural else "is", verb.gerund)
    if shape == 5:
        return join("have" if plural else "has", verb.participle)
    if shape == 6:
        return join(rng.choice(("will", "can")), verb.base)
    return join("do not" if plural else "does not", verb.base)


def predicate(rng: Rng, lexicon: Lexicon, plural: bool) -> str:
    """Return a finite verb phrase that agrees, with its arguments."""
    draw = rng.random()
    if draw < 0.4:
        adverb = rng.choice(("", "", "quickly", "quietly"))
        return join(finite(rng, rng.choice(lexicon.intransitive), plural), adverb)
    if draw < 0.85:
        return join(finite(rng, rng.choice(lexicon.transitive), plural), anything(rng, lexicon))
    thing = phrase(rng, lexicon, noun(rng, lexicon.things))
    receiver, _ = animate(rng, lexicon)
    return join(finite(rng, rng.choice(words.DITRANSITIVE), plural), thing, "to", receiver)


def clause(rng: Rng, lexicon: Lexicon, place: float = 0.15) -> str:
    """Return a declarative clause without its full stop."""
    subject, plural = animate(rng, lexicon)
    where = join("in the", rng.choice(words.PLACES)) if rng.random() < place else ""
    return join(subject, predicate(rng, lexicon, plural), where)

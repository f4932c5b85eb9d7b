"""Generate requests for instruction tuning: nine classes in two scripts.

`data.py` and `scripts/tune_pocket.py` call this. No pre-training text has a solved example of
them. They ask for parts of sentences and properties of lists, in words that the base models know;
digits are new to them. Out of domain: sentences with a place or a second object, held-out nouns in
lists.
"""

from __future__ import annotations

from collections.abc import Callable

from pytest_ftcompare.pocket import chinese, words
from pytest_ftcompare.pocket.grammar import HELD_OUT, SEEN, Lexicon, Rng, join, noun, present
from pytest_ftcompare.pocket.instructions import Instruction

# Arguments: a random generator, and whether the request is out of domain.
Maker = Callable[[Rng, bool], Instruction]


def nouns(rng: Rng, shifted: bool, count: int) -> list[str]:
    """Return `count` different nouns, held-out ones if `shifted`."""
    lexicon = HELD_OUT if shifted else SEEN
    return rng.sample((*lexicon.animate, *lexicon.things), count)


def _phrase(rng: Rng, lexicon: Lexicon) -> tuple[str, bool]:
    """Return a noun phrase that can act, and whether it is plural."""
    head = noun(rng, lexicon.animate)
    extra = rng.choice(lexicon.adjectives) if rng.random() < 0.4 else ""
    determiner = rng.choice(
        ("the", "some", "these", "many") if head.plural else ("the", "a", "this", "every")
    )
    return join(determiner, extra, head.word), head.plural


def _event(rng: Rng) -> tuple[str, str, str]:
    """Return subject, verb and object."""
    subject, plural = _phrase(rng, SEEN)
    return subject, present(rng.choice(SEEN.transitive), plural), _phrase(rng, SEEN)[0]


def _event_sentence(rng: Rng, shifted: bool, event: tuple[str, str, str]) -> str:
    """Return the event as a sentence, with a place if `shifted`."""
    place = join("in the", rng.choice(words.PLACES)) if shifted else ""
    return join(*event, place, ".")


def _who(rng: Rng, shifted: bool) -> Instruction:
    event = _event(rng)
    return Instruction("en-who", "who does it ?", _event_sentence(rng, shifted, event), event[0])


def _whom(rng: Rng, shifted: bool) -> Instruction:
    event = _event(rng)
    return Instruction(
        "en-whom", "who is it done to ?", _event_sentence(rng, shifted, event), event[2]
    )


def _what(rng: Rng, shifted: bool) -> Instruction:
    event = _event(rng)
    return Instruction(
        "en-what", "what do they do ?", _event_sentence(rng, shifted, event), event[1]
    )


def _count(rng: Rng, shifted: bool) -> Instruction:
    listed = nouns(rng, shifted, rng.randint(1, 6))
    return Instruction("en-count", "how many words ?", " ".join(listed), str(len(listed)))


def _odd(rng: Rng, shifted: bool) -> Instruction:
    """Mix three nouns of a kind with one of another kind."""
    people, animals, things = (
        (words.HELD_OUT_PEOPLE, words.HELD_OUT_ANIMALS, words.HELD_OUT_THINGS)
        if shifted
        else (words.PEOPLE, words.ANIMALS, words.THINGS)
    )
    most, other = rng.sample((people, animals, things), 2)
    odd = rng.choice(tuple(other))
    listed = [odd, *rng.sample(tuple(most), 3)]
    rng.shuffle(listed)
    return Instruction("en-odd", "which one does not belong ?", " ".join(listed), odd)


def _chinese(rng: Rng, shifted: bool) -> tuple[chinese.Sentence, str, chinese.Sentence]:
    """Return subject, verb and object; two objects if `shifted`."""
    target = chinese.noun_phrase(rng, False)
    if shifted:
        other = chinese.noun_phrase(rng, False)
        target = chinese.Sentence(
            f"{target.text}和{other.text}", f"{target.english} and {other.english}", target.wrong
        )
    return chinese.noun_phrase(rng, True), rng.choice(tuple(chinese.TRANSITIVE)), target


def _chinese_who(rng: Rng, shifted: bool) -> Instruction:
    subject, verb, target = _chinese(rng, shifted)
    return Instruction("zh-who", "谁做的？", f"{subject.text}{verb}{target.text}。", subject.text)


def _chinese_what(rng: Rng, shifted: bool) -> Instruction:
    subject, verb, target = _chinese(rng, shifted)
    return Instruction("zh-what", "做了什么？", f"{subject.text}{verb}{target.text}。", verb)


def _chinese_whom(rng: Rng, shifted: bool) -> Instruction:
    """Ask for the object in English."""
    subject, verb, target = _chinese(rng, shifted)
    return Instruction(
        "zh-whom", "对谁做的？用英文。", f"{subject.text}{verb}{target.text}。", target.english
    )


def _chinese_count(rng: Rng, shifted: bool) -> Instruction:
    listed = [
        rng.choice(tuple(chinese.NOUNS))
        for _ in range(rng.randint(3, 5) if shifted else rng.randint(1, 6))
    ]
    return Instruction(
        "zh-count", "几个词？", ("和" if shifted else "，").join(listed), str(len(listed))
    )


MAKERS: tuple[Maker, ...] = (
    _who,
    _whom,
    _what,
    _count,
    _odd,
    _chinese_who,
    _chinese_whom,
    _chinese_what,
    _chinese_count,
)


def request(rng: Rng, shifted: bool = False) -> Instruction:
    """Return a request of any class."""
    return rng.choice(MAKERS)(rng, shifted)

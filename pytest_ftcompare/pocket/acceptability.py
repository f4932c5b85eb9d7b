"""Generate minimal pairs: an acceptable sentence and an unacceptable twin of one construction.

`corpus.py` and `data.py` call this. The constructions follow the fields of BLiMP (Warstadt et al.
2020, arXiv:1912.00582): agreement, determiners, argument structure, word order, auxiliaries,
reflexives, polarity items, selection, islands. `LABELLED` constructions also occur in the labelled
pre-training text; fine-tuning has to learn the other `IN_DOMAIN` ones. No training split has an
`OUT_OF_DOMAIN` one. A construction's function name is stored in the data sets.
"""

from __future__ import annotations

from collections.abc import Callable

from pytest_ftcompare.pocket import words
from pytest_ftcompare.pocket.grammar import (
    PLURAL_DETERMINERS,
    SINGULAR_DETERMINERS,
    Lexicon,
    Rng,
    animate,
    anything,
    clause,
    finite,
    join,
    noun,
    phrase,
    predicate,
    present,
)

Pair = tuple[str, str]
Construction = Callable[[Rng, Lexicon], Pair]


def _verb_phrase(rng: Rng, lexicon: Lexicon, plural: bool) -> Pair:
    """Return a present-tense verb phrase that agrees, and one with the other number."""
    if rng.random() < 0.5:
        verb, rest = rng.choice(lexicon.intransitive), ""
    else:
        verb, rest = rng.choice(lexicon.transitive), anything(rng, lexicon)
    return join(present(verb, plural), rest), join(present(verb, not plural), rest)


def agreement(rng: Rng, lexicon: Lexicon) -> Pair:
    subject, plural = animate(rng, lexicon)
    good, bad = _verb_phrase(rng, lexicon, plural)
    return join(subject, good), join(subject, bad)


def attractor(rng: Rng, lexicon: Lexicon) -> Pair:
    """Agreement across a noun of the other number."""
    subject, plural = animate(rng, lexicon)
    other, _ = animate(rng, lexicon, not plural)
    good, bad = _verb_phrase(rng, lexicon, plural)
    start = join(subject, rng.choice(words.PREPOSITIONS), other)
    return join(start, good), join(start, bad)


def auxiliary_agreement(rng: Rng, lexicon: Lexicon) -> Pair:
    subject, plural = animate(rng, lexicon)
    verb = rng.choice(lexicon.intransitive)
    (right, wrong), form = rng.choice(
        (
            (("are", "is"), verb.gerund),
            (("have", "has"), verb.participle),
            (("do not", "does not"), verb.base),
        )
    )
    if not plural:
        right, wrong = wrong, right
    return join(subject, right, form), join(subject, wrong, form)


def auxiliary_form(rng: Rng, lexicon: Lexicon) -> Pair:
    """The auxiliary chooses the form of the verb."""
    subject, plural = animate(rng, lexicon)
    verb = rng.choice(lexicon.intransitive)
    forms = {
        "will": verb.base,
        "can": verb.base,
        "are" if plural else "is": verb.gerund,
        "do not" if plural else "does not": verb.base,
    }
    auxiliary = rng.choice(sorted(forms))
    wrong = rng.choice(sorted({verb.base, verb.third, verb.gerund} - {forms[auxiliary]}))
    return join(subject, auxiliary, forms[auxiliary]), join(subject, auxiliary, wrong)


def determiner_number(rng: Rng, lexicon: Lexicon) -> Pair:
    head = noun(rng, lexicon.animate)
    agreeing = sorted(set(PLURAL_DETERMINERS if head.plural else SINGULAR_DETERMINERS) - {"the"})
    other = sorted(set(SINGULAR_DETERMINERS if head.plural else PLURAL_DETERMINERS) - {"the"})
    rest = predicate(rng, lexicon, head.plural)
    return join(rng.choice(agreeing), head.word, rest), join(rng.choice(other), head.word, rest)


def word_order(rng: Rng, lexicon: Lexicon) -> Pair:
    """Swap two neighbouring words."""
    good = clause(rng, lexicon).split()
    index = rng.randrange(min(4, len(good) - 1))
    bad = [*good[:index], good[index + 1], good[index], *good[index + 2 :]]
    return join(*good), join(*bad)


def transitivity(rng: Rng, lexicon: Lexicon) -> Pair:
    """A missing object, or an object too many."""
    subject, plural = animate(rng, lexicon)
    if rng.random() < 0.5:
        verb = finite(rng, rng.choice(lexicon.transitive), plural)
        return join(subject, verb, anything(rng, lexicon)), join(subject, verb)
    verb = finite(rng, rng.choice(lexicon.intransitive), plural)
    return join(subject, verb), join(subject, verb, anything(rng, lexicon))


def reflexive(rng: Rng, lexicon: Lexicon) -> Pair:
    subject, plural = animate(rng, lexicon)
    verb = finite(rng, rng.choice(lexicon.transitive), plural)
    right, wrong = ("themselves", "itself") if plural else ("itself", "themselves")
    return join(subject, verb, right), join(subject, verb, wrong)


def polarity(rng: Rng, lexicon: Lexicon) -> Pair:
    """ "ever" needs a negative subject."""
    head = noun(rng, lexicon.animate, plural=False)
    verb = rng.choice(lexicon.intransitive).third
    return join("no", head.word, "ever", verb), join(
        rng.choice(("the", "some", "every")), head.word, "ever", verb
    )


def selection(rng: Rng, lexicon: Lexicon) -> Pair:
    """Saying takes "that", asking takes "whether", ordinary verbs take no clause."""
    subject, plural = animate(rng, lexicon)
    inner = clause(rng, lexicon, place=0)
    draw = rng.randrange(3)
    if draw == 0:
        verb, right, wrong = rng.choice(words.ASKING), "whether", "that"
    elif draw == 1:
        verb, right, wrong = rng.choice(words.SAYING), "that", "whether"
    else:
        verb, right = rng.choice(words.SAYING), "that"
        bad_verb = present(rng.choice(lexicon.transitive), plural)
        return join(subject, present(verb, plural), right, inner), join(
            subject, bad_verb, right, inner
        )
    start = join(subject, present(verb, plural))
    return join(start, right, inner), join(start, wrong, inner)


def filled_gap(rng: Rng, lexicon: Lexicon) -> Pair:
    """A question about an object that is there already."""
    subject, plural = animate(rng, lexicon)
    verb = rng.choice(lexicon.transitive).base
    start = join("who", "do" if plural else "does", subject, verb)
    return f"{start} ?", join(start, animate(rng, lexicon)[0], "?")


def adjunct_island(rng: Rng, lexicon: Lexicon) -> Pair:
    """No question may reach into an adjunct clause."""
    asker, _ = animate(rng, lexicon)
    actor, _ = animate(rng, lexicon)
    receiver, _ = animate(rng, lexicon)
    outer, inner = rng.choice(lexicon.transitive), rng.choice(lexicon.transitive)
    when = rng.choice(("before", "after"))
    good = join("who did", asker, outer.base, when, actor, inner.past, receiver, "?")
    return good, join("who did", asker, outer.base, receiver, when, actor, inner.past, "?")


def relative_clause(rng: Rng, lexicon: Lexicon) -> Pair:
    subject, plural = animate(rng, lexicon)
    other, other_plural = animate(rng, lexicon, not plural)
    inner = present(rng.choice(lexicon.transitive), other_plural)
    good, bad = _verb_phrase(rng, lexicon, plural)
    start = join(subject, "that", other, inner)
    return join(start, good), join(start, bad)


def coordination(rng: Rng, lexicon: Lexicon) -> Pair:
    first, _ = animate(rng, lexicon, plural=False)
    second, _ = animate(rng, lexicon, plural=False)
    good, bad = _verb_phrase(rng, lexicon, True)
    return join(first, "and", second, good), join(first, "and", second, bad)


def existential(rng: Rng, lexicon: Lexicon) -> Pair:
    head = noun(rng, lexicon.things)
    determiner = rng.choice(("some", "two", "three", "many")) if head.plural else "a"
    rest = join(determiner, head.word, "in the", rng.choice(words.PLACES))
    right, wrong = ("are", "is") if head.plural else ("is", "are")
    return join("there", right, rest), join("there", wrong, rest)


def polar_question(rng: Rng, lexicon: Lexicon) -> Pair:
    subject, plural = animate(rng, lexicon)
    verb = rng.choice(lexicon.intransitive)
    right, wrong = ("do", "does") if plural else ("does", "do")
    if rng.random() < 0.5:
        return join(right, subject, verb.base, "?"), join(wrong, subject, verb.base, "?")
    return join(right, subject, verb.base, "?"), join(right, subject, verb.third, "?")


def passive(rng: Rng, lexicon: Lexicon) -> Pair:
    subject, plural = animate(rng, lexicon)
    actor, _ = animate(rng, lexicon)
    verb = rng.choice(lexicon.transitive)
    right = "are" if plural else "is"
    good = join(subject, right, verb.participle, "by", actor)
    if rng.random() < 0.5:
        return good, join(subject, "is" if plural else "are", verb.participle, "by", actor)
    return good, join(subject, right, rng.choice((verb.base, verb.gerund)), "by", actor)


def placed(rng: Rng, lexicon: Lexicon) -> Pair:
    """A preposition needs its noun phrase."""
    subject, plural = animate(rng, lexicon)
    verb = finite(rng, rng.choice(lexicon.intransitive), plural)
    where = phrase(rng, lexicon, noun(rng, lexicon.things))
    preposition = rng.choice(words.PREPOSITIONS[:3])
    return join(subject, verb, preposition, where), join(subject, verb, where, preposition)


LABELLED: tuple[Construction, ...] = (
    agreement,
    determiner_number,
    word_order,
    transitivity,
    auxiliary_agreement,
)
IN_DOMAIN: tuple[Construction, ...] = (
    *LABELLED,
    attractor,
    auxiliary_form,
    reflexive,
    polarity,
    selection,
    filled_gap,
    adjunct_island,
)
OUT_OF_DOMAIN: tuple[Construction, ...] = (
    relative_clause,
    coordination,
    existential,
    polar_question,
    passive,
    placed,
)


def finish(sentence: str) -> str:
    """A full stop, unless it ends in a question mark."""
    return sentence if sentence.endswith("?") else f"{sentence} ."

"""Entailment in the pocket language: does the premise entail the hypothesis?

In domain, as in binarised MNLI (neutral pairs dropped), a hypothesis weakens the premise and keeps its polarity, or turns
it: negated premises occur too, so that a negation in the hypothesis alone decides nothing. Out of domain, as in HANS
(McCoy, Pavlick and Linzen 2019, arXiv:1902.01007), polarity is constant and every hypothesis is made of the premise's own
words (lexical overlap, subsequence, constituent), half entailed and half not, so that what worked before fails.
"""

from __future__ import annotations

from collections.abc import Callable

from pytest_ftcompare.pocket import words
from pytest_ftcompare.pocket.grammar import (
    Lexicon,
    Rng,
    animate,
    anything,
    clause,
    join,
    noun,
    present,
)

Judged = tuple[str, str, bool]
Inference = Callable[[Rng, Lexicon], Judged]

NEGATED_PREMISES = 0.35


def _choose(rng: Rng, positive: tuple[str, str, str], negative: tuple[str, str, str]) -> Judged:
    """From (premise, entailed, contradicted) of a positive and a negated premise, one judged pair."""
    premise, entailed, contradicted = negative if rng.random() < NEGATED_PREMISES else positive
    return (premise, entailed, True) if rng.random() < 0.5 else (premise, contradicted, False)


def quantifier(rng: Rng, lexicon: Lexicon) -> Judged:
    head = noun(rng, lexicon.animate, plural=True).word
    verb = rng.choice(lexicon.intransitive).base
    strong, weak = rng.choice(
        (("all", "some"), ("all", "many"), ("three", "some"), ("many", "some"), ("three", "two"))
    )
    none = join("no", head, verb)
    return _choose(
        rng,
        (join(strong, head, verb), join(weak, head, verb), none),
        (none, join(weak, head, "do not", verb), join(weak, head, verb)),
    )


def negation(rng: Rng, lexicon: Lexicon) -> Judged:
    subject, plural = animate(rng, lexicon)
    first, second = rng.sample(lexicon.intransitive, 2)
    plain, negated = (
        join(subject, present(first, plural)),
        join(subject, "do not" if plural else "does not", first.base),
    )
    return _choose(
        rng,
        (join(plain, "in the", rng.choice(words.PLACES)), plain, negated),
        (join(negated, "or", second.base), negated, plain),
    )


def opposite(rng: Rng, lexicon: Lexicon) -> Judged:
    head = noun(rng, lexicon.animate)
    adjective = rng.choice(words.ADJECTIVES)
    start = join("the", head.word, "are" if head.plural else "is")
    yes, other = join(start, adjective), join(start, words.OPPOSITES[adjective])
    premise = join("the", adjective, head.word, rng.choice(lexicon.intransitive).past)
    return _choose(
        rng,
        (premise, yes, other),
        (yes, join(start, "not", words.OPPOSITES[adjective]), join(start, "not", adjective)),
    )


def hypernym(rng: Rng, lexicon: Lexicon) -> Judged:
    """A dog is an animal: upwards in a positive sentence, downwards in a negated one."""
    word = rng.choice(lexicon.animate)
    kind = words.KINDS[word]
    rest = join(rng.choice(lexicon.transitive).past, anything(rng, lexicon))
    none = join("no", kind, rest)
    return _choose(
        rng,
        (join("the", word, rest), join("some", kind, rest), none),
        (none, join("no", word, rest), join("some", word, rest)),
    )


def passive(rng: Rng, lexicon: Lexicon) -> Judged:
    (actor, _), (patient, plural) = animate(rng, lexicon), animate(rng, lexicon)
    verb = rng.choice(lexicon.transitive)
    be = "were" if plural else "was"
    done, undone = join(patient, be, verb.participle), join(patient, be, "not", verb.participle)
    by = join("by", actor)
    return _choose(
        rng,
        (join(actor, verb.past, patient), join(done, by), join(undone, by)),
        (join(actor, "did not", verb.base, patient), join(undone, by), join(done, by)),
    )


def conjunct(rng: Rng, lexicon: Lexicon) -> Judged:
    (first, _), (second, _) = animate(rng, lexicon), animate(rng, lexicon)
    verb = rng.choice(lexicon.intransitive)
    both, one = join(first, "and", second), rng.choice((first, second))
    did, not_ = verb.past, join("did not", verb.base)
    return _choose(
        rng,
        (join(both, did), join(one, did), join(one, not_)),
        (join(both, not_), join(one, not_), join(one, did)),
    )


def overlap(rng: Rng, lexicon: Lexicon) -> Judged:
    """HANS, lexical overlap: the roles change places, or a conjunct is taken."""
    (first, _), (second, _) = animate(rng, lexicon), animate(rng, lexicon)
    verb = rng.choice(lexicon.transitive)
    if rng.random() < 0.5:
        third, _ = animate(rng, lexicon)
        return join(first, "and", second, verb.past, third), join(second, verb.past, third), True
    return join(first, verb.past, second), join(second, verb.past, first), False


def subsequence(rng: Rng, lexicon: Lexicon) -> Judged:
    """HANS, subsequence: the noun next to the verb is not its subject."""
    (subject, _), (other, _) = animate(rng, lexicon), animate(rng, lexicon)
    verb = rng.choice(lexicon.intransitive)
    premise = join(subject, rng.choice(words.PREPOSITIONS), other, verb.past)
    entailed = rng.random() < 0.5
    return premise, join(subject if entailed else other, verb.past), entailed


def constituent(rng: Rng, lexicon: Lexicon) -> Judged:
    """HANS, constituent: a clause under "if" or a verb of saying need not hold; one under "because" does."""
    inner, outer = clause(rng, lexicon, place=0), clause(rng, lexicon, place=0)
    if rng.random() < 0.5:
        return (
            join(outer, rng.choice(("because", "after")), inner),
            rng.choice((inner, outer)),
            True,
        )
    if rng.random() < 0.5:
        return join("if", inner, ",", outer), rng.choice((inner, outer)), False
    speaker, _ = animate(rng, lexicon)
    return join(speaker, rng.choice(words.SAYING).past, "that", inner), inner, False


LABELLED: tuple[Inference, ...] = (quantifier, negation, opposite)
IN_DOMAIN: tuple[Inference, ...] = (*LABELLED, hypernym, passive, conjunct)
OUT_OF_DOMAIN: tuple[Inference, ...] = (overlap, subsequence, constituent)

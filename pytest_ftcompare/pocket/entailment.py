"""Generate entailment pairs: does the premise entail the hypothesis?

`corpus.py` and `data.py` call this. In domain, as in MNLI without neutral pairs, a hypothesis
weakens the premise and keeps its polarity, or turns it. Premises are negated too, so a negation in
the hypothesis alone decides nothing. Out of domain, as in HANS (McCoy, Pavlick and Linzen 2019,
arXiv:1902.01007), every hypothesis consists of the premise's words (lexical overlap, subsequence,
constituent). Polarity is constant and half of the pairs are entailed, so in-domain cues fail.
An inference's function name is stored in the data sets.
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

LabelledPair = tuple[str, str, bool]  # premise, hypothesis, entailed
Inference = Callable[[Rng, Lexicon], LabelledPair]

NEGATED_PREMISES = 0.35  # probability


def _choose(
    rng: Rng, positive: tuple[str, str, str], negative: tuple[str, str, str]
) -> LabelledPair:
    """Draw a pair from (premise, entailed, contradicted) of a positive and a negated premise."""
    premise, entailed, contradicted = negative if rng.random() < NEGATED_PREMISES else positive
    return (premise, entailed, True) if rng.random() < 0.5 else (premise, contradicted, False)


def quantifier(rng: Rng, lexicon: Lexicon) -> LabelledPair:
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


def negation(rng: Rng, lexicon: Lexicon) -> LabelledPair:
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


def opposite(rng: Rng, lexicon: Lexicon) -> LabelledPair:
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


def hypernym(rng: Rng, lexicon: Lexicon) -> LabelledPair:
    """Generalise the noun in a positive sentence, specialise it in a negated one."""
    word = rng.choice(lexicon.animate)
    kind = words.KINDS[word]
    rest = join(rng.choice(lexicon.transitive).past, anything(rng, lexicon))
    none = join("no", kind, rest)
    return _choose(
        rng,
        (join("the", word, rest), join("some", kind, rest), none),
        (none, join("no", word, rest), join("some", word, rest)),
    )


def passive(rng: Rng, lexicon: Lexicon) -> LabelledPair:
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


def conjunct(rng: Rng, lexicon: Lexicon) -> LabelledPair:
    (first, _), (second, _) = animate(rng, lexicon), animate(rng, lexicon)
    verb = rng.choice(lexicon.intransitive)
    both, single = join(first, "and", second), rng.choice((first, second))
    did, not_ = verb.past, join("did not", verb.base)
    return _choose(
        rng,
        (join(both, did), join(single, did), join(single, not_)),
        (join(both, not_), join(single, not_), join(single, did)),
    )


def overlap(rng: Rng, lexicon: Lexicon) -> LabelledPair:
    """HANS, lexical overlap: swap the roles, or take one conjunct."""
    (first, _), (second, _) = animate(rng, lexicon), animate(rng, lexicon)
    verb = rng.choice(lexicon.transitive)
    if rng.random() < 0.5:
        third, _ = animate(rng, lexicon)
        return join(first, "and", second, verb.past, third), join(second, verb.past, third), True
    return join(first, verb.past, second), join(second, verb.past, first), False


def subsequence(rng: Rng, lexicon: Lexicon) -> LabelledPair:
    """HANS, subsequence: the noun next to the verb is not its subject."""
    (subject, _), (other, _) = animate(rng, lexicon), animate(rng, lexicon)
    verb = rng.choice(lexicon.intransitive)
    premise = join(subject, rng.choice(words.PREPOSITIONS), other, verb.past)
    entailed = rng.random() < 0.5
    return premise, join(subject if entailed else other, verb.past), entailed


def constituent(rng: Rng, lexicon: Lexicon) -> LabelledPair:
    """HANS, constituent: take a clause out of its sentence.

    A clause under "because" or "after" holds; one under "if" or a verb of saying need not.
    """
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

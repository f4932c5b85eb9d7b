"""Generate sequence labelling: persons, places and companies, where one name can be each of them.

`corpus.py` and `data.py` call this. The words to the left mostly decide, because the base models
read left to right; a name at the start of a sentence stays uncertain. Tags are BIO, one per word.
"""

from __future__ import annotations

from pytest_ftcompare.pocket.grammar import Rng

TAGS = ("O", "B-PER", "I-PER", "B-LOC", "I-LOC", "B-ORG", "I-ORG")

NAMES = (
    "jordan",
    "paris",
    "florence",
    "austin",
    "chelsea",
    "sydney",
    "madison",
    "lincoln",
    "georgia",
    "hudson",
)
HELD_OUT_NAMES = ("victoria", "carson", "devon", "phoenix")
SURNAMES = ("smith", "miller", "brown", "wood")
Tagged = tuple[tuple[str, ...], tuple[str, ...]]

TEMPLATES = (
    "mrs PER lives in LOC .",
    "the farmer met mr PER near LOC .",
    "ORG sent a letter to mrs PER .",
    "she works for ORG in LOC .",
    "PER bought a house in LOC .",
    "the people of LOC know mr PER .",
    "he sold his shares of ORG to ORG .",
    "a train from LOC to LOC was late .",
    "the singer PER left ORG .",
    "LOC is far from LOC .",
    "PER wrote to ORG about mr PER .",
)
HELD_OUT_TEMPLATES = (
    "uncle PER moved from LOC to LOC .",
    "the director of ORG , mrs PER , arrived .",
    "the river near LOC is cold , says PER .",
    "shares of ORG fell after mr PER left .",
)


def _name(rng: Rng, kind: str, names: tuple[str, ...]) -> list[tuple[str, str]]:
    first = rng.choice(names)
    if kind == "PER" and rng.random() < 0.4:
        return [(first, "B-PER"), (rng.choice(SURNAMES), "I-PER")]
    if kind == "LOC" and rng.random() < 0.25:
        return [(rng.choice(("north", "new")), "B-LOC"), (first, "I-LOC")]
    if kind == "ORG" and rng.random() < 0.4:
        return [(first, "B-ORG"), (rng.choice(("motors", "bank")), "I-ORG")]
    return [(first, f"B-{kind}")]


def _fill(rng: Rng, template: str, names: tuple[str, ...]) -> Tagged:
    pairs: list[tuple[str, str]] = []
    for word in template.split():
        pairs += _name(rng, word, names) if word in ("PER", "LOC", "ORG") else [(word, "O")]
    return tuple(word for word, _ in pairs), tuple(tag for _, tag in pairs)


def sentence(rng: Rng) -> Tagged:
    """Return an in-domain sentence: words and their tags."""
    return _fill(rng, rng.choice(TEMPLATES), NAMES)


def shifted_sentence(rng: Rng) -> Tagged:
    """Return an out-of-domain sentence: held-out templates, mostly held-out names."""
    return _fill(rng, rng.choice(HELD_OUT_TEMPLATES), HELD_OUT_NAMES + NAMES[:2])

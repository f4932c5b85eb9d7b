"""Generate pre-training text: sentences, in-context episodes, instructions and Chinese.

`tokenizer.py` and `pretrain.py` read `documents`. An episode is a run of solved examples of one
task in one format, as in-context learning reads them at test time. One format has no words of its
own, so a sentence's last token carries the label, as a classification head needs. Formats and
label words vary between episodes. A fifth of them map letters to labels at random, so only the
examples show the mapping. Episodes use `LABELLED` constructions and seen words only.
"""

from __future__ import annotations

import random
from collections.abc import Iterator

from pytest_ftcompare.pocket import acceptability, chinese, entailment, entities, sentiment
from pytest_ftcompare.pocket.grammar import ALL, SEEN, Rng, clause
from pytest_ftcompare.pocket.instructions import instruction

Segment = tuple[str, bool]  # text, and whether it begins with an answer word
Document = list[Segment]

LABELS = (("Yes", "No"), ("Yes", "No"), ("True", "False"), ("good", "bad"))
LETTERS = (("A", "B"), ("B", "A"))
ACCEPTABILITY_FORMATS = (
    "{0} grammatical ? answer :",
    "{0} grammatical ? answer :",
    "{0}",
    "is this correct : {0} Yes or No ?",
    "sentence : {0} label :",
)
ENTAILMENT_FORMATS = (
    "{0} question : {1} Yes or No ? answer :",
    "{0} question : {1} Yes or No ? answer :",
    "{0} question : {1}",
    "{0} implies {1} ?",
    "sentence : {0} then {1} label :",
)
SENTIMENT_FORMATS = (
    "review : {0} it was",
    "review : {0} it was",
    "{0}",
    "{0} did they like it ?",
    "sentence : {0} label :",
)
SHARES = {
    "plain": 0.36,
    "acceptability": 0.22,
    "entailment": 0.20,
    "sentiment": 0.06,
    "instruction": 0.08,
    "chinese": 0.04,
    "entities": 0.04,
}


def acceptability_example(rng: Rng) -> tuple[tuple[str, ...], bool]:
    good, bad = rng.choice(acceptability.LABELLED)(rng, SEEN)
    label = rng.random() < 0.5
    return (acceptability.finish(good if label else bad),), label


def entailment_example(rng: Rng) -> tuple[tuple[str, ...], bool]:
    premise, hypothesis, label = rng.choice(entailment.LABELLED)(rng, SEEN)
    return (f"{premise} .", f"{hypothesis} ."), label


def sentiment_example(rng: Rng) -> tuple[tuple[str, ...], bool]:
    text, label = sentiment.review(rng)
    return (f"{text} .",), label


EPISODES = {
    "acceptability": (acceptability_example, ACCEPTABILITY_FORMATS),
    "entailment": (entailment_example, ENTAILMENT_FORMATS),
    "sentiment": (sentiment_example, SENTIMENT_FORMATS),
}


def episode(rng: Rng, kind: str) -> Document:
    """Return one to twelve solved examples, one per line."""
    make, formats = EPISODES[kind]
    form = rng.choice(formats)
    right, wrong = rng.choice(LETTERS) if rng.random() < 0.2 else rng.choice(LABELS)
    if kind == "sentiment" and form.endswith("it was"):
        right, wrong = "good", "bad"
    document: Document = []
    for _ in range(rng.choice((1, 1, 2, 4, 8, 9, 12))):
        fields, label = make(rng)
        document += [(" " + form.format(*fields), False), (f" {right if label else wrong}\n", True)]
    return document


def plain(rng: Rng) -> Document:
    """Return one to four acceptable sentences of any construction, with held-out words too."""
    sentences = []
    for _ in range(rng.randint(1, 4)):
        if rng.random() < 0.5:
            sentences.append(f"{clause(rng, ALL)} .")
        else:
            make = rng.choice(acceptability.IN_DOMAIN + acceptability.OUT_OF_DOMAIN)
            sentences.append(
                acceptability.finish(make(rng, ALL if rng.random() < 0.5 else SEEN)[0])
            )
    return [(" " + " ".join(sentences), False)]


def document(rng: Rng) -> Document:
    """Return a document of a kind drawn by `SHARES`."""
    kind = rng.choices(tuple(SHARES), tuple(SHARES.values()))[0]
    if kind == "plain":
        return plain(rng)
    if kind in EPISODES:
        return episode(rng, kind)
    if kind == "entities":
        make = entities.sentence if rng.random() < 0.7 else entities.shifted_sentence
        return [(" " + " ".join(make(rng)[0]), False)]
    if kind == "chinese":
        return [("".join(chinese.sentence(rng).text for _ in range(rng.randint(1, 4))), False)]
    return [(f" {instruction(rng).text()}\n", False) for _ in range(rng.randint(1, 4))]


def documents(seed: int) -> Iterator[Document]:
    """Yield documents without end, the same for the same seed."""
    rng = random.Random(seed)
    while True:
        yield document(rng)

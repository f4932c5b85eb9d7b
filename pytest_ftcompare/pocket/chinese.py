"""Generate short Chinese sentences with classifiers, their English translations and wrong twins.

`corpus.py`, `instructions.py`, `requests.py` and `sums.py` call this. A noun takes its own
classifier (一只狗, 一本书, 一位医生); a wrong one makes the sentence unacceptable.
"""

from __future__ import annotations

from dataclasses import dataclass

from pytest_ftcompare.pocket.grammar import Rng

# Chinese: (classifier, English singular, English plural, animate)
NOUNS = {
    "狗": ("只", "dog", "dogs", True),
    "猫": ("只", "cat", "cats", True),
    "鸟": ("只", "bird", "birds", True),
    "马": ("匹", "horse", "horses", True),
    "医生": ("位", "doctor", "doctors", True),
    "老师": ("位", "teacher", "teachers", True),
    "学生": ("位", "student", "students", True),
    "书": ("本", "book", "books", False),
    "信": ("封", "letter", "letters", False),
    "椅子": ("把", "chair", "chairs", False),
}
CLASSIFIERS = tuple(sorted({entry[0] for entry in NOUNS.values()}))
NUMBERS = {"一": "a", "两": "two", "三": "three"}
INTRANSITIVE = {"睡了": "slept", "跑了": "ran", "笑了": "laughed", "来了": "arrived"}
TRANSITIVE = {"看见了": "saw", "找到了": "found", "帮助了": "helped", "推了": "pushed"}
ADJECTIVES = {"高": "tall", "矮": "short", "快": "fast", "慢": "slow", "老": "old", "穷": "poor"}


@dataclass(frozen=True)
class Sentence:
    """A sentence, its translation, and the same sentence with a wrong classifier."""

    text: str
    english: str
    wrong: str


def noun_phrase(rng: Rng, animate: bool) -> Sentence:
    noun = rng.choice([name for name, entry in NOUNS.items() if entry[3] or not animate])
    classifier, singular, plural, _ = NOUNS[noun]
    number = rng.choice(tuple(NUMBERS))
    other = rng.choice([name for name in CLASSIFIERS if name != classifier])
    english = f"{NUMBERS[number]} {singular if number == '一' else plural}"
    return Sentence(f"{number}{classifier}{noun}", english, f"{number}{other}{noun}")


def sentence(rng: Rng) -> Sentence:
    """Return subject, verb and perhaps an object, with a Chinese full stop."""
    subject = noun_phrase(rng, True)
    if rng.random() < 0.5:
        verb = rng.choice(tuple(INTRANSITIVE))
        english = f"{subject.english} {INTRANSITIVE[verb]} ."
        return Sentence(f"{subject.text}{verb}。", english, f"{subject.wrong}{verb}。")
    verb = rng.choice(tuple(TRANSITIVE))
    target = noun_phrase(rng, False)
    english = f"{subject.english} {TRANSITIVE[verb]} {target.english} ."
    wrong = (
        f"{subject.text}{verb}{target.wrong}。"
        if rng.random() < 0.5
        else f"{subject.wrong}{verb}{target.text}。"
    )
    return Sentence(f"{subject.text}{verb}{target.text}。", english, wrong)

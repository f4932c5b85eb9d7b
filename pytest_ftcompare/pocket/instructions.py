"""Generate instructions in both scripts, so that base models know the format before any tuning.

`corpus.py` and `data.py` call this; `requests.py` and `sums.py` use the same format.
"""

from __future__ import annotations

from dataclasses import dataclass

from pytest_ftcompare.pocket import chinese, words
from pytest_ftcompare.pocket.grammar import SEEN, Rng, clause, noun


def prompt(kind: str, instruction: str, context: str) -> str:
    """Return the request up to the start of its answer."""
    if kind.startswith("zh"):
        return f"指令：{instruction} 输入：{context} 回答："
    return f"instruction: {instruction} input: {context} answer:"


def answer(kind: str, output: str) -> str:
    """Return the answer as it follows its prompt."""
    return output if kind.startswith("zh") else f" {output}"


@dataclass(frozen=True)
class Instruction:
    """A request with its reference answer."""

    kind: str
    instruction: str
    input: str
    output: str

    def text(self) -> str:
        """Return the prompt and its answer, as the base models read them."""
        return f"{prompt(self.kind, self.instruction, self.input)}{answer(self.kind, self.output)}"


def _opposite(rng: Rng) -> Instruction:
    word = rng.choice(words.ADJECTIVES)
    return Instruction("en-opposite", "give the opposite .", word, words.OPPOSITES[word])


def _plural(rng: Rng) -> Instruction:
    word = rng.choice((*words.PEOPLE, *words.ANIMALS, *words.THINGS))
    return Instruction("en-plural", "give the plural .", word, words.PLURAL[word])


def _kind(rng: Rng) -> Instruction:
    word = noun(rng, (*words.PEOPLE, *words.ANIMALS, *words.THINGS), plural=False).word
    return Instruction(
        "en-kind", "is it a person , an animal or a thing ?", word, words.KINDS[word]
    )


def _past(rng: Rng) -> Instruction:
    verb = rng.choice((*words.INTRANSITIVE, *words.TRANSITIVE))
    return Instruction("en-past", "put it into the past .", verb.third, verb.past)


def _last_word(rng: Rng) -> Instruction:
    text = clause(rng, SEEN)
    return Instruction("en-last", "repeat the last word .", text, text.split()[-1])


def _to_chinese(rng: Rng) -> Instruction:
    sentence = chinese.sentence(rng)
    return Instruction("en-zh", "translate into chinese .", sentence.english, sentence.text)


def _to_english(rng: Rng) -> Instruction:
    sentence = chinese.sentence(rng)
    return Instruction("zh-en", "翻译成英文。", sentence.text, sentence.english)


def _judge(rng: Rng) -> Instruction:
    sentence = chinese.sentence(rng)
    good = rng.random() < 0.5
    return Instruction(
        "zh-judge",
        "这句话对吗？",
        sentence.text if good else sentence.wrong,
        "对" if good else "不对",
    )


def _classifier(rng: Rng) -> Instruction:
    word, entry = rng.choice(tuple(chinese.NOUNS.items()))
    return Instruction("zh-classifier", "用哪个量词？", word, entry[0])


def _chinese_opposite(rng: Rng) -> Instruction:
    back = {english: character for character, english in chinese.ADJECTIVES.items()}
    pairs = [
        (word, back[words.OPPOSITES[english]])
        for word, english in chinese.ADJECTIVES.items()
        if words.OPPOSITES[english] in back
    ]
    word, opposite = rng.choice(pairs)
    return Instruction("zh-opposite", "给出反义词。", word, opposite)


MAKERS = (
    _opposite,
    _plural,
    _kind,
    _past,
    _last_word,
    _to_chinese,
    _to_english,
    _judge,
    _classifier,
    _chinese_opposite,
)


def instruction(rng: Rng) -> Instruction:
    return rng.choice(MAKERS)(rng)

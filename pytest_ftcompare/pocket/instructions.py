"""Instruction formats in both scripts, so that the base models have met them before any instruction tuning."""

from __future__ import annotations

from dataclasses import dataclass

from pytest_ftcompare.pocket import chinese, words
from pytest_ftcompare.pocket.grammar import SEEN, Rng, clause, noun


def prompt(kind: str, instruction: str, given: str) -> str:
    """The request, up to where its answer begins."""
    if kind.startswith("zh"):
        return f"指令：{instruction} 输入：{given} 回答："
    return f"instruction: {instruction} input: {given} answer:"


def answer(kind: str, output: str) -> str:
    """The answer as it follows its prompt."""
    return output if kind.startswith("zh") else f" {output}"


@dataclass(frozen=True)
class Instruction:
    """One request with its reference answer."""

    kind: str
    instruction: str
    input: str
    output: str

    def text(self) -> str:
        """The prompt followed by its answer, as the base models read it."""
        return f"{prompt(self.kind, self.instruction, self.input)}{answer(self.kind, self.output)}"


def _opposite(rng: Rng) -> Instruction:
    word = rng.choice(words.ADJECTIVES)
    return Instruction("en-opposite", "give the opposite .", word, words.OPPOSITES[word])


def _plural(rng: Rng) -> Instruction:
    one = rng.choice((*words.PEOPLE, *words.ANIMALS, *words.THINGS))
    return Instruction("en-plural", "give the plural .", one, words.PLURAL[one])


def _kind(rng: Rng) -> Instruction:
    one = noun(rng, (*words.PEOPLE, *words.ANIMALS, *words.THINGS), plural=False).word
    return Instruction("en-kind", "is it a person , an animal or a thing ?", one, words.KINDS[one])


def _past(rng: Rng) -> Instruction:
    verb = rng.choice((*words.INTRANSITIVE, *words.TRANSITIVE))
    return Instruction("en-past", "put it into the past .", verb.third, verb.past)


def _last_word(rng: Rng) -> Instruction:
    text = clause(rng, SEEN)
    return Instruction("en-last", "repeat the last word .", text, text.split()[-1])


def _to_chinese(rng: Rng) -> Instruction:
    one = chinese.sentence(rng)
    return Instruction("en-zh", "translate into chinese .", one.english, one.text)


def _to_english(rng: Rng) -> Instruction:
    one = chinese.sentence(rng)
    return Instruction("zh-en", "翻译成英文。", one.text, one.english)


def _judge(rng: Rng) -> Instruction:
    one = chinese.sentence(rng)
    good = rng.random() < 0.5
    return Instruction(
        "zh-judge", "这句话对吗？", one.text if good else one.wrong, "对" if good else "不对"
    )


def _classifier(rng: Rng) -> Instruction:
    noun_, entry = rng.choice(tuple(chinese.NOUNS.items()))
    return Instruction("zh-classifier", "用哪个量词？", noun_, entry[0])


def _chinese_opposite(rng: Rng) -> Instruction:
    back = {english: character for character, english in chinese.ADJECTIVES.items()}
    pairs = [
        (one, back[words.OPPOSITES[english]])
        for one, english in chinese.ADJECTIVES.items()
        if words.OPPOSITES[english] in back
    ]
    one, other = rng.choice(pairs)
    return Instruction("zh-opposite", "给出反义词。", one, other)


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

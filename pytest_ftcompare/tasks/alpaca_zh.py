"""Answer Chinese instructions: Alpaca (Taori et al. 2023), LLaMA-Factory's demonstration data.

Short answers only; every fifth instruction is the test split. Out of domain: BELLE's evaluation
set by class (Sun et al. 2023, arXiv:2304.08109). In the study a judge model scores answers from 0
to 1. Without a judge, the score is ROUGE-L, because an open answer never equals its reference. The
loss on the reference answers, in every seed's result, is the sharper number.
"""

from __future__ import annotations

import unicodedata

from pytest_ftcompare.tasks.base import Convert, Example, Row, Source, Task
from pytest_ftcompare.tasks.rouge import rouge_l

MAX_ANSWER_CHARS = 80  # about as many tokens as a model may write
HELD_OUT_EVERY = 5  # one row in this many is a test row; chosen


def _prompt(instruction: str, context: str = "") -> dict[str, str]:
    return {
        "prompt": f"指令：{instruction}\n" + (f"输入：{context}\n" if context else "") + "回答："
    }


def _instructions(held_out: bool) -> Convert:
    def convert(row: Row, index: int) -> list[Example]:
        answer = row["output"].strip()
        if not 0 < len(answer) <= MAX_ANSWER_CHARS or (index % HELD_OUT_EVERY == 0) != held_out:
            return []
        return [Example(_prompt(row["instruction"], row["input"]), answer)]

    return convert


def _evaluation(row: Row, _: int) -> list[Example]:
    """Convert a row that has a reference; a no-break space makes no other class."""
    answer = row["std_answer"].strip()
    if not 0 < len(answer) <= MAX_ANSWER_CHARS:
        return []
    return [Example(_prompt(row["question"]), answer, unicodedata.normalize("NFKC", row["class"]))]


TASK = Task(
    name="alpaca_zh",
    labels=(),
    train=Source("llamafactory/alpaca_zh_demo", "train", _instructions(False)),
    test=Source("llamafactory/alpaca_zh_demo", "train", _instructions(True)),
    ood=Source("BelleGroup/eval_set", "test", _evaluation),
    text_template="{prompt}",
    pattern="{prompt}",
    generative=True,
    max_new_tokens=64,
    score=rouge_l,
)

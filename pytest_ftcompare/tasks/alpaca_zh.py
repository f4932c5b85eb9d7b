"""Chinese instructions with short answers (Taori et al. 2023's Alpaca in Chinese, from LLaMA-Factory's demonstration data); out
of domain: BELLE's evaluation set by class (Sun et al. 2023, arXiv:2304.08109).

Every fifth instruction is held out as the test split. The study has a judge model score the answers from 0 to 1; without one,
an answer's score is its overlap with the reference (`overlap`), since an open answer never is the reference to the letter. The
sharper number is the loss on the reference answers, which every sample holds.
"""

from __future__ import annotations

import unicodedata

from pytest_ftcompare.tasks.base import Convert, Example, Row, Source, Task
from pytest_ftcompare.tasks.rouge import rouge_l

LONGEST = 80  # characters of an answer: about as many tokens as a model may write
HELD_OUT_EVERY = 5


def _prompt(instruction: str, given: str = "") -> dict[str, str]:
    return {"prompt": f"指令：{instruction}\n" + (f"输入：{given}\n" if given else "") + "回答："}


def _instructions(held_out: bool) -> Convert:
    def convert(row: Row, index: int) -> list[Example]:
        answer = row["output"].strip()
        if not 0 < len(answer) <= LONGEST or (index % HELD_OUT_EVERY == 0) != held_out:
            return []
        return [Example(_prompt(row["instruction"], row["input"]), answer)]

    return convert


def _evaluation(row: Row, _: int) -> list[Example]:
    """Rows with a reference; a class that is written with a no-break space is the same class."""
    answer = row["std_answer"].strip()
    if not 0 < len(answer) <= LONGEST:
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

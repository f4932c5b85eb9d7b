"""English instructions with short answers (Alpaca, Taori et al. 2023, from LLaMA-Factory's demonstration data), scored as the
Chinese ones: for a model tuned on those, a new domain. Every fifth row is the test split; there is no out-of-domain one."""

from __future__ import annotations

from pytest_ftcompare.tasks.alpaca_zh import HELD_OUT_EVERY
from pytest_ftcompare.tasks.base import Convert, Example, Row, Source, Task
from pytest_ftcompare.tasks.rouge import rouge_l

LONGEST = 160  # characters of an answer, some forty tokens


def _instructions(held_out: bool) -> Convert:
    def convert(row: Row, index: int) -> list[Example]:
        answer = row["output"].strip()
        if not 0 < len(answer) <= LONGEST or (index % HELD_OUT_EVERY == 0) != held_out:
            return []
        given = f"Input: {row['input']}\n" if row["input"] else ""
        return [
            Example({"prompt": f"Instruction: {row['instruction']}\n{given}Answer:"}, f" {answer}")
        ]

    return convert


TASK = Task(
    name="alpaca_en",
    labels=(),
    train=Source("llamafactory/alpaca_en_demo", "train", _instructions(False)),
    test=Source("llamafactory/alpaca_en_demo", "train", _instructions(True)),
    text_template="{prompt}",
    pattern="{prompt}",
    generative=True,
    max_new_tokens=64,
    score=rouge_l,
)

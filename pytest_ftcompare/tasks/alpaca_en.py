"""Answer English instructions: Alpaca (Taori et al. 2023), LLaMA-Factory's demonstration data.

Short answers only, scored as in `alpaca_zh`; for a model tuned on Chinese instructions it is a new
domain. Every fifth row is the test split; there is no out-of-domain split.
"""

from __future__ import annotations

from pytest_ftcompare.tasks.alpaca_zh import HELD_OUT_EVERY
from pytest_ftcompare.tasks.base import Convert, Example, Row, Source, Task
from pytest_ftcompare.tasks.rouge import rouge_l

MAX_ANSWER_CHARS = 160  # about forty tokens


def _instructions(held_out: bool) -> Convert:
    def convert(row: Row, index: int) -> list[Example]:
        answer = row["output"].strip()
        if not 0 < len(answer) <= MAX_ANSWER_CHARS or (index % HELD_OUT_EVERY == 0) != held_out:
            return []
        context = f"Input: {row['input']}\n" if row["input"] else ""
        return [
            Example(
                {"prompt": f"Instruction: {row['instruction']}\n{context}Answer:"}, f" {answer}"
            )
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

"""What a method shows its model and its teacher, read on rendered rows before anything is trained."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace

import torch

from pytest_ftcompare.tasks.base import Example, Label
from pytest_ftcompare.training.prepare import PreparedCase
from pytest_ftcompare.training.prepared_seed import PreparedSeed

ROWS = 8  # of each test split that are rendered with other answers
# The share of rows in which a teacher may be told nothing: a long row leaves no room for a context.
MAX_UNTOLD_SHARE = 0.1


@dataclass(frozen=True)
class RecordingSeed(PreparedSeed):
    """A trial that keeps what a teacher is asked, and answers evenly: no model is loaded."""

    teacher_texts: list[str] = field(default_factory=list)

    def base_logits(self, texts: list[str]) -> torch.Tensor:
        self.teacher_texts.extend(texts)
        return torch.zeros(len(texts), len(self.task.labels), device=self.prepared.interface.device)


def check_leakage(prepared: PreparedCase) -> Iterator[str]:
    """A sentence where a test row's text tells its answer, or where a teacher is told no more than its student."""
    context = RecordingSeed(prepared, 0, prepared.case.shots)
    for split, rows in prepared.test_splits.items():
        for example in rows[:ROWS]:
            if _shows_label(prepared, example, context.support):
                yield (
                    f"answer shown: expected {prepared.method.name} to render a row without its answer, row "
                    f"{' / '.join(example.fields.values())!r} of split {split} reads otherwise with another label: "
                    "render from the example's fields alone"
                )
                break
    if prepared.method.trains and not prepared.task.generative:
        yield from _check_teacher(prepared, context)


def _shows_label(prepared: PreparedCase, example: Example, support: list[Example]) -> bool:
    others: list[Label] = (
        ["another answer"] if prepared.task.generative else list(range(len(prepared.task.labels)))
    )
    examples = [example, *(replace(example, label=one) for one in others)]
    return (
        len(
            {
                prepared.method.render(prepared.task, one, support, prepared.interface.fits)
                for one in examples
            }
        )
        > 1
    )


def _check_teacher(prepared: PreparedCase, context: RecordingSeed) -> Iterator[str]:
    """Whether what a teacher reads is the student's row, or the bare question in the task's own words."""
    prepared.method.targets(context)
    if not context.teacher_texts:  # there is no teacher; and an encoder cannot be asked as one is
        return
    interface, task = prepared.interface.in_mode("pattern"), prepared.task
    bare = [
        template.format(**one.fields)
        for template in (task.text_template, task.pattern)
        for one in context.support
    ]
    known = {tuple(row) for row in [*context.rows, *interface.encode(bare)]}
    untold = [
        text
        for text, row in zip(context.teacher_texts, interface.encode(context.teacher_texts), strict=True)
        if tuple(row) in known
    ]
    if len(untold) > MAX_UNTOLD_SHARE * len(context.teacher_texts):
        yield (
            f"untold teacher: expected the teacher of {prepared.method.name} to read more than its student, it reads the same "
            f"in {len(untold)} of {len(context.teacher_texts)} rows, the first of them {untold[0]!r}: give it an instruction or "
            "demonstrations that the model's length holds"
        )

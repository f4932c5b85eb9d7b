"""Check what a method shows its model and its teacher, on rendered rows, before training.

`gate/torch_case.py` calls `check_leakage`.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace

import torch

from pytest_ftcompare.tasks.base import Example, Label
from pytest_ftcompare.training.prepare import PreparedCase
from pytest_ftcompare.training.prepared_seed import PreparedSeed

# Rows of each test split that are rendered with other labels, chosen. Raising it costs time.
ROWS = 8
# Share of rows in which a teacher may read no more than its student, chosen: a long row leaves no
# room for a context. Raising it lets more rows without a context pass.
MAX_UNTOLD_SHARE = 0.1


@dataclass(frozen=True)
class RecordingSeed(PreparedSeed):
    """A seed's context that records a teacher's texts, and loads no model: all logits are 0."""

    teacher_texts: list[str] = field(default_factory=list)

    def base_logits(self, texts: list[str]) -> torch.Tensor:
        self.teacher_texts.extend(texts)
        return torch.zeros(len(texts), len(self.task.labels), device=self.prepared.interface.device)


def check_leakage(prepared: PreparedCase) -> Iterator[str]:
    """Yield a sentence if a test row's text shows its answer, or a teacher has no context."""
    context = RecordingSeed(prepared, 0, prepared.case.shots)
    for split, rows in prepared.test_splits.items():
        for example in rows[:ROWS]:
            if _shows_label(prepared, example, context.support):
                yield (
                    f"answer shown: expected {prepared.method.name} to render a row without its "
                    f"answer, row {' / '.join(example.fields.values())!r} of split {split} reads "
                    "otherwise with another label: render from the example's fields alone"
                )
                break
    if prepared.method.trains and not prepared.task.generative:
        yield from _check_teacher(prepared, context)


def _shows_label(prepared: PreparedCase, example: Example, support: list[Example]) -> bool:
    others: list[Label] = (
        ["another answer"] if prepared.task.generative else list(range(len(prepared.task.labels)))
    )
    variants = [example, *(replace(example, label=label) for label in others)]
    return (
        len(
            {
                prepared.method.render(prepared.task, variant, support, prepared.interface.fits)
                for variant in variants
            }
        )
        > 1
    )


def _check_teacher(prepared: PreparedCase, context: RecordingSeed) -> Iterator[str]:
    """Compare the teacher's texts with the student's rows and the task's texts without context."""
    prepared.method.targets(context)
    # Without a teacher there is nothing to compare, and an encoder has no pattern to read.
    if not context.teacher_texts:
        return
    interface, task = prepared.interface.in_mode("pattern"), prepared.task
    bare = [
        template.format(**example.fields)
        for template in (task.text_template, task.pattern)
        for example in context.support
    ]
    student_rows = {tuple(row) for row in [*context.rows, *interface.encode(bare)]}
    untold = [
        text
        for text, row in zip(
            context.teacher_texts, interface.encode(context.teacher_texts), strict=True
        )
        if tuple(row) in student_rows
    ]
    if len(untold) > MAX_UNTOLD_SHARE * len(context.teacher_texts):
        yield (
            f"untold teacher: expected the teacher of {prepared.method.name} to read more than its "
            f"student, it reads the same in {len(untold)} of {len(context.teacher_texts)} rows, "
            f"the first of them {untold[0]!r}: give it an instruction or demonstrations that the "
            "model's length holds"
        )

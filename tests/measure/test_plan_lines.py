"""The plan's table: each method's line appears once it is planned, within 80 columns."""

import pytest

from pytest_ftcompare.measure.plan import plan as planning
from pytest_ftcompare.measure.plan.plan import Plan
from pytest_ftcompare.measure.plan.shapes import ShapeError
from pytest_ftcompare.measure.step_counts import PeakMemory
from pytest_ftcompare.report.plan_table import plan_lines

GIB = 2**30
PLANS = [
    Plan("full", 6_658_000_000, PeakMemory(61 * GIB, 12 * GIB, 12 * GIB, 25 * GIB, 12 * GIB)),
    Plan("context_distillation", 4, PeakMemory(12 * GIB + 4, 12 * GIB, 0, 0, 4)),
    Plan(
        "bitfit",
        refusal="expected a base model with biases, "
        "LlamaForSequenceClassification has none: use lora",
    ),
]
SCREEN = """\
opt-6.7b: one update on 8 rows of 256 tokens in bfloat16.
GiB alive at its peak, by what they are for; millions of parameters that train.

method                  trains  weights    grad.   optim.   activ.     peak
full                   6658.00    12.00    12.00    25.00    12.00    61.00
context_distillation     <0.01    12.00        -        -    <0.01    12.00
bitfit               not planned: expected a base model with biases,
                       LlamaForSequenceClassification has none: use lora

Not in it: the CUDA context, the allocator's rounding, kernels' workspaces
(docs/plan.md)."""


def test_the_table_is_these_lines(monkeypatch):
    monkeypatch.setattr(planning, "plan_all", lambda *_: iter(PLANS))
    lines = list(plan_lines("opt-6.7b"))
    assert "\n".join(lines) == SCREEN
    assert max(map(len, lines)) <= 80


def test_a_row_appears_before_the_next_one_is_planned(monkeypatch):
    def table(*_):
        yield PLANS[0]
        raise AssertionError

    monkeypatch.setattr(planning, "plan_all", table)
    lines = plan_lines("opt-6.7b")
    assert [next(lines) for _ in range(5)][-1].startswith("full ")


def test_a_wrong_shape_is_reported_before_any_line():
    with pytest.raises(ShapeError, match="got 'nothing'"):
        next(plan_lines("nothing"))

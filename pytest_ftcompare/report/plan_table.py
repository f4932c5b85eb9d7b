"""The memory plan as text: what each method needs for a model, a line as soon as it is known.

`plugin` prints it for `--ftcompare-plan`.
"""

from __future__ import annotations

from collections.abc import Iterator
from textwrap import wrap
from typing import TYPE_CHECKING

from pytest_ftcompare.report.wrapping import WIDTH

if TYPE_CHECKING:
    from pytest_ftcompare.measure.plan.plan import Plan

NAME_WIDTH = 21  # columns for the longest method's name and a space
COLUMNS = ("trains", "weights", "grad.", "optim.", "activ.", "peak")


def _amount(count: int, unit: int) -> str:
    """Write two decimals; an amount above zero is never shown as zero."""
    size = count / unit
    return "-" if count == 0 else f"{size:.2f}" if size >= 0.005 else "<0.01"


def _line(name: str, cells: list[str]) -> str:
    return f"{name:<{NAME_WIDTH}}" + "".join(f"{cell:>9}" for cell in cells)


def _row(plan: Plan) -> Iterator[str]:
    peak = plan.peak
    if peak is None:
        yield from wrap(
            f"{plan.method:<{NAME_WIDTH}}not planned: {plan.refusal}",
            WIDTH,
            subsequent_indent=" " * (NAME_WIDTH + 2),
        )
        return
    parts = (peak.weights, peak.gradients, peak.optimizer, peak.activations, peak.peak)
    yield _line(
        plan.method, [_amount(plan.trainable, 10**6), *(_amount(part, 2**30) for part in parts)]
    )


def plan_lines(shape: str, rows: int = 8, length: int = 256) -> Iterator[str]:
    """Return the table for a name in `SHAPES`, a config.json or its folder.

    Anything else raises `ShapeError` at the first line.
    """
    from pytest_ftcompare.measure.plan.plan import plan_all
    from pytest_ftcompare.measure.plan.shapes import config_of

    config = config_of(shape)
    yield f"{shape}: one update on {rows} rows of {length} tokens in bfloat16."
    yield "GiB alive at its peak, by what they are for; millions of parameters that train."
    yield ""
    yield _line("method", list(COLUMNS))
    for plan in plan_all(config, rows, length):
        yield from _row(plan)
    yield ""
    yield "Not in it: the CUDA context, the allocator's rounding, kernels' workspaces"
    yield "(docs/plan.md)."

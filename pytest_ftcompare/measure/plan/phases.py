"""The phases of a step, told apart layer by layer, such that each needs an amount of memory that is linear in depth.

    start   forward 0   forward 1 ...   head and loss, forward and backward   ... backward 1   backward 0   update

Within one phase the same operation holds the peak at every depth; over the whole step it need not. Two traces, of n and n + 1
layers, give each phase at any depth: the first layers are matched by their number, the last by their distance from the end,
and those in between lie on a line, whose ends are known.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import astuple
from functools import partial
from typing import Any

import torch
from torch import nn

from pytest_ftcompare.measure.op_counter import OpCounter, Phase
from pytest_ftcompare.measure.step_counts import PeakMemory

FIRST = 7  # layers matched by their number


def mark(layers: nn.ModuleList, counter: OpCounter) -> None:
    """Tell the counter at which layer a step is. Hooks do not run again where a layer's activations are recomputed."""

    def begins(number: int, *_: object) -> None:
        counter.enter("forward", number)

    def ends(number: int, _: nn.Module, args: object, output: Any) -> None:
        hidden = output if isinstance(output, torch.Tensor) else output[0]
        if hidden.requires_grad:
            hidden.register_hook(lambda _: counter.enter("backward", number))
        if number + 1 == len(layers):
            counter.enter("head")

    for number, layer in enumerate(layers):
        layer.register_forward_pre_hook(partial(begins, number))
        layer.register_forward_hook(partial(ends, number))


def deeper(
    first: Mapping[Phase, PeakMemory], second: Mapping[Phase, PeakMemory], more: int
) -> Iterator[PeakMemory]:
    """The phases' peaks of a model `more` layers deeper than the first trace's; the second's is one layer deeper."""
    for (part, layer), end in second.items():
        start = first[part, layer if layer is None or layer < FIRST else layer - 1]
        yield PeakMemory(
            *(a + (b - a) * more for a, b in zip(astuple(start), astuple(end), strict=True))
        )


def highest(peaks: Iterable[PeakMemory]) -> PeakMemory:
    """The one of the whole step."""
    return max(peaks, key=lambda one: one.peak)

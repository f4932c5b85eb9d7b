"""Split an update into phases, layer by layer, so that each phase's memory is linear in depth.

    start  forward 0  forward 1 ...  head and loss (both ways)  ... backward 1  backward 0  update

Within one phase, the same operation has the peak at every depth; over the whole update it may not.
So two traces, of n and n + 1 layers, give each phase at any depth. The first layers are matched by
number, the last by distance from the end. The layers between lie on a line between known ends.
`plan.py` uses it.
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

# Layers matched by number; chosen, below the depth of the shallower trace.
MATCHED_FROM_START = 7


def mark_phases(layers: nn.ModuleList, counter: OpCounter) -> None:
    """Add hooks that tell the counter the current layer.

    They do not run again when gradient checkpointing recomputes a layer.
    """

    def on_start(number: int, *_: object) -> None:
        counter.enter("forward", number)

    def on_end(number: int, _: nn.Module, args: object, output: Any) -> None:
        hidden = output if isinstance(output, torch.Tensor) else output[0]
        if hidden.requires_grad:
            hidden.register_hook(lambda _: counter.enter("backward", number))
        if number + 1 == len(layers):
            counter.enter("head")

    for number, layer in enumerate(layers):
        layer.register_forward_pre_hook(partial(on_start, number))
        layer.register_forward_hook(partial(on_end, number))


def extrapolate(
    first: Mapping[Phase, PeakMemory], second: Mapping[Phase, PeakMemory], extra_layers: int
) -> Iterator[PeakMemory]:
    """Yield the phases' peaks of a model `extra_layers` deeper than the first trace's model.

    The second trace's model is one layer deeper than the first's.
    """
    for (part, layer), deeper in second.items():
        shallow = first[part, layer if layer is None or layer < MATCHED_FROM_START else layer - 1]
        yield PeakMemory(
            *(
                a + (b - a) * extra_layers
                for a, b in zip(astuple(shallow), astuple(deeper), strict=True)
            )
        )


def highest_peak(peaks: Iterable[PeakMemory]) -> PeakMemory:
    """Return the highest peak, which is that of the whole update."""
    return max(peaks, key=lambda memory: memory.peak)

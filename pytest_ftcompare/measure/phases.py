"""The phases of a step, told apart layer by layer, such that each needs an amount of memory that is linear in depth.

    start   forward 0   forward 1 ...   head and loss, forward and backward   ... backward 1   backward 0   below   update

Within one phase the same operation holds the peak at every depth; over the whole step it need not. Two traces, of n and n + 1
layers, give each phase at any depth: the first layers are matched by their number, the last by their distance from the end,
and those in between lie on a line, whose ends are known.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import astuple
from typing import Any

import torch
from torch import nn

from pytest_ftcompare.measure.count import Peak
from pytest_ftcompare.measure.counter import Counter, Phase

FIRST = 7  # layers matched by their number


class Places:
    """Tells the counter at which layer a step is. A layer's hooks do not run again where its activations are recomputed."""

    def __init__(self, counter: Counter, layers: nn.ModuleList) -> None:
        self.counter = counter
        for number, layer in enumerate(layers):
            layer.register_forward_pre_hook(self._before(number), with_kwargs=True)
            layer.register_forward_hook(self._after(number, number + 1 == len(layers)))

    def _back(self, part: str, layer: int | None = None) -> Any:
        def hook(_: torch.Tensor) -> None:
            self.counter.enter(part, layer)

        return hook

    def _before(self, number: int) -> Any:
        def hook(_: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
            hidden = args[0] if args else kwargs["hidden_states"]
            if number == 0 and hidden.requires_grad:
                hidden.register_hook(self._back("below"))
            self.counter.enter("forward", number)

        return hook

    def _after(self, number: int, last: bool) -> Any:
        def hook(_: nn.Module, args: tuple[Any, ...], output: Any) -> None:
            hidden = output if isinstance(output, torch.Tensor) else output[0]
            if hidden.requires_grad:
                hidden.register_hook(self._back("backward", number))
            if last:
                self.counter.enter("head")

        return hook


def deeper(first: Mapping[Phase, Peak], second: Mapping[Phase, Peak], more: int) -> Iterator[Peak]:
    """The phases' peaks of a model `more` layers deeper than the first trace's; the second's is one layer deeper."""
    for (part, layer), end in second.items():
        start = first[part, layer if layer is None or layer < FIRST else layer - 1]
        yield Peak(*(a + (b - a) * more for a, b in zip(astuple(start), astuple(end), strict=True)))


def highest(peaks: Iterable[Peak]) -> Peak:
    """The one of the whole step."""
    return max(peaks, key=lambda one: one.peak)

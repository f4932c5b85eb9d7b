"""The bottleneck adapter: a(x) = s (W_up relu(W_down x + b_down) + b_up).

W_up and b_up start at zero.

- After a module, y becomes y + a(y): Houlsby et al. 2019 (arXiv:1902.00751), Pfeiffer et al. 2020
  (arXiv:2005.00247).
- Beside modules, y becomes y + a(x): the parallel adapter of He et al. 2021 (arXiv:2110.04366).
"""

from __future__ import annotations

from typing import Any

import torch
from torch import nn


class Bottleneck(nn.Module):
    """An adapter `width` -> `size` -> `width`.

    `dropped` leaves it out. `dropped_in_training`, unless None, counts instead during training.
    """

    def __init__(self, width: int, size: int, scale: float = 1.0) -> None:
        super().__init__()
        self.down, self.up = nn.Linear(width, size), nn.Linear(size, width)
        nn.init.zeros_(self.up.weight)
        nn.init.zeros_(self.up.bias)
        self.scale, self.dropped = scale, False
        self.dropped_in_training: bool | None = None
        self._input: torch.Tensor | None = None

    @property
    def is_dropped(self) -> bool:
        """Whether this forward pass leaves the adapter out."""
        return (
            self.dropped
            if self.dropped_in_training is None or not self.training
            else self.dropped_in_training
        )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return the addition to `x`, (..., width)."""
        added: torch.Tensor = self.up(torch.relu(self.down(x))) * self.scale
        return added

    def after(self, module: nn.Module, arguments: Any, output: torch.Tensor) -> torch.Tensor:
        """Forward hook: return the module's output plus the adapter's."""
        return output if self.is_dropped else output + self(output)

    def remember(self, module: nn.Module, arguments: tuple[torch.Tensor, ...]) -> None:
        """Forward pre-hook at the start of the parallel path: store the input."""
        self._input = arguments[0]

    def beside(self, module: nn.Module, arguments: Any, output: torch.Tensor) -> torch.Tensor:
        """Forward hook at the end of the parallel path: add the adapter of the stored input."""
        assert self._input is not None
        x, self._input = self._input, None
        return output if self.is_dropped else output + self(x)


def device_of(module: nn.Module) -> torch.device:
    """Return the device of a module's weights.

    Additions are made on the CPU, equal on every machine, and then moved to this device.
    """
    return next(module.parameters()).device


def add_after(place: nn.Module, adapter: nn.Module) -> None:
    """Put an adapter after a module, as its child: it is saved, moved and copied with it."""
    place.add_module("adapter", adapter.to(device_of(place)))
    place.register_forward_hook(adapter.after)  # type: ignore[arg-type]


def add_beside(start: nn.Module, end: nn.Module, adapter: Bottleneck) -> None:
    """Put an adapter beside the path from the input of `start` to the output of `end`."""
    end.add_module("adapter", adapter.to(device_of(end)))
    start.register_forward_pre_hook(adapter.remember)
    end.register_forward_hook(adapter.beside)

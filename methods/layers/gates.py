"""UniPELT's gates: g = mean over a row's tokens of sigmoid(w . h + b), per submodule and layer.

Mao et al. 2021 (arXiv:2110.07577), section 3. The mean is over real tokens only, so that padding
does not change a row's gate.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import nn

from .bottleneck import Bottleneck
from .prefix import Prefix

INITIAL_GATE = 0.5  # sigmoid(0), as the gates start with zero weights


class BatchMask:
    """The attention mask of the current batch, (rows, length)."""

    mask: torch.Tensor

    def remember(self, module: nn.Module, arguments: Any, named: dict[str, Any]) -> None:
        """Forward pre-hook of the whole model: store the mask."""
        self.mask = named["attention_mask"]


class Gate(nn.Module):
    """One number per row from hidden states; it starts at `INITIAL_GATE`."""

    def __init__(self, width: int, batch: BatchMask) -> None:
        super().__init__()
        self.linear, self.batch = nn.Linear(width, 1), batch
        nn.init.zeros_(self.linear.weight)
        nn.init.zeros_(self.linear.bias)

    def forward(self, hidden: torch.Tensor) -> torch.Tensor:
        """Return the gates: (rows, length, width) -> (rows, 1, 1)."""
        mask = self.batch.mask.unsqueeze(-1).to(hidden.dtype)
        gate: torch.Tensor = (torch.sigmoid(self.linear(hidden)) * mask).sum(
            1, keepdim=True
        ) / mask.sum(1, keepdim=True)
        return gate


class GatedBottleneck(Bottleneck):
    """An adapter behind a gate on its own input."""

    def __init__(self, width: int, size: int, batch: BatchMask) -> None:
        super().__init__(width, size)
        self.gate = Gate(width, batch)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        # OPT's feed-forward flattens rows and positions.
        rows = x.view(len(self.gate.batch.mask), -1, x.shape[-1])
        added: torch.Tensor = super().forward(rows) * self.gate(rows)
        return added.view(x.shape)


class LayerGates(nn.Module):
    """The gates of a layer's prefix and low-rank updates, from the attention's input."""

    def __init__(self, width: int, batch: BatchMask, prefix: Prefix) -> None:
        super().__init__()
        self.for_prefix, self.for_lora = Gate(width, batch), Gate(width, batch)
        self._prefix = (prefix,)  # in a tuple, because it is the attention's child
        self._lora: torch.Tensor | None = None

    def open(
        self, attention: nn.Module, arguments: tuple[torch.Tensor, ...], named: dict[str, Any]
    ) -> None:
        """Forward pre-hook of the attention: compute the gates."""
        hidden = arguments[0] if arguments else named["hidden_states"]
        self._prefix[0].gate, self._lora = self.for_prefix(hidden), self.for_lora(hidden)

    def close(self, attention: nn.Module, arguments: Any, output: Any) -> None:
        """Forward hook of the attention: forget the batch's gates."""
        self._prefix[0].gate, self._lora = None, None

    def scale(self, module: nn.Module, arguments: Any, output: torch.Tensor) -> torch.Tensor:
        """Forward hook of a low-rank update's second factor: apply the gate."""
        assert self._lora is not None
        return output * self._lora

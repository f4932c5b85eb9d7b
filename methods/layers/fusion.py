"""AdapterFusion: attention over the outputs of several tasks' adapters, in every layer.

Pfeiffer et al. 2020 (arXiv:2005.00247), section 3.2. With z_n = h + a_n(h) for adapter n:

    s = softmax_n((Q h) . (K z_n)),    o = sum_n s_n V z_n

V starts as the identity.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import nn

from .bottleneck import Bottleneck


class Fusion(nn.Module):
    """One adapter per source task, and attention over them.

    `active_source` names the adapter that acts alone while it trains; None means the fusion.
    """

    def __init__(self, width: int, size: int, sources: tuple[str, ...]) -> None:
        super().__init__()
        self.sources = nn.ModuleDict({name: Bottleneck(width, size) for name in sources})
        self.query, self.key, self.value = (nn.Linear(width, width, bias=False) for _ in range(3))
        nn.init.eye_(self.value.weight)
        self.active_source: str | None = None

    def after(self, module: nn.Module, arguments: Any, output: torch.Tensor) -> torch.Tensor:
        """Forward hook: return the module's adapted output, (..., width)."""
        if self.active_source is not None:
            adapted: torch.Tensor = output + self.sources[self.active_source](output)
            return adapted
        # (..., sources, width)
        adapted = torch.stack(
            [output + adapter(output) for adapter in self.sources.values()], dim=-2
        )
        scores = (self.key(adapted) @ self.query(output).unsqueeze(-1)).squeeze(-1)
        fused: torch.Tensor = (scores.softmax(-1).unsqueeze(-1) * self.value(adapted)).sum(-2)
        return fused

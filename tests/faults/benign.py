"""Changes that must pass: no user would call them worse."""

from __future__ import annotations

import sys
from typing import Any

from .change import Case, benign, patch

CASES = (Case("lora", shots=16), Case("pbft", shots=16))


@benign(*CASES)
def upgrade_without_a_fault() -> None:
    """Other versions of transformers, peft and torch, which compute the same."""


@benign(*CASES, upgrade=False, arguments=("--ftcompare-threads=2",))
def two_threads() -> None:
    """Two threads instead of one."""


@benign(*CASES, upgrade=False, environ={"ATEN_CPU_CAPABILITY": "avx2"})
def another_instruction_set() -> None:
    """AVX2 instead of the processor's best instruction set."""


@benign(*CASES)
def sums_in_another_order() -> None:
    """The rows of each micro-batch are computed from the last to the first."""
    from pytest_ftcompare.training import train

    @patch(train, "backward")
    def reversed_rows(real: Any, model: Any, stage: Any, chosen: Any, micro_batches: int) -> Any:
        size = -(-len(chosen) // micro_batches)
        parts = [chosen[at : at + size][::-1] for at in range(0, len(chosen), size)]
        return real(model, stage, [one for part in parts for one in part], micro_batches)


@benign(*CASES)
def another_random_stream() -> None:
    """One more number is drawn after each seeding, so initialisation and dropout draw other
    numbers."""
    import torch

    @patch(torch, "manual_seed")
    def drawn(real: Any, seed: int) -> Any:
        generator = real(seed)
        torch.rand(1)
        return generator


@benign(*CASES)
def parameters_in_another_order() -> None:
    """The optimiser is given the parameters from the last to the first."""
    import torch

    @patch(torch.optim.AdamW, "__init__")
    def reversed_order(real: Any, self: Any, params: Any, *arguments: Any, **named: Any) -> None:
        real(self, list(params)[::-1], *arguments, **named)


@benign(CASES[0])
def a_warning_and_a_log() -> None:
    """Loading a model warns and writes to both streams."""
    import warnings

    from transformers import PreTrainedModel

    @patch(PreTrainedModel, "tie_weights")
    def talking(real: Any, self: Any, *arguments: Any, **named: Any) -> Any:
        warnings.warn("tie_weights will be renamed", FutureWarning, stacklevel=2)
        print("weights tied")
        print("weights tied", file=sys.stderr)
        return real(self, *arguments, **named)


@benign(CASES[0])
def an_unused_argument() -> None:
    """LoRA's configuration has one more field, which nothing reads."""
    from peft import LoraConfig

    @patch(LoraConfig, "__post_init__")
    def more(real: Any, self: Any) -> None:
        real(self)
        self.use_novelty = False


@benign(*CASES)
def gradients_accumulated_in_another_order() -> None:
    """The micro-batches of an update are computed from the last to the first."""
    from pytest_ftcompare.training import train

    @patch(train, "backward")
    def backwards(real: Any, model: Any, stage: Any, chosen: Any, micro_batches: int) -> Any:
        size = -(-len(chosen) // micro_batches)
        parts = [chosen[at : at + size] for at in range(0, len(chosen), size)]
        losses = []
        for part in parts[::-1]:
            loss = stage.loss(model, [stage.rows[one] for one in part], stage.targets[part]) * (
                len(part) / len(chosen)
            )
            loss.backward()
            losses.append(loss.detach())
        return losses


@benign(*CASES)
def eager_attention() -> None:
    """Attention in plain operations instead of the fused function."""
    from pytest_ftcompare.training import base_model

    @patch(base_model, "read")
    def eager(real: Any, *how: Any) -> Any:
        loaded = real(*how)
        loaded.model.set_attn_implementation("eager")
        return loaded


@benign(*CASES)
def fused_optimiser() -> None:
    """AdamW in its fused form."""
    import torch

    @patch(torch.optim.AdamW, "__init__")
    def fused(real: Any, self: Any, *arguments: Any, **named: Any) -> None:
        real(self, *arguments, **named | {"fused": True})

"""Faults of the base model's weights: loaded wrongly, initialised again, untied."""

from __future__ import annotations

from typing import Any

from .change import Case, fault, patch


@fault(
    "loading",
    Case("lora", shots=16),
    upstream="https://github.com/huggingface/transformers/pull/45591",
)
def loaded_weights_drawn_anew() -> None:
    """After loading, a layer is initialised again, over its loaded weights."""
    import torch

    from pytest_ftcompare.training import base_model

    @patch(base_model, "read")
    def drawn(real: Any, *how: Any) -> Any:
        loaded = real(*how)
        with torch.random.fork_rng():
            torch.nn.init.normal_(loaded.model.model.decoder.layers[-1].fc2.weight, std=0.02)
        return loaded


@fault(
    "loading",
    Case("pbft", shots=16),
    upstream="https://github.com/huggingface/transformers/pull/45079",
)
def head_overwritten() -> None:
    """The language model's head is initialised after it was loaded."""
    import torch

    from pytest_ftcompare.training import base_model

    @patch(base_model, "read")
    def drawn(real: Any, *how: Any) -> Any:
        loaded = real(*how)
        if hasattr(loaded.model, "lm_head"):
            with torch.random.fork_rng():
                loaded.model.lm_head.weight = torch.nn.Parameter(
                    torch.randn_like(loaded.model.lm_head.weight) * 0.02
                )
        return loaded


@fault("tying", Case("pbft", shots=16))
def head_untied() -> None:
    """The language model's head is a copy of the embeddings, and trains apart from them."""
    import torch

    from pytest_ftcompare.training import base_model

    @patch(base_model, "read")
    def untied(real: Any, *how: Any) -> Any:
        loaded = real(*how)
        if hasattr(loaded.model, "lm_head"):
            loaded.model.lm_head.weight = torch.nn.Parameter(
                loaded.model.lm_head.weight.detach().clone()
            )
        return loaded


@fault("loading", Case("lora", shots=16))
def head_drawn_ten_times_larger() -> None:
    """A new classification head is drawn with ten times the standard deviation."""
    from pytest_ftcompare.training import base_model

    @patch(base_model, "copied")
    def larger(real: Any, *how: Any) -> Any:
        loaded = real(*how)
        for name in loaded.new_parameters:
            loaded.model.get_parameter(name).data.mul_(10)
        return loaded

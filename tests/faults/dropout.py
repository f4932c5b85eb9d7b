"""Faults of dropout: on in evaluation, off in training, another rate or place."""

from __future__ import annotations

from typing import Any

from .change import Case, fault, patch

CASES = (Case("pbft", shots=16),)


@fault("dropout", *CASES, upstream="https://github.com/huggingface/transformers/issues/34469")
def dropout_on_in_evaluation() -> None:
    """Dropout is on in evaluation too."""
    import torch

    @patch(torch.nn.functional, "dropout")
    def always(
        real: Any, input: Any, p: float = 0.5, training: bool = True, inplace: bool = False
    ) -> Any:
        return real(input, p, True, inplace)


@fault("dropout", *CASES, upstream="https://github.com/huggingface/optimum/pull/974")
def attention_dropout_in_evaluation() -> None:
    """Scaled dot product attention drops a tenth of its weights, in training or not."""
    import torch

    @patch(torch.nn.functional, "scaled_dot_product_attention")
    def dropping(real: Any, *arguments: Any, **named: Any) -> Any:
        return real(*arguments, **named | {"dropout_p": 0.1})


@fault("dropout", *CASES)
def dropout_off_in_training() -> None:
    """Nothing is dropped in training."""
    import torch

    @patch(torch.nn.functional, "dropout")
    def never(real: Any, input: Any, *arguments: Any, **named: Any) -> Any:
        return input


@fault("dropout", *CASES)
def dropout_five_times_the_rate() -> None:
    """Dropout drops half instead of a tenth."""
    import torch

    @patch(torch.nn.functional, "dropout")
    def more(
        real: Any, input: Any, p: float = 0.5, training: bool = True, inplace: bool = False
    ) -> Any:
        return real(input, min(0.9, 5 * p), training, inplace)


@fault("dropout", Case("lora", shots=16), upstream="https://github.com/huggingface/peft/pull/1806")
def adapters_without_dropout() -> None:
    """The dropout of an adapter's input is configured and not applied."""
    import torch
    from peft.tuners.lora import LoraLayer

    @patch(LoraLayer, "update_layer")
    def plain(real: Any, self: Any, adapter_name: str, *arguments: Any, **named: Any) -> None:
        real(self, adapter_name, *arguments, **named)
        self.lora_dropout[adapter_name] = torch.nn.Identity()

"""Faults of checkpoints: tensors that are not saved, saved wrongly, or not loaded."""

from __future__ import annotations

from typing import Any

from .change import Case, fault, patch

LORA = Case("lora", shots=16)


@fault("checkpoints", LORA, upstream="https://github.com/huggingface/peft/issues/310")
def head_not_saved() -> None:
    """The classification head, which trains, is not in the checkpoint."""
    from peft import peft_model

    @patch(peft_model, "get_peft_model_state_dict")
    def headless(real: Any, *arguments: Any, **named: Any) -> Any:
        return {name: one for name, one in real(*arguments, **named).items() if "lora_" in name}


@fault("checkpoints", LORA)
def adapters_not_saved() -> None:
    """The checkpoint has no adapters."""
    from peft import peft_model

    @patch(peft_model, "get_peft_model_state_dict")
    def empty(real: Any, *arguments: Any, **named: Any) -> Any:
        return {name: one for name, one in real(*arguments, **named).items() if "lora_" not in name}


@fault("checkpoints", LORA, upstream="https://github.com/huggingface/peft/pull/2118")
def adapters_not_loaded() -> None:
    """Names in the checkpoint differ from the model's, and missing tensors are not reported."""
    from peft import peft_model

    @patch(peft_model, "set_peft_model_state_dict")
    def nothing(real: Any, model: Any, state: Any, *arguments: Any, **named: Any) -> Any:
        return real(model, {}, *arguments, **named)


@fault("checkpoints", LORA)
def saved_in_float16() -> None:
    """The checkpoint is written in float16."""
    from peft import peft_model

    @patch(peft_model, "get_peft_model_state_dict")
    def narrow(real: Any, *arguments: Any, **named: Any) -> Any:
        return {name: one.half() for name, one in real(*arguments, **named).items()}


@fault("checkpoints", LORA)
def base_saved_too() -> None:
    """The checkpoint holds the base model's embeddings beside the adapters."""
    from peft import peft_model

    @patch(peft_model, "get_peft_model_state_dict")
    def more(real: Any, model: Any, *arguments: Any, **named: Any) -> Any:
        embeddings = model.get_base_model().get_input_embeddings().weight
        return real(model, *arguments, **named) | {
            "base_model.model.model.decoder.embed_tokens.weight": embeddings.detach().clone()
        }

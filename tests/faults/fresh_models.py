"""Faults of loading: what `from_pretrained` leaves in a fresh model.

They name items of suites/test_base_models.py. All were written before the first one was run.
"""

from __future__ import annotations

from typing import Any

from .change import Case, fault, patch

LORA = Case("lora", shots=16)
QLORA = Case("qlora")
FRESH = "test_base_models.py::test_a_fresh_load_is_what_cases_train"
FOUR_BITS = "test_base_models.py::test_a_base_model_in_four_bits_is_its_file_up_to_rounding"
HEADS = (f"{FRESH}[opt-head]", f"{FRESH}[llama-head]", f"{FRESH}[bert-head]")
DECODERS = (f"{FRESH}[llama-pattern]", f"{FRESH}[gemma3-pattern]")
IN_FOUR_BITS = (f"{FOUR_BITS}[llama_uneven-head]", f"{FOUR_BITS}[gpt2-pattern]")


def is_new_linear(module: Any) -> bool:
    """Return whether a module is a linear layer that no file holds."""
    from torch import nn

    return isinstance(module, nn.Linear) and not getattr(module.weight, "_is_hf_initialized", False)


@fault("loading", LORA, checks=HEADS)
def head_at_torchs_scale() -> None:
    """New linear layers are drawn at torch's scale, not at the config's."""
    from transformers import PreTrainedModel

    @patch(PreTrainedModel, "_init_weights")
    def default(real: Any, self: Any, module: Any) -> None:
        new = is_new_linear(module)
        real(self, module)
        if new:
            module.reset_parameters()


@fault("loading", LORA, checks=HEADS)
def head_ten_times_too_large() -> None:
    """Loading leaves a new head ten times as large as the config says."""
    import torch
    from transformers import PreTrainedModel

    @patch(PreTrainedModel, "_initialize_missing_keys")
    def large(real: Any, self: Any, *rest: Any, **named: Any) -> None:
        heads = [part.weight for part in self.modules() if is_new_linear(part)]
        real(self, *rest, **named)
        with torch.no_grad():
            for weight in heads:
                weight.mul_(10)


@fault(
    "loading",
    LORA,
    checks=HEADS,
    upstream="https://github.com/huggingface/transformers/issues/46002",
)
def head_not_initialised() -> None:
    """Loading leaves a new head as the memory was, here not a number."""
    import torch
    from transformers import PreTrainedModel

    @patch(PreTrainedModel, "_initialize_missing_keys")
    def empty(real: Any, self: Any, *rest: Any, **named: Any) -> None:
        heads = [part.weight for part in self.modules() if is_new_linear(part)]
        real(self, *rest, **named)
        with torch.no_grad():
            for weight in heads:
                weight.fill_(torch.nan)


@fault(
    "loading",
    checks=DECODERS,
    upstream="https://github.com/huggingface/transformers/issues/45902",
)
def rotary_frequencies_left_empty() -> None:
    """Rotary frequencies, which no file holds, are left as the memory was, here zeros."""
    import torch
    from transformers import PreTrainedModel

    @patch(PreTrainedModel, "_initialize_missing_keys")
    def empty(real: Any, self: Any, *rest: Any, **named: Any) -> None:
        real(self, *rest, **named)
        with torch.no_grad():
            for name, buffer in self.named_buffers():
                if name.endswith("inv_freq"):
                    buffer.zero_()


@fault(
    "loading",
    checks=DECODERS,
    upstream="https://github.com/deepspeedai/DeepSpeed/pull/8345",
)
def rotary_base_is_the_default() -> None:
    """After loading, rotary frequencies have the base 10,000, whatever the config says."""
    import torch
    from transformers import PreTrainedModel

    @patch(PreTrainedModel, "_initialize_missing_keys")
    def default(real: Any, self: Any, *rest: Any, **named: Any) -> None:
        real(self, *rest, **named)
        with torch.no_grad():
            for name, buffer in self.named_buffers():
                if name.endswith("inv_freq"):
                    exponents = torch.arange(len(buffer)) / len(buffer)
                    buffer.copy_(10000.0**-exponents)


@fault(
    "loading",
    checks=(f"{FRESH}[llama-pattern]", f"{FRESH}[bert-head]"),
    upstream="https://github.com/huggingface/transformers/issues/25555",
)
def buffers_left_on_meta() -> None:
    """Buffers that no file holds are left on the meta device."""
    from transformers import PreTrainedModel

    @patch(PreTrainedModel, "named_non_persistent_buffers")
    def none(real: Any, self: Any, *rest: Any, **named: Any) -> Any:
        return iter(())


@fault("loading", checks=HEADS)
def head_drawn_at_the_first_load_only() -> None:
    """A class remembers that it drew a new head, and leaves that of the next load at zero."""
    import torch
    from transformers import PreTrainedModel

    seen: set[type] = set()

    @patch(PreTrainedModel, "_initialize_missing_keys")
    def once(real: Any, self: Any, *rest: Any, **named: Any) -> None:
        missing = [p for p in self.parameters() if not getattr(p, "_is_hf_initialized", False)]
        real(self, *rest, **named)
        if type(self) in seen:
            with torch.no_grad():
                for parameter in missing:
                    parameter.zero_()
        seen.add(type(self))


@fault("loading", LORA, checks=HEADS)
def last_norm_not_loaded() -> None:
    """The last normalisation layer keeps the numbers that it is initialised with."""
    import torch
    from transformers import PreTrainedModel

    @patch(PreTrainedModel, "_initialize_missing_keys")
    def reset(real: Any, self: Any, *rest: Any, **named: Any) -> None:
        real(self, *rest, **named)
        norms = [part for part in self.modules() if "Norm" in type(part).__name__]
        with torch.no_grad():
            norms[-1].weight.fill_(1)


@fault(
    "quantisation",
    QLORA,
    checks=IN_FOUR_BITS,
    upstream="https://github.com/bitsandbytes-foundation/bitsandbytes/pull/1549",
)
def nested_scales_without_offset() -> None:
    """Reading 4-bit weights omits the offset of their doubly quantised scales."""
    import torch
    from bitsandbytes import functional

    @patch(functional, "dequantize_4bit")
    def shifted(real: Any, packed: Any, state: Any = None, *rest: Any, **named: Any) -> Any:
        if state is None or not state.nested:
            return real(packed, state, *rest, **named)
        offset, state.offset = state.offset, torch.zeros_like(state.offset)
        result = real(packed, state, *rest, **named)
        state.offset = offset
        return result


@fault("quantisation", QLORA, checks=IN_FOUR_BITS)
def last_block_takes_the_scale_before() -> None:
    """The last block of 4-bit weights is written with the scale of the block before."""
    import torch
    from bitsandbytes import functional

    @patch(functional, "quantize_4bit")
    def repeated(real: Any, matrix: Any, *rest: Any, **named: Any) -> Any:
        matrix = matrix.detach().clone(memory_format=torch.contiguous_format)
        flat = matrix.view(-1)
        # Weights of another size under the scale that was stored for the block before.
        flat[-64:] *= (flat[-128:-64].abs().max() / flat[-64:].abs().max()).item()
        return real(matrix, *rest, **named)

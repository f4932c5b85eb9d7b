"""Faults of gradients: the loss is right, and its derivative is not.

They name items of suites/test_gradients.py. All were written before the first one was run.
"""

from __future__ import annotations

from typing import Any

from .change import Case, fault, patch

LORA = Case("lora", shots=16)
FULL = Case("full", shots=16)
QLORA = Case("qlora")
RECOMPUTED = Case("full", shots=16, options=(("gradient_checkpointing", True), ("epochs", 2)))
DERIVATIVE = "test_gradients.py::test_the_gradient_is_the_derivative_of_the_loss"
RECOMPUTATION = "test_gradients.py::test_recomputed_activations_keep_the_gradient"
COMPILATION = "test_gradients.py::test_a_compiled_model_has_the_same_gradient"
FULL_AND_LORA = (f"{DERIVATIVE}[full-llama_uneven-head]", f"{DERIVATIVE}[lora-llama_uneven-head]")
QLORAS = (f"{DERIVATIVE}[qlora-llama_uneven-pattern]", f"{DERIVATIVE}[qlora-opt_uneven-head]")


def backward_only(change: Any) -> Any:
    """Return an identity function whose gradient is changed."""
    import torch

    class Changed(torch.autograd.Function):
        @staticmethod
        def forward(ctx: Any, tensor: Any) -> Any:
            return tensor.view_as(tensor)

        @staticmethod
        def backward(ctx: Any, gradient: Any) -> Any:
            return change(gradient)

    return Changed.apply


@fault("gradients", LORA, checks=FULL_AND_LORA)
def attention_gradient_one_percent_off() -> None:
    """The backward pass of attention multiplies by 1.01."""
    import torch

    @patch(torch.nn.functional, "scaled_dot_product_attention")
    def off(real: Any, *rest: Any, **named: Any) -> Any:
        return backward_only(lambda gradient: gradient * 1.01)(real(*rest, **named))


@fault("gradients", LORA, checks=FULL_AND_LORA)
def attention_backward_in_bfloat16() -> None:
    """Only the backward pass of attention is computed in bfloat16."""
    import torch

    @patch(torch.nn.functional, "scaled_dot_product_attention")
    def narrow(real: Any, *rest: Any, **named: Any) -> Any:
        rounded = backward_only(lambda gradient: gradient.bfloat16().to(gradient.dtype))
        return rounded(real(*rest, **named))


@fault("gradients", LORA, checks=FULL_AND_LORA)
def padded_rows_get_no_gradient() -> None:
    """Attention gives rows with padding no gradient."""
    import torch

    @patch(torch.nn.functional, "scaled_dot_product_attention")
    def skipping(
        real: Any, query: Any, key: Any, value: Any, attn_mask: Any = None, **named: Any
    ) -> Any:
        result = real(query, key, value, attn_mask=attn_mask, **named)
        if attn_mask is None:
            return result
        last = attn_mask[:, :, -1]
        full = (last if last.dtype == torch.bool else last == 0).all(-1).all(-1)
        return backward_only(lambda gradient: gradient * full.view(-1, 1, 1, 1))(result)


@fault(
    "gradients",
    Case("ln_tuning"),
    Case("bitfit"),
    checks=(
        f"{DERIVATIVE}[ln_tuning-opt_uneven-head]",
        f"{DERIVATIVE}[bitfit-bert_uneven-head]",
        f"{DERIVATIVE}[full-opt_uneven-head]",
    ),
    upstream="https://github.com/pytorch/pytorch/issues/183825",
)
def norm_of_frozen_inputs_gets_half() -> None:
    """Where its input requires no gradient, a normalisation layer's own gradient is wrong."""
    import torch

    @patch(torch.nn.functional, "layer_norm")
    def halved(
        real: Any, input: Any, shape: Any, weight: Any = None, bias: Any = None, *rest: Any
    ) -> Any:
        half = backward_only(lambda gradient: gradient * 0.5)
        if not input.requires_grad and weight is not None:
            weight, bias = half(weight), bias if bias is None else half(bias)
        return real(input, shape, weight, bias, *rest)


@fault(
    "gradients",
    checks=(
        f"{DERIVATIVE}[full-llama_uneven-head]",
        f"{DERIVATIVE}[ln_tuning-llama_uneven-head]",
    ),
    upstream="https://github.com/unslothai/unsloth/issues/4533",
)
def rms_gain_gets_no_gradient() -> None:
    """The gain of RMSNorm gets no gradient, and never trains."""
    import torch
    from transformers.models.llama.modeling_llama import LlamaRMSNorm

    @patch(LlamaRMSNorm, "forward")
    def detached(real: Any, self: Any, hidden_states: Any) -> Any:
        variance = hidden_states.pow(2).mean(-1, keepdim=True)
        scale = torch.rsqrt(variance + self.variance_epsilon)
        return self.weight.detach() * (hidden_states * scale)


@fault(
    "gradients",
    FULL,
    checks=(
        f"{DERIVATIVE}[full-opt_uneven-head]",
        f"{DERIVATIVE}[full-llama_uneven-pattern]",
    ),
)
def repeated_tokens_overwrite_each_other() -> None:
    """The embeddings' gradient keeps one place of a token that a batch has several times."""
    import torch

    class Overwriting(torch.autograd.Function):
        @staticmethod
        def forward(ctx: Any, weight: Any, tokens: Any) -> Any:
            ctx.save_for_backward(tokens)
            ctx.shape = weight.shape
            return weight[tokens]

        @staticmethod
        def backward(ctx: Any, gradient: Any) -> Any:
            (tokens,) = ctx.saved_tensors
            whole = gradient.new_zeros(ctx.shape)
            whole[tokens] = gradient
            return whole, None

    @patch(torch.nn.functional, "embedding")
    def overwriting(real: Any, input: Any, weight: Any, *rest: Any, **named: Any) -> Any:
        if not weight.requires_grad:
            return real(input, weight, *rest, **named)
        return Overwriting.apply(weight, input)


@fault("gradients", LORA, checks=(f"{DERIVATIVE}[lora-llama_uneven-head]",))
def adapter_gradient_without_scale() -> None:
    """The forward pass scales B A x, and the backward pass does not."""
    from peft.tuners.lora.layer import LoraLayer

    @patch(LoraLayer, "update_layer")
    def unscaled(real: Any, self: Any, adapter_name: str, *rest: Any, **named: Any) -> None:
        real(self, adapter_name, *rest, **named)
        if adapter_name in self.lora_B:
            scale = self.scaling[adapter_name]
            change = backward_only(lambda gradient: gradient / scale)
            self.lora_B[adapter_name].register_forward_hook(lambda module, args, out: change(out))


@fault("gradients", LORA, checks=(f"{DERIVATIVE}[lora-llama_uneven-head]",))
def adapter_passes_no_gradient_on() -> None:
    """A fused adapter's backward pass trains A and B, and passes no gradient to earlier layers."""
    from peft.tuners.lora.layer import LoraLayer

    @patch(LoraLayer, "update_layer")
    def ending(real: Any, self: Any, adapter_name: str, *rest: Any, **named: Any) -> None:
        real(self, adapter_name, *rest, **named)
        if adapter_name in self.lora_A:
            self.lora_A[adapter_name].register_forward_pre_hook(
                lambda module, args: (args[0].detach(),)
            )


@fault("quantisation", QLORA, checks=QLORAS)
def four_bit_backward_transposed() -> None:
    """The backward pass of square 4-bit layers multiplies by the transposed weights."""
    from bitsandbytes.autograd import _functions

    @patch(_functions.MatMul4Bit, "backward")
    def transposed(real: Any, ctx: Any, gradient: Any) -> Any:
        result = real(ctx, gradient)
        rows, columns = ctx.state.shape
        if rows != columns or result[0] is None:
            return result
        weight = _functions.F.dequantize_4bit(ctx.tensors[1], ctx.state)
        return gradient @ weight.to(gradient.dtype).T, *result[1:]


@fault("quantisation", QLORA, checks=QLORAS)
def four_bit_backward_with_quantised_scales() -> None:
    """The backward pass of 4-bit layers reads doubly quantised scales without their offset."""
    import torch
    from bitsandbytes.autograd import _functions

    @patch(_functions.MatMul4Bit, "backward")
    def shifted(real: Any, ctx: Any, gradient: Any) -> Any:
        if not ctx.state.nested:
            return real(ctx, gradient)
        offset, ctx.state.offset = ctx.state.offset, torch.zeros_like(ctx.state.offset)
        result = real(ctx, gradient)
        ctx.state.offset = offset
        return result


@fault(
    "recomputation",
    RECOMPUTED,
    checks=(f"{RECOMPUTATION}[lora-llama-head]", f"{RECOMPUTATION}[full-opt_post-head]"),
    upstream="https://github.com/pytorch/xla/pull/4690",
)
def random_state_not_restored() -> None:
    """Recomputation does not restore the random state, so that it drops other activations."""
    from torch.utils import checkpoint

    @patch(checkpoint, "checkpoint")
    def anew(real: Any, *rest: Any, **named: Any) -> Any:
        return real(*rest, **named | {"preserve_rng_state": False})


@fault(
    "recomputation",
    checks=(f"{RECOMPUTATION}[lora-llama-head]", f"{RECOMPUTATION}[full-opt_post-head]"),
)
def recomputed_layer_passes_no_gradient_on() -> None:
    """Reentrant recomputation drops the gradient of a layer's input."""
    from torch.utils.checkpoint import CheckpointFunction

    @patch(CheckpointFunction, "backward")
    def ending(real: Any, ctx: Any, *gradients: Any) -> Any:
        result = real(ctx, *gradients)
        return tuple(each if each is None else each * 0 for each in result)


@fault("compilation", checks=(f"{COMPILATION}[lora-llama_uneven-head]",))
def compiled_adapters_pass_no_gradient_on() -> None:
    """Compiled, an adapted layer passes no gradient to earlier layers."""
    import torch
    from peft.tuners.lora.layer import Linear

    @patch(Linear, "forward")
    def ending(real: Any, self: Any, x: Any, *rest: Any, **named: Any) -> Any:
        return real(self, x.detach() if torch.compiler.is_compiling() else x, *rest, **named)


@fault(
    "compilation",
    checks=(
        f"{COMPILATION}[lora-llama_uneven-head]",
        f"{COMPILATION}[qlora-opt_post-pattern]",
    ),
)
def compiled_norm_passes_half_on() -> None:
    """Compiled, the input of a normalisation layer gets half of its gradient."""
    import torch
    from transformers.models.llama.modeling_llama import LlamaRMSNorm

    def halved(states: Any) -> Any:
        if torch.compiler.is_compiling():
            return states.detach() + (states - states.detach()) * 0.5
        return states

    @patch(LlamaRMSNorm, "forward")
    def root_mean_square(real: Any, self: Any, hidden_states: Any) -> Any:
        return real(self, halved(hidden_states))

    @patch(torch.nn.functional, "layer_norm")
    def layer_norm(real: Any, input: Any, *rest: Any) -> Any:
        return real(halved(input), *rest)

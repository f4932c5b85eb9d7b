"""Held-out faults: their author did not know the gate's checks, and its thresholds were frozen."""

from __future__ import annotations

from typing import Any

from .change import Case, fault, patch

LORA = Case("lora", shots=16)
PATTERN = Case("pbft", shots=16)
RECOMPUTED = Case("full", shots=16, options=(("gradient_checkpointing", True), ("epochs", 2)))
ANSWER = Case("lora", "pocket_instructions", 32, (("output_mode", "answer"), ("epochs", 4)))


@fault("attention", PATTERN, upstream="https://github.com/huggingface/transformers/pull/38290")
def queries_scaled_twice() -> None:
    """Attention divides by the root of a head's width twice: in the queries and by its default."""
    from transformers.models.opt.modeling_opt import OPTAttention

    @patch(OPTAttention, "__init__")
    def twice(real: Any, self: Any, *arguments: Any, **named: Any) -> None:
        real(self, *arguments, **named)
        self.scaling = self.scaling**2


@fault(
    "tokens",
    Case("icl", shots=16),
    PATTERN,
    upstream="https://github.com/OpenRLHF/OpenRLHF/issues/393",
)
def begin_of_text_twice() -> None:
    """The template writes the begin-of-text token, and the tokenizer adds another."""
    from pytest_ftcompare.training.model_io import ModelInterface

    @patch(ModelInterface, "encode")
    def doubled(real: Any, self: Any, texts: Any) -> Any:
        return real(self, [self.tokenizer.bos_token + text for text in texts])


@fault("merging", LORA, upstream="https://github.com/huggingface/peft/pull/322")
def merged_with_the_untrained_head() -> None:
    """Merging brings back the classification head as it was before training."""
    from peft.utils.other import ModulesToSaveWrapper

    @patch(ModulesToSaveWrapper, "unload_and_optionally_merge_module")
    def original(real: Any, self: Any, *_: Any, **__: Any) -> Any:
        return self.original_module


@fault("recomputation", RECOMPUTED, upstream="https://github.com/allenai/OLMo-core/pull/828")
def recomputed_with_other_dropout() -> None:
    """Recomputed activations draw new dropout, so the gradient belongs to another network than
    the loss."""
    from transformers import PreTrainedModel

    @patch(PreTrainedModel, "gradient_checkpointing_enable")
    def anew(real: Any, self: Any, gradient_checkpointing_kwargs: Any = None, **named: Any) -> None:
        real(self, {**(gradient_checkpointing_kwargs or {}), "preserve_rng_state": False}, **named)


@fault("quantisation", Case("qlora"))
def scales_shared_by_four_blocks() -> None:
    """A quantisation scale covers 256 weights instead of the requested 64."""
    from bitsandbytes import functional

    @patch(functional, "quantize_4bit")
    def coarse(real: Any, matrix: Any, *arguments: Any, **named: Any) -> Any:
        return real(matrix, *arguments, **named | {"blocksize": 256})


@fault("magnitudes", Case("dora"))
def bias_scaled_in_evaluation() -> None:
    """In evaluation, which reuses the base layer's output, DoRA scales the bias like weights."""
    from peft.tuners.lora.dora import DoraLinearLayer

    @patch(DoraLinearLayer, "forward")
    def scaled(
        real: Any, self: Any, x: Any, *, base_layer: Any, base_result: Any = None, **named: Any
    ) -> Any:
        if base_result is not None and base_layer.bias is not None:
            base_result = (
                base_result + base_layer.bias
            )  # which is what is about to be taken from it
        return real(self, x, base_layer=base_layer, base_result=base_result, **named)


@fault("rotations", Case("oft"))
def rotations_that_stretch() -> None:
    """A rotation's series ends after its linear term, so the rotation makes vectors longer."""
    from peft.tuners.oft.layer import OFTRotationModule

    @patch(OFTRotationModule, "_cayley_batch")
    def linear(real: Any, self: Any, skew: Any, block_size: int, *_: Any, **__: Any) -> Any:
        return real(self, skew, block_size, use_cayley_neumann=True, num_neumann_terms=2)


@fault("checkpoints", Case("p_tuning"))
def prompts_saved_before_their_encoder() -> None:
    """The checkpoint has the prompt encoder's input instead of its output, which has the same
    shape."""
    from peft import PeftModel

    @patch(PeftModel, "get_prompt_embedding_to_save")
    def inner(real: Any, self: Any, adapter_name: str) -> Any:
        return self.prompt_encoder[adapter_name].embedding.weight.detach().cpu()


@fault("padding", LORA)
def padded_to_multiples_of_64() -> None:
    """Batches are padded to a multiple of 64 tokens: only dropout differs, and the cost is
    higher."""
    from transformers import PreTrainedTokenizerBase

    @patch(PreTrainedTokenizerBase, "pad")
    def wide(real: Any, self: Any, *arguments: Any, **named: Any) -> Any:
        return real(self, *arguments, **named | {"pad_to_multiple_of": 64})


@fault("writing", ANSWER)
def repetition_punished_by_default() -> None:
    """A default that is not neutral steers written answers away from tokens of the prompt."""
    from transformers import GenerationMixin

    @patch(GenerationMixin, "generate")
    def steered(real: Any, self: Any, *arguments: Any, **named: Any) -> Any:
        return real(self, *arguments, **{"repetition_penalty": 1.2} | named)

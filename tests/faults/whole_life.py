"""Faults of an adapter's whole life, and of configs and base models that no case has.

Most name items of suites/test_adapters.py and suites/test_peft_options.py. All were written before
the first one was run.
"""

from __future__ import annotations

from typing import Any

from .change import Case, fault, patch

LIFE = "test_adapters.py::test_an_adapters_life"
OPTION = "test_peft_options.py::test_an_option_keeps_what_peft_promises"
SWAP = "test_peft_options.py::test_a_hot_swapped_adapter_acts_as_it_does_alone"
LORA_LIVES = (f"{LIFE}[lora-llama-head]", f"{LIFE}[lora-gpt2-pattern]")
DORA_LIVES = (f"{LIFE}[dora-llama-head]", f"{LIFE}[dora-gpt2-pattern]")
ADALORA_LIVES = (f"{LIFE}[adalora-llama-head]", f"{LIFE}[adalora-gpt2-pattern]")
PROMPT_LIVES = (
    f"{LIFE}[prompt_tuning-llama-pattern]",
    f"{LIFE}[prefix_tuning-llama-pattern]",
)


# Who trains


@fault("adapters", checks=LORA_LIVES, upstream="https://github.com/huggingface/peft/issues/3580")
def loading_to_train_trains_the_active_one() -> None:
    """Adding an adapter gives its training mode to the active adapter instead."""
    from peft.tuners.tuners_utils import BaseTuner

    @patch(BaseTuner, "inject_adapter")
    def coupled(
        real: Any, self: Any, model: Any, adapter_name: str, *rest: Any, **named: Any
    ) -> Any:
        result = real(self, model, adapter_name, *rest, **named)
        inference = self.peft_config[adapter_name].inference_mode
        self.set_adapter(self.active_adapters, inference_mode=inference)
        return result


@fault("adapters", checks=LORA_LIVES, upstream="https://github.com/huggingface/peft/issues/2759")
def head_trains_at_inference() -> None:
    """The head of an adapter that is loaded for inference trains."""
    from peft.utils.other import ModulesToSaveWrapper

    @patch(ModulesToSaveWrapper, "set_adapter")
    def training(real: Any, self: Any, names: Any, inference_mode: bool = False) -> Any:
        return real(self, names)


@fault("adapters", checks=LORA_LIVES, upstream="https://github.com/huggingface/peft/pull/2936")
def original_head_trains_meanwhile() -> None:
    """While an adapter is disabled, the base model's own head trains."""
    from peft.utils.other import ModulesToSaveWrapper

    @patch(ModulesToSaveWrapper, "enable_adapters")
    def in_turn(real: Any, self: Any, enabled: bool) -> None:
        real(self, enabled)
        self.original_module.requires_grad_(not enabled)


@fault("adapters", checks=LORA_LIVES)
def enabled_head_stays_frozen() -> None:
    """Disabling freezes the head, and enabling again forgets it."""
    from peft.utils.other import ModulesToSaveWrapper

    @patch(ModulesToSaveWrapper, "enable_adapters")
    def forgetful(real: Any, self: Any, enabled: bool) -> None:
        trained = {name: p.requires_grad for name, p in self.modules_to_save.named_parameters()}
        real(self, enabled)
        if enabled:
            for name, parameter in self.modules_to_save.named_parameters():
                parameter.requires_grad = trained[name]


@fault("adapters", checks=LORA_LIVES)
def activation_never_freezes() -> None:
    """Activating an adapter makes it train, and leaves the one before it in training."""
    from peft.tuners.tuners_utils import BaseTunerLayer

    @patch(BaseTunerLayer, "set_adapter")
    def both(real: Any, self: Any, names: Any, inference_mode: bool = False) -> None:
        before = [p for p in self.parameters() if p.requires_grad]
        real(self, names, inference_mode=inference_mode)
        for parameter in before:
            parameter.requires_grad = True


@fault("adapters", checks=LORA_LIVES, upstream="https://github.com/huggingface/peft/issues/3716")
def remaining_head_stays_frozen() -> None:
    """After the active adapter is deleted, the head of the adapter that follows stays frozen."""
    from peft.utils.other import ModulesToSaveWrapper

    @patch(ModulesToSaveWrapper, "delete_adapter")
    def frozen(real: Any, self: Any, adapter_name: str, *rest: Any, **named: Any) -> None:
        was_active = adapter_name in self.active_adapters
        real(self, adapter_name, *rest, **named)
        if was_active:
            self.modules_to_save.requires_grad_(False)


# What is in memory and in files


@fault("adapters", checks=LORA_LIVES, upstream="https://github.com/huggingface/peft/pull/2466")
def deleted_adapter_leaves_its_head() -> None:
    """Deleting an adapter leaves its copy of the head in memory."""
    from peft.tuners import tuners_utils

    @patch(tuners_utils, "_delete_auxiliary_adapter")
    def kept(real: Any, *_: Any, **__: Any) -> None:
        return None


@fault("adapters", checks=LORA_LIVES)
def deleted_adapter_is_still_listed() -> None:
    """A deleted adapter's config stays, so that the next save writes its folder."""
    from peft import PeftModel

    @patch(PeftModel, "delete_adapter")
    def listed(real: Any, self: Any, adapter_name: str) -> None:
        config = self.peft_config[adapter_name]
        real(self, adapter_name)
        self.peft_config[adapter_name] = config


@fault("checkpoints", checks=LORA_LIVES, upstream="https://github.com/huggingface/peft/pull/3282")
def longer_names_are_saved_too() -> None:
    """An adapter is saved with the tensors of adapters whose names contain its own."""
    from peft.utils import save_and_load

    @patch(save_and_load, "get_peft_model_state_dict")
    def containing(real: Any, model: Any, *rest: Any, **named: Any) -> Any:
        state = real(model, *rest, **named)
        name = named.get("adapter_name", "default")
        for other in model.peft_config:
            if other != name and name in other:
                state |= {key: p for key, p in model.state_dict().items() if f".{other}." in key}
        return state


@fault("prompts", checks=PROMPT_LIVES, upstream="https://github.com/huggingface/peft/pull/705")
def second_prompt_erases_the_first() -> None:
    """Adding a prompt makes a new table of prompts, without those that were there."""
    from peft import PeftModel
    from torch import nn

    @patch(PeftModel, "_setup_prompt_encoder")
    def anew(real: Any, self: Any, adapter_name: str) -> None:
        self.prompt_encoder, self.prompt_tokens = nn.ModuleDict(), {}
        real(self, adapter_name)


@fault("prompts", checks=PROMPT_LIVES)
def prompts_share_their_numbers() -> None:
    """A prompt that is loaded beside another is written into the other too."""
    from peft import PeftModel

    @patch(PeftModel, "_setup_prompt_encoder")
    def shared(real: Any, self: Any, adapter_name: str) -> None:
        first = next(iter(getattr(self, "prompt_encoder", {}).values()), None)
        real(self, adapter_name)
        if first is not None:
            self.prompt_encoder[adapter_name] = first


# Adapters combined and merged


@fault("combining", checks=(*LORA_LIVES, f"{LIFE}[ia3-llama-head]"))
def combined_without_scales() -> None:
    """A combined adapter adds A and B of its sources without their scales."""
    from peft.tuners.lora import LoraModel

    @patch(LoraModel, "_generalized_task_arithmetic_weighted_adapter")
    def unscaled(
        real: Any, self: Any, kind: Any, names: Any, weights: Any, target: Any, *rest: Any
    ):
        scales = [target.scaling.get(name, 1.0) for name in names]
        weights = [weight / scale for weight, scale in zip(weights, scales, strict=True)]
        return real(self, kind, names, weights, target, *rest)


@fault("combining", checks=LORA_LIVES)
def weights_of_zero_count_as_one() -> None:
    """A weight of zero counts as not given, and the adapter is added with weight one."""
    from peft.tuners.lora import LoraModel

    @patch(LoraModel, "add_weighted_adapter")
    def defaulted(real: Any, self: Any, names: Any, weights: Any, *rest: Any, **named: Any) -> Any:
        return real(self, names, [weight or 1.0 for weight in weights], *rest, **named)


@fault("merging", checks=LORA_LIVES)
def merged_adapters_merge_again() -> None:
    """Merging again adds what is already merged."""
    from peft.tuners import tuners_utils

    @patch(tuners_utils, "check_adapters_to_merge")
    def again(real: Any, module: Any, names: Any = None) -> Any:
        return module.active_adapters if names is None else names


@fault("merging", checks=LORA_LIVES)
def only_one_active_adapter_merges() -> None:
    """Only the first of several active adapters is merged."""
    from peft.tuners import tuners_utils

    @patch(tuners_utils, "check_adapters_to_merge")
    def first(real: Any, module: Any, names: Any = None) -> Any:
        return real(module, names)[:1]


@fault("merging", checks=LORA_LIVES)
def unmerged_without_scale() -> None:
    """Unmerging takes B A from the weights without its scale."""
    from peft.tuners.lora.layer import Linear

    @patch(Linear, "unmerge")
    def unscaled(real: Any, self: Any) -> None:
        scales = dict(self.scaling)
        self.scaling.update(dict.fromkeys(scales, 1.0))
        real(self)
        self.scaling.update(scales)


@fault(
    "magnitudes",
    Case("dora"),
    checks=(*DORA_LIVES, f"{LIFE}[dora-llama-pattern]"),
    upstream="https://github.com/huggingface/peft/pull/3609",
)
def norm_of_merged_weights() -> None:
    """A second DoRA adapter is merged with the norm of weights that hold the first."""
    from contextlib import contextmanager

    from peft.tuners.lora.layer import LoraLayer
    from peft.utils.integrations import dequantize_module_weight

    @patch(LoraLayer, "_unmerged_base_weight")
    @contextmanager
    def merged(real: Any, self: Any, *_: Any, **__: Any) -> Any:
        yield dequantize_module_weight(self.get_base_layer())


@fault(
    "magnitudes",
    Case("dora"),
    checks=DORA_LIVES,
    upstream="https://github.com/huggingface/peft/pull/3532",
)
def unmerged_along_the_wrong_axis() -> None:
    """Unmerging DoRA from a transposed layer divides along the wrong axis."""
    from peft.tuners.lora.variants import DoraLinearVariant

    @patch(DoraLinearVariant, "unmerge")
    def untransposed(real: Any, module: Any, active_adapter: str, orig_weight: Any) -> Any:
        norm = module._cache_pop(f"{active_adapter}-weight_norm")
        factor = module.lora_magnitude_vector[active_adapter].weight / norm
        return orig_weight.data / factor.view(-1, 1) - module.get_delta_weight(active_adapter)


# Saved, loaded, resumed


@fault("ranks", Case("adalora"), checks=ADALORA_LIVES)
def cut_ranks_change_the_scale() -> None:
    """After loading, AdaLoRA divides by the ranks that are left instead of those at the start."""
    from peft.tuners.adalora import AdaLoraModel
    from peft.tuners.adalora.layer import AdaLoraLayer

    @patch(AdaLoraModel, "resize_modules_by_rank_pattern")
    def rescaled(real: Any, self: Any, rank_pattern: Any, adapter_name: str) -> None:
        real(self, rank_pattern, adapter_name)
        for module in self.modules():
            if isinstance(module, AdaLoraLayer) and adapter_name in module.lora_A:
                module.ranknum[adapter_name].data.fill_(float(len(module.lora_A[adapter_name])))


@fault("ranks", Case("adalora"), checks=ADALORA_LIVES)
def first_ranks_are_kept() -> None:
    """AdaLoRA's file has the first rows of A and B, however its ranks were cut."""
    from peft.tuners.adalora import AdaLoraModel

    @patch(AdaLoraModel, "resize_state_dict_by_rank_pattern")
    def first(real: Any, self: Any, rank_pattern: Any, state: Any, adapter_name: str) -> Any:
        kept = {name: sorted(rows, reverse=True) for name, rows in rank_pattern.items()}
        return real(self, kept, state, adapter_name)


@fault("resuming", checks=LORA_LIVES, upstream="https://github.com/huggingface/lerobot/issues/3459")
def resumed_from_a_new_adapter() -> None:
    """An adapter that is loaded to train is a new one: its saved weights are discarded."""
    from peft import PeftModel
    from peft.tuners.lora import LoraLayer

    @patch(PeftModel, "load_adapter")
    def discarded(
        real: Any, self: Any, model_id: Any, adapter_name: str, *rest: Any, **named: Any
    ) -> Any:
        result = real(self, model_id, adapter_name, *rest, **named)
        if not self.peft_config[adapter_name].inference_mode:
            for module in self.modules():
                if isinstance(module, LoraLayer) and adapter_name in module.lora_A:
                    module.reset_lora_parameters(adapter_name, True)
        return result


# Other configs


@fault("configs", checks=(f"{OPTION}[modules_to_save-lora-llama-head]",))
def modules_to_save_replaced_by_the_head() -> None:
    """A classifier's head replaces the modules that the config names to be trained."""
    from peft import PeftModelForSequenceClassification

    @patch(PeftModelForSequenceClassification, "__init__")
    def replaced(
        real: Any, self: Any, model: Any, peft_config: Any, *rest: Any, **named: Any
    ) -> None:
        peft_config.modules_to_save = None
        real(self, model, peft_config, *rest, **named)


@fault(
    "configs",
    checks=(
        f"{OPTION}[exclude_modules-lora-llama-head]",
        f"{OPTION}[exclude_modules-ia3-llama-head]",
    ),
)
def exclusions_match_last_names_only() -> None:
    """An excluded pattern is compared with the last part of a module's name."""
    import re

    from peft.tuners import tuners_utils

    @patch(tuners_utils, "check_target_module_exists")
    def last(real: Any, config: Any, key: str) -> Any:
        pattern = getattr(config, "exclude_modules", None)
        if not isinstance(pattern, str) or re.fullmatch(pattern, key.rpartition(".")[2]):
            return real(config, key)
        config.exclude_modules = None
        result = real(config, key)
        config.exclude_modules = pattern
        return result


@fault(
    "configs",
    checks=(
        f"{OPTION}[rank and alpha patterns-lora-llama-head]",
        f"{SWAP}[rank and alpha patterns-lora-pattern-layers-llama]",
    ),
    upstream="https://github.com/huggingface/peft/issues/3582",
)
def patterns_match_plain_names_only() -> None:
    """A pattern of ranks that is a regular expression matches no module, without a word."""
    import re

    from peft.utils import other

    @patch(other, "get_pattern_key")
    def plain(real: Any, patterns: Any, key: str) -> Any:
        return next((each for each in patterns if re.fullmatch(r"[\w.]+", each)), key)


@fault(
    "configs",
    checks=(
        f"{OPTION}[target_parameters-lora-llama-head]",
        f"{OPTION}[target_parameters-lora-gpt2-pattern]",
    ),
    upstream="https://github.com/huggingface/peft/pull/2710",
)
def second_adapter_of_a_parameter_ignored() -> None:
    """Only the first adapter of a targeted parameter is ever applied."""
    from peft.tuners.lora.layer import ParamWrapper

    @patch(ParamWrapper, "_activate_lora")
    def first(real: Any, self: Any, active_adapters: Any) -> Any:
        return real(self, [*self.lora_A][:1] if active_adapters else [])


@fault("hot-swapping", checks=(f"{SWAP}[None-lora-pattern-layers-llama]",))
def swapped_without_its_scale() -> None:
    """A hot-swapped adapter takes over the scale of the one before it."""
    from peft.utils import hotswap

    @patch(hotswap, "_update_scaling")
    def kept(real: Any, *_: Any, **__: Any) -> None:
        return None


@fault(
    "embeddings",
    checks=(
        f"{OPTION}[base model with tied and resized embeddings-lora-gpt2-pattern]",
        f"{OPTION}[base model with tied and resized embeddings-lora-llama-head]",
    ),
)
def resizing_unties() -> None:
    """Resizing the embeddings gives a tied head its own copy, which later loads draw anew."""
    import torch
    from torch import nn
    from transformers import PreTrainedModel

    @patch(PreTrainedModel, "resize_token_embeddings")
    def untied(real: Any, self: Any, *rest: Any, **named: Any) -> Any:
        embeddings = real(self, *rest, **named)
        head = self.get_output_embeddings()
        if head is not None:
            head.weight = nn.Parameter(torch.randn_like(head.weight) * head.weight.std())
        return embeddings


# Other base models


@fault(
    "precision",
    checks=(
        f"{OPTION}[base model in bfloat16-lora-llama-head]",
        f"{OPTION}[base model in bfloat16-lora-gpt2-pattern]",
    ),
    upstream="https://github.com/huggingface/peft/pull/1706",
)
def adapters_in_the_base_models_precision() -> None:
    """On a base model in bfloat16, adapters are bfloat16 too."""
    from peft.tuners import tuners_utils

    @patch(tuners_utils, "cast_adapter_dtype")
    def uncast(real: Any, *_: Any, **__: Any) -> None:
        return None


@fault(
    "precision",
    checks=(
        f"{OPTION}[base model in bfloat16-lora-llama-head]",
        f"{OPTION}[base model in bfloat16-lora-gpt2-pattern]",
    ),
    upstream="https://github.com/huggingface/peft/issues/1090",
)
def second_adapter_in_the_base_models_precision() -> None:
    """On a base model in bfloat16, every adapter after the first is bfloat16."""
    from peft.tuners import tuners_utils

    @patch(tuners_utils, "cast_adapter_dtype")
    def first_only(real: Any, model: Any, adapter_name: str, *rest: Any, **named: Any) -> None:
        if len(getattr(model, "peft_config", {})) < 2 and adapter_name == "default":
            real(model, adapter_name, *rest, **named)


@fault("quantisation", checks=(f"{OPTION}[base model in 8 bits-lora-llama-head]",))
def eight_bit_adapter_without_scale() -> None:
    """In 8-bit layers, an adapter acts without its scale."""
    from peft.tuners.lora.bnb import Linear8bitLt

    @patch(Linear8bitLt, "forward")
    def unscaled(real: Any, self: Any, *rest: Any, **named: Any) -> Any:
        scales = dict(self.scaling)
        self.scaling.update(dict.fromkeys(scales, 1.0))
        result = real(self, *rest, **named)
        self.scaling.update(scales)
        return result


@fault("quantisation", checks=(f"{OPTION}[base model in 8 bits-lora-llama-head]",))
def eight_bit_backward_without_scales() -> None:
    """The backward pass of 8-bit layers multiplies by the integers, without their scales."""
    import torch
    from bitsandbytes.autograd import _functions

    for name in ("MatMul8bitFp", "MatMul8bitLt"):

        @patch(getattr(_functions, name), "backward")
        def unscaled(real: Any, ctx: Any, grad_output: Any) -> Any:
            scales = ctx.state.SCB
            ctx.state.SCB = torch.full_like(scales, 127.0)
            result = real(ctx, grad_output)
            ctx.state.SCB = scales
            return result

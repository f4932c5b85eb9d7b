"""Faults of adapters: scaling, initialisation, merging, activity, ranks, places."""

from __future__ import annotations

from typing import Any

from .change import Case, fault, patch

LORA = Case("lora", shots=16)


@fault("scaling", Case("rslora"), upstream="https://github.com/huggingface/peft/issues/2733")
def rslora_scaled_as_lora() -> None:
    """The scale of rsLoRA is alpha / r instead of alpha / sqrt r."""
    from peft.tuners.lora import LoraLayer

    @patch(LoraLayer, "update_layer")
    def plain(real: Any, self: Any, adapter_name: str, *arguments: Any, **named: Any) -> None:
        real(self, adapter_name, *arguments, **named)
        self.scaling[adapter_name] = self.lora_alpha[adapter_name] / self.r[adapter_name]


@fault("scaling", LORA)
def alpha_ignored() -> None:
    """The scale is one, whatever alpha is."""
    from peft.tuners.lora import LoraLayer

    @patch(LoraLayer, "update_layer")
    def one(real: Any, self: Any, adapter_name: str, *arguments: Any, **named: Any) -> None:
        real(self, adapter_name, *arguments, **named)
        self.scaling[adapter_name] = 1.0


@fault("initialisation", LORA)
def b_not_zero() -> None:
    """B starts at random numbers, so that training does not start at the base model."""
    import torch
    from peft.tuners.lora import LoraLayer

    @patch(LoraLayer, "reset_lora_parameters")
    def loud(real: Any, self: Any, adapter_name: str, *arguments: Any) -> None:
        real(self, adapter_name, *arguments)
        torch.nn.init.normal_(self.lora_B[adapter_name].weight, std=0.02)


@fault("initialisation", LORA)
def a_ten_times_smaller() -> None:
    """A starts ten times smaller: training still starts at the base model and learns more
    slowly."""
    from peft.tuners.lora import LoraLayer

    @patch(LoraLayer, "reset_lora_parameters")
    def faint(real: Any, self: Any, adapter_name: str, *arguments: Any) -> None:
        real(self, adapter_name, *arguments)
        self.lora_A[adapter_name].weight.data.mul_(0.1)


@fault("initialisation", Case("pissa"))
def pissa_residual_not_taken() -> None:
    """The principal part stays in the base weights, although A and B start at it."""
    from peft.tuners.lora import LoraLayer

    @patch(LoraLayer, "pissa_init")
    def doubled(real: Any, self: Any, *arguments: Any) -> None:
        before = self.get_base_layer().weight.data.clone()
        real(self, *arguments)
        self.get_base_layer().weight.data = before


@fault("merging", LORA, upstream="https://github.com/huggingface/peft/pull/2489")
def merged_without_scale() -> None:
    """Merging adds B A without its scale."""
    from peft.tuners.lora.layer import Linear

    @patch(Linear, "get_delta_weight")
    def bare(real: Any, self: Any, adapter: str) -> Any:
        return real(self, adapter) / self.scaling[adapter]


@fault("merging", LORA)
def merged_in_bfloat16() -> None:
    """The merged update is rounded to bfloat16."""
    from peft.tuners.lora.layer import Linear

    @patch(Linear, "get_delta_weight")
    def rounded(real: Any, self: Any, adapter: str) -> Any:
        return real(self, adapter).bfloat16().float()


@fault("merging", Case("ia3"), upstream="https://github.com/huggingface/peft/pull/972")
def bias_not_merged() -> None:
    """Merging IA3 scales the weights and leaves the biases as they were."""
    from peft.tuners.ia3.layer import Linear

    @patch(Linear, "merge")
    def unbiased(real: Any, self: Any, *arguments: Any, **named: Any) -> None:
        bias = self.get_base_layer().bias.data.clone()
        real(self, *arguments, **named)
        self.get_base_layer().bias.data = bias


@fault("activity", LORA, upstream="https://github.com/huggingface/peft/pull/1659")
def another_adapter_active() -> None:
    """Another adapter than the trained one is active in evaluation."""
    from peft.tuners.lora.layer import Linear

    @patch(Linear, "forward")
    def inactive(real: Any, self: Any, x: Any, *arguments: Any, **named: Any) -> Any:
        if self.training:
            return real(self, x, *arguments, **named)
        return self.base_layer(x, *arguments)


@fault("ranks", Case("adalora"))
def ranks_never_fall() -> None:
    """AdaLoRA keeps the ranks that it starts with."""
    from peft import AdaLoraModel

    @patch(AdaLoraModel, "update_and_allocate")
    def kept(real: Any, self: Any, step: int) -> None:
        pass


@fault("places", LORA)
def only_queries_adapted() -> None:
    """PEFT's default modules for this model omit the value projections."""
    from peft.tuners.lora import model

    mapping = {**model.LoraModel.target_module_mapping, "opt": ["q_proj"]}

    @patch(model.LoraModel, "_prepare_adapter_config")
    def fewer(real: Any, self: Any, config: Any, model_config: Any) -> Any:
        if config.target_modules is None:
            config.target_modules = set(mapping["opt"])
        return real(self, config, model_config)


@fault("magnitudes", Case("dora"))
def magnitude_not_normalised() -> None:
    """DoRA scales by its magnitudes without dividing by the norm of the weights."""
    import torch
    from peft.tuners.lora.dora import DoraLinearLayer

    @patch(DoraLinearLayer, "get_weight_norm")
    def ones(real: Any, self: Any, *arguments: Any, **named: Any) -> Any:
        return torch.ones_like(real(self, *arguments, **named))

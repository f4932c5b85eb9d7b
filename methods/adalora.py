"""AdaLoRA with PEFT: train W + P Lambda Q and mask the least important singular values.

Zhang et al. 2023 (arXiv:2303.10512). The budget b(t) falls from `init_r` to `target_r` per matrix,
as a cubic between a warm-up and a final phase (equation 12). A penalty keeps P and Q near
orthogonal: `orthogonality` times the mean of ||P^T P - I|| and ||Q Q^T - I|| over all P and Q.
Equation 4 has the squares; this is PEFT's form. PEFT adds it only to a loss that the model itself
computes, so `penalty` computes it here.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from .base import MethodError, Recipe
from .through_peft import PeftMethod

if TYPE_CHECKING:
    import torch
    from torch import nn

OPTIONS = {
    "init_r": 12,
    "target_r": 8,
    "alpha": 32,
    "dropout": 0.1,
    "orthogonality": 0.1,
    "initial": 0.1,  # share of the steps before the budget falls
    "final": 0.3,  # share of the steps after it has fallen
    "every": 2,  # steps between two allocations
    "targets": "all-linear",
}
MIN_STEPS = 2  # updates: ranks must be weighed before one is cut


class Adalora(PeftMethod):
    name = "adalora"
    recipes = {
        "pocket": Recipe(lr=0.01, epochs=20, options=OPTIONS),
        "paper": Recipe(lr=5e-4, epochs=40, batch_size=32, options={**OPTIONS, "every": 10}),
    }

    def config(self, model: nn.Module) -> Any:
        from peft import AdaLoraConfig

        if self.int_option("target_r") >= self.int_option("init_r"):
            raise MethodError(
                f"adalora: expected target_r under init_r = {self.option('init_r')}, "
                f"got {self.option('target_r')}"
            )
        if not 0 <= self.option("initial") < 1 - self.option("final") <= 1:
            shares = f"{self.option('initial')} and {self.option('final')}"
            raise MethodError(
                "adalora: expected initial and final to be shares that leave steps between them, "
                f"got {shares}"
            )
        return AdaLoraConfig(
            init_r=self.int_option("init_r"),
            target_r=self.int_option("target_r"),
            lora_alpha=self.option("alpha"),
            lora_dropout=self.option("dropout"),
            orth_reg_weight=self.option("orthogonality"),
            deltaT=self.int_option("every"),
            total_step=1,  # `after_step` sets it before the first update
            target_modules=self.target_modules(model),
        )

    def penalty(self, model: nn.Module) -> torch.Tensor | float:
        import torch

        factors = [
            (name, p)
            for name, p in model.named_parameters()
            if "lora_A" in name or "lora_B" in name
        ]
        distances = []
        for name, p in factors:
            gram = p @ p.T if "lora_A" in name else p.T @ p
            distances.append(torch.linalg.matrix_norm(gram - torch.eye(len(gram), device=p.device)))
        weight: float = self.option("orthogonality")
        return torch.stack(distances).mean() * weight

    def after_step(self, model: nn.Module, step: int, steps: int) -> None:
        tuner: Any = model.base_model
        if step == 0:
            config = tuner.peft_config["default"]
            if steps < MIN_STEPS:
                raise MethodError(
                    f"adalora: expected at least {MIN_STEPS} steps, to weigh ranks before one is "
                    f"cut, got {steps}"
                )
            config.tinit, config.tfinal = (
                int(self.option("initial") * steps),
                int(self.option("final") * steps),
            )
            config.total_step = steps
        else:
            tuner.update_and_allocate(step)
        if step == steps:
            self._check_budget(model)

    def _check_budget(self, model: nn.Module) -> None:
        """Check that at most `target_r` singular values per matrix are left (equation 12)."""
        matrices = [p for name, p in model.named_parameters() if "lora_E" in name]
        left, budget = (
            sum(int(p.count_nonzero()) for p in matrices),
            self.int_option("target_r") * len(matrices),
        )
        if left > budget:
            raise MethodError(
                f"adalora: expected its budget of {budget} singular values to be met when training "
                f"ends, {left} are left: peft did not cut them"
            )


METHODS = (Adalora,)

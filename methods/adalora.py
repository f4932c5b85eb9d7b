"""AdaLoRA through peft: W + P Lambda Q, whose least important singular values are masked until the rank budget is met.

Zhang et al. 2023 (arXiv:2303.10512). The budget b(t) falls from `init_r` to `target_r` per matrix as a cubic between the end
of a warm-up and the final phase (equation 12); the penalty R = mean over all P and Q of ||P^T P - I||, ||Q Q^T - I||, weighted
by `orthogonality`, keeps them near orthogonal (equation 4 has the squares; this is peft's form, which peft adds only to a loss
that the model itself computes).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from .base import MethodError, Recipe
from .through_peft import ThroughPeft

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
LEAST_STEPS = 2


class Adalora(ThroughPeft):
    name = "adalora"
    recipes = {
        "pocket": Recipe(lr=0.01, epochs=20, options=OPTIONS),
        "paper": Recipe(lr=5e-4, epochs=40, batch_size=32, options={**OPTIONS, "every": 10}),
    }

    def config(self, model: nn.Module) -> Any:
        from peft import AdaLoraConfig

        if self.int_option("target_r") >= self.int_option("init_r"):
            raise MethodError(
                f"adalora: expected target_r under init_r = {self.option('init_r')}, got {self.option('target_r')}"
            )
        if not 0 <= self.option("initial") < 1 - self.option("final") <= 1:
            given = f"{self.option('initial')} and {self.option('final')}"
            raise MethodError(
                f"adalora: expected initial and final to be shares that leave steps between them, got {given}"
            )
        return AdaLoraConfig(
            init_r=self.int_option("init_r"),
            target_r=self.int_option("target_r"),
            lora_alpha=self.option("alpha"),
            lora_dropout=self.option("dropout"),
            orth_reg_weight=self.option("orthogonality"),
            deltaT=self.int_option("every"),
            total_step=1,  # set before the first step, when it is known
            target_modules=self.targets_of(model),
        )

    def penalty(self, model: nn.Module) -> torch.Tensor | float:
        import torch

        factors = [
            (name, p)
            for name, p in model.named_parameters()
            if "lora_A" in name or "lora_B" in name
        ]
        apart = []
        for name, p in factors:
            gram = p @ p.T if "lora_A" in name else p.T @ p
            apart.append(torch.linalg.matrix_norm(gram - torch.eye(len(gram), device=p.device)))
        weight: float = self.option("orthogonality")
        return torch.stack(apart).mean() * weight

    def after_step(self, model: nn.Module, step: int, steps: int) -> None:
        tuner: Any = model.base_model
        if step == 0:
            config = tuner.peft_config["default"]
            if steps < LEAST_STEPS:
                raise MethodError(
                    f"adalora: expected at least {LEAST_STEPS} steps, to weigh ranks before one is cut, got {steps}"
                )
            config.tinit, config.tfinal = (
                int(self.option("initial") * steps),
                int(self.option("final") * steps),
            )
            config.total_step = steps
        else:
            tuner.update_and_allocate(step)
        if step == steps:
            self._within_budget(model)

    def _within_budget(self, model: nn.Module) -> None:
        """The end of equation 12: no more singular values are left than `target_r` for each matrix."""
        values = [one for name, one in model.named_parameters() if "lora_E" in name]
        left, budget = (
            sum(int(one.count_nonzero()) for one in values),
            self.int_option("target_r") * len(values),
        )
        if left > budget:
            raise MethodError(
                f"adalora: expected its budget of {budget} singular values to be met when training ends, {left} are left: "
                "peft did not cut them"
            )


METHODS = (Adalora,)

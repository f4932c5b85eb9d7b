"""Faults of cost: more bytes, more work, and waiting, which only timing sees (`timed.py`)."""

from __future__ import annotations

import copy
import time
from typing import Any
from weakref import WeakKeyDictionary

from .change import Case, fault, patch

LORA = Case("lora", shots=16)
RECOMPUTED = Case("full", shots=16, options=(("gradient_checkpointing", True), ("epochs", 2)))
LEAKED_MODELS: list[object] = []


@fault("speed", LORA)
def more_work() -> None:
    """A matrix product adds a twentieth of the update's FLOPs."""
    import torch

    from pytest_ftcompare.training.train import Training

    sizes: WeakKeyDictionary[Training, torch.Tensor] = WeakKeyDictionary()

    @patch(Training, "update")
    def costlier(real: Any, self: Any, chosen: list[int]) -> Any:
        if self not in sizes:
            tokens = sum(len(self.stage.rows[row]) for row in chosen)
            flops = 6 * tokens * sum(p.numel() for p in self.model.parameters())
            sizes[self] = torch.ones(
                round((0.05 * flops / 2) ** (1 / 3)), device=self.stage.targets.device
            ).diag()
        _ = sizes[self] @ sizes[self]
        return real(self, chosen)


def waiting() -> None:
    """Each update waits a twentieth of the time of the fastest update so far."""
    from pytest_ftcompare.training.train import Training

    fastest: WeakKeyDictionary[Training, float] = WeakKeyDictionary()

    @patch(Training, "update")
    def slower(real: Any, self: Any, chosen: list[int]) -> Any:
        start = time.perf_counter()
        step = real(self, chosen)
        fastest[self] = min(time.perf_counter() - start, fastest.get(self, 1e9))
        time.sleep(0.05 * fastest[self])
        return step


@fault("memory", LORA)
def wider_state() -> None:
    """Between updates, the optimiser keeps its moments in float64."""
    import torch

    @patch(torch.optim.AdamW, "step")
    def wide(real: Any, self: Any, *arguments: Any) -> Any:
        for state in self.state.values():
            state["exp_avg"], state["exp_avg_sq"] = (
                state["exp_avg"].float(),
                state["exp_avg_sq"].float(),
            )
        done = real(self, *arguments)
        for state in self.state.values():
            state["exp_avg"], state["exp_avg_sq"] = (
                state["exp_avg"].double(),
                state["exp_avg_sq"].double(),
            )
        return done


@fault("memory", RECOMPUTED)
def no_checkpointing() -> None:
    """Gradient checkpointing is requested and not done."""
    from transformers import PreTrainedModel

    @patch(PreTrainedModel, "gradient_checkpointing_enable")
    def nothing(real: Any, self: Any, **_: Any) -> None:
        pass


@fault("memory", LORA)
def second_copy() -> None:
    """A copy of the initial weights stays in memory."""
    from pytest_ftcompare import methods

    for name in ("full", "lora", "bitfit"):

        @patch(methods.load(name), "apply")
        def leaking(real: Any, self: Any, model: Any) -> Any:
            LEAKED_MODELS.append(copy.deepcopy(model))
            return real(self, model)


@fault("memory", LORA)
def activations_kept_twice() -> None:
    """Each layer also keeps the exponential of its input for the backward pass, which needs
    none."""
    from transformers.models.opt.modeling_opt import OPTDecoderLayer

    @patch(OPTDecoderLayer, "forward")
    def twice(real: Any, self: Any, hidden_states: Any, *arguments: Any, **named: Any) -> Any:
        return real(self, hidden_states + 0.0 * hidden_states.exp(), *arguments, **named)


@fault("speed", LORA)
def frozen_weights_get_gradients() -> None:
    """Gradients of the frozen weights beside the adapters are computed and thrown away."""
    from peft.tuners.lora.layer import Linear

    @patch(Linear, "forward")
    def computed(real: Any, self: Any, x: Any, *arguments: Any, **named: Any) -> Any:
        found = real(self, x, *arguments, **named)
        if not found.requires_grad:
            return found
        weight = self.get_base_layer().weight.detach().clone().requires_grad_()
        return found + 0.0 * (x.detach() @ weight.T)

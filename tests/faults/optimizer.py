"""Faults of the optimiser: its state, its settings, its weight decay, what it leaves out."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from .change import Case, fault, patch

CASES = (Case("pbft", shots=16),)
DECAYED = Case("full", shots=16, options=(("weight_decay", 0.1),))


@fault("optimiser", *CASES)
def state_not_kept() -> None:
    """The moments are forgotten after each update."""
    import torch

    @patch(torch.optim.AdamW, "step")
    def forgetful(real: Any, self: Any, *arguments: Any) -> Any:
        self.state.clear()
        return real(self, *arguments)


@fault("optimiser", *CASES)
def state_reset_now_and_then() -> None:
    """The moments are forgotten at every tenth update, as if resumed from a checkpoint without
    them."""
    import torch

    @patch(torch.optim.AdamW, "step")
    def resumed(real: Any, self: Any, *arguments: Any) -> Any:
        self.number = getattr(self, "number", 0) + 1
        if self.number % 10 == 0:
            self.state.clear()
        return real(self, *arguments)


@fault("optimiser", *CASES)
def gradients_never_cleared() -> None:
    """Gradients of earlier updates are added to those of the next."""
    import torch

    @patch(torch.optim.Optimizer, "zero_grad")
    def kept(real: Any, self: Any, *arguments: Any, **named: Any) -> None:
        pass


@fault("optimiser", *CASES)
def other_betas() -> None:
    """The second moment is averaged with 0.95 instead of 0.999."""
    import torch

    @patch(torch.optim.AdamW, "__init__")
    def quicker(real: Any, self: Any, *arguments: Any, **named: Any) -> None:
        real(self, *arguments, **named | {"betas": (0.9, 0.95)})


@fault("optimiser", *CASES)
def betas_swapped_inside() -> None:
    """The update uses betas of 0.9 and 0.9, whatever its parameter groups have."""
    import torch

    @patch(torch.optim.AdamW, "step")
    def swapped(real: Any, self: Any, *arguments: Any) -> Any:
        original = [group["betas"] for group in self.param_groups]
        for group in self.param_groups:
            group["betas"] = (0.9, 0.9)
        done = real(self, *arguments)
        for group, betas in zip(self.param_groups, original, strict=True):
            group["betas"] = betas
        return done


@fault("optimiser", *CASES)
def moments_not_corrected() -> None:
    """The moments are used without bias correction."""
    import torch

    @patch(torch.optim.AdamW, "_init_group")
    def late(real: Any, self: Any, *arguments: Any) -> Any:
        done = real(self, *arguments)
        for state in self.state.values():
            if state["step"] < 1000:
                state["step"] += 100_000
        return done


@fault("optimiser", *CASES)
def every_second_update_skipped() -> None:
    """Every second update is skipped, as if a loss scaler saw an overflow."""
    import torch

    @patch(torch.optim.AdamW, "step")
    def skipping(real: Any, self: Any, *arguments: Any) -> Any:
        self.number = getattr(self, "number", 0) + 1
        return real(self, *arguments) if self.number % 2 else None


@fault("optimiser", Case("full", shots=16))
def one_tensor_left_out() -> None:
    """The multi-tensor update leaves out the last tensor of its list."""
    import torch

    @patch(torch.optim.AdamW, "step")
    def forgetful(real: Any, self: Any, *arguments: Any) -> Any:
        last = self.param_groups[-1]["params"][-1]
        before = last.detach().clone()
        done = real(self, *arguments)
        last.data.copy_(before)
        return done


@fault("weight decay", *CASES)
def default_weight_decay() -> None:
    """A weight decay of zero counts as not given, and the default of 0.01 applies."""
    import torch

    @patch(torch.optim.AdamW, "__init__")
    def default(real: Any, self: Any, *arguments: Any, **named: Any) -> None:
        real(self, *arguments, **named | {"weight_decay": named["weight_decay"] or 0.01})


@contextmanager
def _without_decay(optimizer: Any) -> Iterator[None]:
    """Run the update without weight decay, whatever its parameter groups have."""
    original = [group["weight_decay"] for group in optimizer.param_groups]
    for group in optimizer.param_groups:
        group["weight_decay"] = 0.0
    yield
    for group, decay in zip(optimizer.param_groups, original, strict=True):
        group["weight_decay"] = decay


@fault("weight decay", DECAYED)
def decay_never_on_weights() -> None:
    """The parameter groups have a weight decay, and the update ignores it."""
    import torch

    @patch(torch.optim.AdamW, "step")
    def undecayed(real: Any, self: Any, *arguments: Any) -> Any:
        with _without_decay(self):
            return real(self, *arguments)


@fault("weight decay", DECAYED)
def decay_in_the_gradient() -> None:
    """Weight decay is added to the gradient, as in Adam, instead of subtracted from the weights."""
    import torch

    @patch(torch.optim.AdamW, "step")
    def coupled(real: Any, self: Any, *arguments: Any) -> Any:
        for group in self.param_groups:
            for one in group["params"]:
                if one.grad is not None:
                    one.grad.add_(one.detach(), alpha=group["weight_decay"])
        with _without_decay(self):
            return real(self, *arguments)


@fault("weight decay", DECAYED)
def decay_after_the_update() -> None:
    """Weight decay shrinks the weights after the update instead of before."""
    import torch

    @patch(torch.optim.AdamW, "step")
    def after(real: Any, self: Any, *arguments: Any) -> Any:
        with _without_decay(self):
            done = real(self, *arguments)
        for group in self.param_groups:
            for one in group["params"]:
                one.data.mul_(1 - group["lr"] * group["weight_decay"])
        return done

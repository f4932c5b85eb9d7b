"""Check that a gradient is the derivative of the loss, for the parameters that train.

suites/test_gradients.py calls the checks on tiny models. An outcome shows a wrong backward pass
late, and an invariant that compares two gradients shows none that both have. Here the loss itself
is differentiated by finite differences in double precision. Dropout is off except where
recomputation is checked.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch
from torch import nn
from torch.utils._python_dispatch import TorchDispatchMode

from pytest_ftcompare.checks.dequantised import dequantised
from pytest_ftcompare.checks.errors import broken_by
from pytest_ftcompare.checks.probe import all_rows, build_probe, without_dropout
from pytest_ftcompare.methods.base import Stage
from pytest_ftcompare.training.prepare import PreparedCase
from pytest_ftcompare.training.train import backward, trainable_parameters

DIRECTIONS = 2  # random directions of a check, chosen; each sees all parameters
# Lengths of the step along a direction. A ReLU that a step switches spoils a long step, rounding a
# short one, so the best length counts. Seen on eleven families: the best errs by less than 1e-8.
STEPS = (1e-6, 1e-5, 1e-7)
# Largest error of a derivative along a direction of unit length per number, relative to the norm of
# the gradient. Chosen, a hundred times what was seen. Raising it hides small errors.
DERIVATIVE_TOLERANCE = 1e-6
# Largest norm of the difference of two gradients of a tensor that differ by rounding, relative to
# the norm of the whole gradient. The largest that was seen is 2e-6, of float32 on a CPU.
ROUNDING_TOLERANCE = 1e-4
Gradients = dict[str, torch.Tensor]


class _Double(TorchDispatchMode):
    """Compute in double precision where a model asks for float32, as norms and losses do."""

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Any = None
    ) -> Any:
        options = dict(kwargs or {})
        if options.get("dtype") == torch.float32:
            options["dtype"] = torch.float64
        return func(*args, **options)


@contextmanager
def _constant_norms() -> Iterator[None]:
    """Keep the norms that DoRA's gradient treats as constants (arXiv:2402.09353, section 4.3).

    A norm stays what it was at its first use.
    """
    from peft.tuners.lora.dora import DoraLinearLayer

    layer: Any = DoraLinearLayer
    real = layer.get_weight_norm
    norms: dict[int, torch.Tensor] = {}

    def first_norm(self: Any, *arguments: Any, **named: Any) -> torch.Tensor:
        if id(self) not in norms:
            norms[id(self)] = real(self, *arguments, **named)
        return norms[id(self)]

    layer.get_weight_norm = first_norm
    try:
        yield
    finally:
        layer.get_weight_norm = real


def gradients(model: nn.Module, stage: Stage) -> Gradients:
    """Return the gradient of the stage's loss over all its rows, by parameter."""
    model.zero_grad()
    backward(model, stage, all_rows(stage), 1)
    parameters = trainable_parameters(model)
    taken = {name: p.grad.clone() for name, p in parameters.items() if p.grad is not None}
    model.zero_grad()
    return taken


def _norm(tensors: Mapping[str, torch.Tensor]) -> float:
    return math.sqrt(sum(tensor.norm().item() ** 2 for tensor in tensors.values()))


@torch.no_grad()
def _slope(model: nn.Module, stage: Stage, direction: Gradients, step: float) -> float:
    """Return the central difference of the loss along a direction; the parameters stay."""
    parameters = trainable_parameters(model)
    start = {name: parameters[name].clone() for name in direction}
    losses = []
    for displacement in (step, -step):
        for name, tensor in direction.items():
            parameters[name].copy_(start[name] + displacement * tensor)
        losses.append(stage.loss(model, stage.rows, stage.targets).item())
    for name in direction:
        parameters[name].copy_(start[name])
    return (losses[0] - losses[1]) / (2 * step)


def _check_derivative(exact: nn.Module, stage: Stage, taken: Gradients) -> Iterator[str]:
    generator = torch.Generator().manual_seed(0)
    norm = _norm(taken)
    for _ in range(DIRECTIONS):
        direction = {
            name: torch.randn(tensor.shape, generator=generator, dtype=torch.float64)
            for name, tensor in taken.items()
        }
        expected = sum((direction[name] * tensor).sum().item() for name, tensor in taken.items())
        slopes = []
        for step in STEPS:
            slopes.append(_slope(exact, stage, direction, step))
            if abs(slopes[-1] - expected) <= DERIVATIVE_TOLERANCE * norm:
                break
        else:
            nearest = min(slopes, key=lambda slope: abs(slope - expected))
            yield (
                "the gradient must be the derivative of the loss, "
                f"along a direction it gives {expected:.6g}, the loss changes by {nearest:.6g}"
            )
            return


def _first_different(
    taken: Gradients, expected: Gradients, tolerance: float
) -> tuple[str, float] | None:
    """Return the tensor that differs most, and by how much of the norm; None if none does."""
    norm = _norm(expected)
    differences = {
        name: (taken[name].double() - tensor.double()).norm().item() / norm
        if name in taken
        else float("inf")
        for name, tensor in expected.items()
        if name in taken or tensor.norm().item() > tolerance * norm
    }
    name = max(differences, key=lambda each: differences[each])
    return None if differences[name] <= tolerance else (name, differences[name])


def check_gradient(prepared: PreparedCase) -> list[str]:
    """Return how the gradient on the probe's batch is not the derivative of its loss.

    A method that trains nothing has no gradient.
    """
    probed = build_probe(prepared)
    stage = probed.stage
    if stage is None:
        return []
    without_dropout(probed.model)
    taken = gradients(probed.model, stage)
    # bitsandbytes computes nothing in double precision (docs/upstream.md).
    exact = dequantised(probed.model).double()
    with _Double(), _constant_norms():  # type: ignore[no-untyped-call]
        expected = gradients(exact, stage)
        broken = [*_check_derivative(exact, stage, expected)]
    if different := _first_different(taken, expected, ROUNDING_TOLERANCE):
        name, off = different
        broken.append(
            "the gradient must be that of double precision up to rounding, "
            f"{name} differs by {off:.2g} of the norm"
        )
    return broken


# How a user asks to recompute activations in the backward pass, by what it is called here: before
# PEFT wraps the model, or after; torch has two ways.
RECOMPUTATIONS: Mapping[str, tuple[bool, bool]] = {
    "asked for before the method is applied": (True, False),
    "asked for afterwards": (False, False),
    "asked for before the method is applied, reentrant": (True, True),
    "asked for afterwards, reentrant": (False, True),
}


def _recompute(model: Any, reentrant: bool) -> None:
    model.gradient_checkpointing_enable(gradient_checkpointing_kwargs={"use_reentrant": reentrant})


def _in_training(model: nn.Module, stage: Stage) -> tuple[Gradients, int]:
    """Return the gradient with dropout on, and how often modules computed something."""
    calls = 0

    def count(*_: Any) -> None:
        nonlocal calls
        calls += 1

    leaves = [module for module in model.modules() if not [*module.children()]]
    hooks = [leaf.register_forward_pre_hook(count) for leaf in leaves]
    model.train()
    torch.manual_seed(0)
    taken = gradients(model, stage)
    for hook in hooks:
        hook.remove()
    return taken, calls


def check_recomputation(prepared: PreparedCase) -> tuple[list[str], set[str]]:
    """Return where gradient checkpointing changes a gradient, and which ways are refused.

    The gradient is that of training, with the same dropout drawn.
    """
    probed = build_probe(prepared)
    stage = probed.stage
    broken: list[str] = []
    refused: set[str] = set()
    if stage is None:
        return broken, refused
    start = {name: p.detach() for name, p in trainable_parameters(probed.model).items()}
    expected, stored_calls = _in_training(probed.model, stage)
    for way, (before, reentrant) in RECOMPUTATIONS.items():
        try:
            torch.manual_seed(0)
            base = prepared.loaded().model
            if before:
                _recompute(base, reentrant)
            model = prepared.method.apply(base)
            if not before:
                _recompute(model, reentrant)
            with torch.no_grad():
                for name, parameter in trainable_parameters(model).items():
                    parameter.copy_(start[name])
            taken, calls = _in_training(model, stage)
        except (ValueError, NotImplementedError):
            refused.add(way)
            continue
        except Exception as error:
            broken.append(
                broken_by(f"gradient checkpointing, {way}, must work or be refused", error)
            )
            continue
        if calls <= stored_calls:
            broken.append(f"gradient checkpointing, {way}, must recompute, no module did")
        if different := _first_different(taken, expected, ROUNDING_TOLERANCE):
            name, off = different
            broken.append(
                f"gradient checkpointing, {way}, must keep the gradient, "
                f"{name} differs by {off:.2g} of the norm"
            )
    return broken, refused


def check_compiled(prepared: PreparedCase) -> list[str]:
    """Return how a model compiled by dynamo and AOT autograd has another gradient.

    The backend `aot_eager` generates no code, so that the check takes seconds.
    """
    probed = build_probe(prepared)
    stage = probed.stage
    if stage is None:
        return []
    without_dropout(probed.model)
    expected = gradients(probed.model, stage)
    torch._dynamo.reset()
    probed.model.compile(backend="aot_eager")
    different = _first_different(gradients(probed.model, stage), expected, ROUNDING_TOLERANCE)
    torch._dynamo.reset()
    if different is None:
        return []
    name, off = different
    return [f"compiled, the gradient must be the same, {name} differs by {off:.2g} of the norm"]

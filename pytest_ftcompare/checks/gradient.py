"""Check that a gradient is the derivative of the loss, for the parameters that train.

suites/test_gradients.py calls the checks on tiny models. Accuracy shows a wrong backward pass late.
Two gradients with the same fault agree, so that comparing them shows nothing. Here the loss itself
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
from pytest_ftcompare.checks.errors import error_sentence, guarded
from pytest_ftcompare.checks.probe import all_rows, build_probe, without_dropout
from pytest_ftcompare.methods.base import Stage
from pytest_ftcompare.training.prepare import PreparedCase
from pytest_ftcompare.training.train import backward, trainable_parameters

# Random directions of a check, each over all parameters that train; chosen.
DIRECTIONS = 2
# Lengths of the step along a direction. A ReLU that a step switches spoils a long step, rounding a
# short one, so the best length counts. The best erred by at most 5e-9, over the first output mode
# of all methods on all tiny models.
STEPS = (1e-6, 1e-5, 1e-7)
# Largest error of a derivative along a direction of unit length per number, relative to the norm of
# the gradient. Chosen, two hundred times what was seen. Raising it hides small errors.
DERIVATIVE_TOLERANCE = 1e-6
# Largest norm of the difference of two gradients of a tensor that differ by rounding, relative to
# the norm of the whole gradient. Chosen, ten times the largest that was seen (float32 on a CPU, the
# same combinations). Raising it hides small errors.
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
    actual = {name: p.grad.clone() for name, p in parameters.items() if p.grad is not None}
    model.zero_grad()
    return actual


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


def _check_derivative(exact: nn.Module, stage: Stage, actual: Gradients) -> Iterator[str]:
    """Compare with central differences; a tensor without a gradient counts as zero."""
    generator = torch.Generator().manual_seed(0)
    norm = _norm(actual)
    for _ in range(DIRECTIONS):
        direction = {
            name: torch.randn(parameter.shape, generator=generator, dtype=torch.float64)
            for name, parameter in trainable_parameters(exact).items()
        }
        expected = sum((direction[name] * tensor).sum().item() for name, tensor in actual.items())
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


def _largest_difference(actual: Gradients, expected: Gradients) -> str:
    """Return how the gradients differ by more than rounding, at the tensor that differs most.

    A tensor without a gradient counts as zero. The text is "" if they are equal up to rounding.
    """
    norm = _norm(expected)
    if not math.isfinite(norm) or norm == 0:
        return f"its norm is {norm:g}"
    zero = torch.zeros(())
    shares = {
        name: (actual.get(name, zero).double() - expected.get(name, zero).double()).norm().item()
        / norm
        for name in sorted(expected.keys() | actual.keys())
    }
    # NaN is neither larger nor smaller than a number.
    name = max(shares, key=lambda each: shares[each] if math.isfinite(shares[each]) else math.inf)
    if shares[name] <= ROUNDING_TOLERANCE:
        return ""
    return f"{name} differs by {shares[name]:.2g} of the norm"


def check_gradient(prepared: PreparedCase) -> list[str]:
    """Return how the gradient on the probe's batch is not the derivative of its loss.

    A method that trains nothing has no gradient.
    """
    return list(guarded("a gradient", _check_gradient(prepared)))


def _check_gradient(prepared: PreparedCase) -> Iterator[str]:
    probed = build_probe(prepared)
    stage = probed.stage
    if stage is None:
        return
    without_dropout(probed.model)
    actual = gradients(probed.model, stage)
    # bitsandbytes computes nothing in double precision (docs/upstream.md).
    exact = dequantised(probed.model).double()
    with _Double(), _constant_norms():  # type: ignore[no-untyped-call]
        expected = gradients(exact, stage)
        yield from _check_derivative(exact, stage, expected)
    if difference := _largest_difference(actual, expected):
        yield f"the gradient must be that of double precision up to rounding, {difference}"


# The four ways to switch gradient checkpointing on: before or after the method is applied, and
# reentrant or not, which are two implementations of torch.
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
    actual = gradients(model, stage)
    for hook in hooks:
        hook.remove()
    return actual, calls


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
        promise = f"gradient checkpointing, {way},"
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
            actual, calls = _in_training(model, stage)
        except (ValueError, NotImplementedError):
            refused.add(way)
            continue
        except Exception as error:
            broken.append(error_sentence(f"{promise} must work or be refused", error))
            continue
        if calls <= stored_calls:
            broken.append(f"{promise} must recompute, no module did")
        if difference := _largest_difference(actual, expected):
            broken.append(f"{promise} must keep the gradient, {difference}")
    return broken, refused


def check_compiled(prepared: PreparedCase) -> list[str]:
    """Return how a model compiled by dynamo and AOT autograd has another gradient.

    The backend `aot_eager` generates no code, so that the check takes seconds.
    """
    return list(guarded("a compiled model", _check_compiled(prepared)))


def _check_compiled(prepared: PreparedCase) -> Iterator[str]:
    from torch._dynamo.testing import CompileCounterWithBackend

    probed = build_probe(prepared)
    stage = probed.stage
    if stage is None:
        return
    without_dropout(probed.model)
    expected = gradients(probed.model, stage)
    backend = CompileCounterWithBackend("aot_eager")
    torch._dynamo.reset()
    try:
        probed.model.compile(backend=backend)
        actual = gradients(probed.model, stage)
    finally:
        torch._dynamo.reset()
    if not backend.frame_count:
        yield "compiled, a model must run as graphs, none was compiled"
    if difference := _largest_difference(actual, expected):
        yield f"compiled, the gradient must be the same, {difference}"

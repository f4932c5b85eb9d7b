"""Run cases on the pretended device beside the CPU, in processes of their own.

`python -m tests.placement HUB JOB ...` prints a line of JSON for each job, a `Job` as JSON.
tests/training/test_placement.py calls it: torch must register the device before a process's first
backward pass. Each job runs in a fork, so that the libraries are imported once.
"""

from __future__ import annotations

import itertools
import json
import os
import sys
import warnings
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import torch
from torch.nn.attention import SDPBackend, sdpa_kernel

from tests.pretended_device import DEVICE, PretendedDevice

# Methods that the pretended device cannot run. PiSSA puts a tensor of the device into a parameter
# that is on the CPU, and bitsandbytes makes its own kind of tensor; CUDA's tensors allow both.
NOT_PRETENDED = ("pissa", "qlora")
# Options that make a method's training short.
SMALL = {
    "adalora": {"epochs": 4},
    "adapter_fusion": {"source_epochs": 1, "source_shots": 2},
    "adaptive": {"texts": 16, "passes": 1},
}


# Counts that do not depend on the device's kernels, if attention is the same.
COUNTS = ("weights bytes", "state bytes", "stray bytes", "flops")


@dataclass(frozen=True)
class Job:
    """A case to run on both devices, with a fault of `FAULTS` if one is planted.

    With `costs`, an update is counted on both, and a timed window is taken on the device.
    """

    family: str
    output_mode: str
    method: str
    fault: str = ""
    precision: str = "float32"
    costs: bool = False

    def __str__(self) -> str:
        return "/".join(str(value) for value in asdict(self).values())


def _case(hub: Path, job: Job, device: str) -> Any:
    from pytest_ftcompare.checks import tiny_models
    from pytest_ftcompare.results.case import Case
    from pytest_ftcompare.training.config import TrainingConfig
    from pytest_ftcompare.training.prepare import prepare

    options = {"output_mode": job.output_mode, "epochs": 1, **SMALL.get(job.method, {})}
    task, model = tiny_models.TASKS[job.output_mode], tiny_models.save(job.family, hub)
    case = Case("tiny", job.method, task, model, 2, tuple(sorted(options.items())))
    config = TrainingConfig(
        "pocket", max_length=128, hub=hub, device=device, test_rows=8, precision=job.precision
    )
    return prepare(case, config)


def _waits_of_an_update(prepared: Any, mode: PretendedDevice) -> dict[str, int]:
    """Return what made the host wait in an update, by kind."""
    from pytest_ftcompare.training.prepared_seed import PreparedSeed
    from pytest_ftcompare.training.train import Training

    model = prepared.adapted()
    stage = next(iter(prepared.method.stages(model, PreparedSeed(prepared, 0, 2))))
    training = Training(model, prepared.method, stage, 4, seed=0)
    rows = list(range(len(stage.rows)))
    training.update(rows)
    mode.waits.clear()
    training.update(rows)
    return dict(mode.waits)


def _counts(prepared: Any) -> dict[str, int]:
    from pytest_ftcompare.measure.counted_update import count_update

    with sdpa_kernel(SDPBackend.MATH):
        counts = count_update(prepared)
    return {name: counts[name] for name in COUNTS if name in counts}


def _window(prepared: Any) -> dict[str, Any]:
    """Take a short timed window on the device, with small yardsticks; return what it read."""
    from pytest_ftcompare.measure import timed_window, timer, yardstick

    # The device runs each operation from Python.
    for module, name, value in (
        (yardstick, "ROWS", 1),
        (yardstick, "LENGTH", 4),
        (yardstick, "TRAFFIC", 2**10),
        (yardstick, "SMALL_OPERATIONS", 1),
        (timer, "ROUNDS", 1),
        (timer, "WARM_UP_CALLS", 1),
    ):
        setattr(module, name, value)
    device = prepared.config.device
    torch.get_device_module(device).get_device_properties = lambda _: SimpleNamespace(uuid="none")
    work = timed_window.make_work(prepared)
    clock = itertools.count(0.0, 0.001).__next__
    window, _ = timed_window.measure_window(work, device, 0.0, clock)
    return {"times": sorted(window.times), "readings": window.readings}


def run(hub: Path, job: Job) -> dict[str, Any]:
    """Train, evaluate and check a case on both devices; return what differs, and the waits."""
    from pytest_ftcompare.checks.invariants import check
    from pytest_ftcompare.methods import load
    from pytest_ftcompare.training.run_seed import run_seed

    prepared = _case(hub, job, "cpu")
    on_cpu = run_seed(prepared, 0, lambda *_: None)
    broken_on_cpu = check(prepared.in_float32())[2]
    costs = [_counts(prepared)] if job.costs else []
    waits, window = {}, {}
    with PretendedDevice() as mode:
        prepared = _case(hub, job, str(DEVICE))
        on_device = run_seed(prepared, 0, lambda *_: None)
        broken = check(prepared.in_float32())[2]
        if load(job.method).trains:
            waits = _waits_of_an_update(prepared, mode)
        if job.costs:
            costs.append(_counts(prepared))
            window = _window(prepared)
    pairs = [(each.trace.first_steps, each.predictions_digest) for each in (on_cpu, on_device)]
    return {
        "steps": [pair[0] for pair in pairs],
        "predictions": pairs[0][1] == pairs[1][1],
        "broken": [broken_on_cpu, broken],
        "waits": waits,
        "counts": costs,
        "window": window,
    }


def _leave_on_the_cpu(name: str) -> None:
    """Leave one of the model's inputs on the CPU."""
    from pytest_ftcompare.training.model_io import ModelInterface

    real = ModelInterface.collate

    def collate(self: Any, rows: Any) -> Any:
        batch = real(self, rows)
        return batch | {name: batch[name].cpu()}

    ModelInterface.collate = collate  # type: ignore[method-assign]


def _mask_on_the_cpu() -> None:
    _leave_on_the_cpu("attention_mask")


def _tokens_on_the_cpu() -> None:
    _leave_on_the_cpu("input_ids")


def _targets_on_the_cpu() -> None:
    from pytest_ftcompare.training.prepared_seed import PreparedSeed

    real = PreparedSeed.labels.fget
    PreparedSeed.labels = property(lambda self: real(self).cpu())  # type: ignore[assignment]


def _model_on_the_cpu() -> None:
    torch.nn.Module.to = lambda self, *_, **__: self  # type: ignore[method-assign, assignment]


def _own_modules_on_the_cpu() -> None:
    from pytest_ftcompare.methods.layers import bottleneck

    bottleneck.device_of = lambda module: torch.device("cpu")


def _one_module_on_the_cpu() -> None:
    from pytest_ftcompare.training import run_seed

    real = run_seed.train

    def train(model: Any, *arguments: Any) -> Any:
        name = next(name for name, each in model.named_parameters() if each.requires_grad)
        owner, _, parameter = name.rpartition(".")
        module = model.get_submodule(owner)
        moved = torch.nn.Parameter(getattr(module, parameter).detach().cpu())
        module._parameters[parameter] = moved
        return real(model, *arguments)

    run_seed.train = train


def _positions_on_the_cpu() -> None:
    from pytest_ftcompare.training import model_io

    real = model_io.add_position_ids

    def add(module: Any, arguments: Any, named: Any) -> Any:
        arguments, named = real(module, arguments, named)
        return arguments, named | {"position_ids": named["position_ids"].cpu()}

    model_io.add_position_ids = add


def _outputs_not_moved() -> None:
    torch.Tensor.cpu = lambda self: self  # type: ignore[method-assign, assignment]


def _loss_on_the_cpu() -> None:
    from torch.nn import functional

    real = functional.cross_entropy
    functional.cross_entropy = lambda logits, targets, **named: real(logits.cpu(), targets, **named)


def _lengths_on_the_cpu() -> None:
    from pytest_ftcompare.training import language_modeling, prepared_seed

    real = language_modeling.answer_loss

    def answer_loss(interface: Any, model: Any, rows: Any, counts: torch.Tensor) -> Any:
        return real(interface, model, rows, counts.cpu())

    prepared_seed.answer_loss = answer_loss


FAULTS: dict[str, Callable[[], None]] = {
    function.__name__.removeprefix("_"): function
    for function in (
        _mask_on_the_cpu,
        _tokens_on_the_cpu,
        _targets_on_the_cpu,
        _model_on_the_cpu,
        _own_modules_on_the_cpu,
        _one_module_on_the_cpu,
        _positions_on_the_cpu,
        _outputs_not_moved,
        _loss_on_the_cpu,
        _lengths_on_the_cpu,
    )
}


def _run_job(hub: Path, job: Job) -> None:
    if job.fault:
        FAULTS[job.fault]()
    try:
        outcome = run(hub, job)
    except Exception as error:
        outcome = {"error": f"{type(error).__name__}: {error}"}
    print(json.dumps({"job": str(job), **outcome}), flush=True)


def main() -> None:
    """Print a line of JSON for each job; an error is its line."""
    hub, *jobs = sys.argv[1:]
    warnings.simplefilter("ignore")
    import peft  # noqa: F401

    from pytest_ftcompare.checks import invariants  # noqa: F401
    from pytest_ftcompare.training.library_logging import quiet

    quiet()
    for text in jobs:
        if child := os.fork():
            os.waitpid(child, 0)
        else:
            _run_job(Path(hub), Job(**json.loads(text)))
            os._exit(0)


if __name__ == "__main__":
    main()

"""Plan the memory of one update for a model that does not fit here, from its configuration alone.

The counter traces two shallow models without weights. Their peaks in each phase give the peaks of
any depth (`phases.py`). `report/plan_table.py` prints the plans.
"""

from __future__ import annotations

import copy
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, replace
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import nn
from torch._subclasses.fake_tensor import FakeTensorMode
from transformers import PreTrainedConfig

from pytest_ftcompare import tasks
from pytest_ftcompare.measure.op_counter import OpCounter, Phase
from pytest_ftcompare.measure.plan.fake_model import FakeModelInterface, fill_with_fakes, with_depth
from pytest_ftcompare.measure.plan.phases import extrapolate, highest_peak, mark_phases
from pytest_ftcompare.measure.step_counts import MemoryLedger, PeakMemory, gc_paused
from pytest_ftcompare.methods.base import Stage
from pytest_ftcompare.results.case import Case
from pytest_ftcompare.training.config import TrainingConfig
from pytest_ftcompare.training.evaluate import class_logits
from pytest_ftcompare.training.library_logging import quiet
from pytest_ftcompare.training.prepare import PreparedCase
from pytest_ftcompare.training.prepared_seed import PreparedSeed
from pytest_ftcompare.training.train import backward, make_optimizer, trainable_parameters

if TYPE_CHECKING:
    from pytest_ftcompare.methods.base import Recipe

TASK = "pocket_sst"  # two classes; its texts are not read
# Layers of the shallower model; chosen, above the layers that any method treats differently at
# both ends.
SHALLOW_DEPTH = 9
SCHEDULE_STEPS = 1000  # updates of the training, of which one is traced


@dataclass(frozen=True)
class DepthTrace:
    """The number of trainable parameters, and the peak of each phase."""

    trainable: int
    peaks: dict[Phase, PeakMemory]


@dataclass(frozen=True)
class Plan:
    """A method's trainable parameters and its peak memory, or why it cannot be planned."""

    method: str
    trainable: int = 0
    peak: PeakMemory | None = None
    refusal: str = ""


@dataclass(frozen=True)
class FakeSeed(PreparedSeed):
    """Gives all rows at once; a source task is the task itself."""

    @property
    def support(self) -> list[tasks.Example]:
        return self.prepared.examples["train"]

    def text_stage(self, recipe: Recipe, model: nn.Module, count: int) -> Stage:
        # The last stage is the one that is traced, and it never comes from here.
        return self.stage(recipe)

    def source_task(self, task: str, shots: int) -> PreparedSeed:
        return self


def without_weights(prepared: PreparedCase) -> PreparedCase:
    """Return a case with a fake model and as many fake rows as one update of its seed 0 has.

    Each row is as long as the longest of that seed's rows.
    """
    real = prepared.interface
    # Planning changes the options of a quantised model, and may change the method's own state.
    method, options = copy.deepcopy((prepared.method, real.options))
    seed = PreparedSeed(prepared, 0, prepared.case.shots)
    length = max(map(len, seed.rows)) + real.num_virtual_tokens
    if real.output_mode == "answer":
        length += prepared.task.max_new_tokens
    interface = FakeModelInterface(
        real.path,
        real.output_mode,
        real.task,
        length,
        torch.device("cpu"),
        real.num_virtual_tokens,
        options,
        real.precision,
        shape=real.config,
        dtype=torch.float32,
    )
    rows = seed.support[: method.recipe.batch_size] if method.trains else seed.support
    return replace(
        prepared,
        method=method,
        interface=interface,
        examples={"train": rows},
        config=replace(prepared.config, device="cpu"),
    )


def fake_case(
    method_name: str,
    config: PreTrainedConfig,
    rows: int,
    length: int,
    dtype: torch.dtype,
    **recipe: Any,
) -> PreparedCase:
    """Prepare a method with its recipe for real models, with a fake model and fake rows."""
    method_class = import_module("pytest_ftcompare.methods").load(method_name)
    method = method_class(replace(method_class.recipes["paper"], **recipe))
    task, device = tasks.load(TASK), torch.device("cpu")
    examples = {
        "train": [tasks.Example({"sentence": ""}, row % len(task.labels)) for row in range(rows)]
    }
    name, options = Path(config.model_type), method.load_options()
    interface = FakeModelInterface(
        name,
        method.output_mode,
        task,
        length,
        device,
        method.num_virtual_tokens,
        options,
        shape=config,
        dtype=dtype,
    )
    return PreparedCase(
        Case("plan", method_name, TASK, config.model_type, rows),
        task,
        examples,
        method,
        interface,
        TrainingConfig("paper"),
    )


def adapt_on_meta(prepared: PreparedCase, interface: FakeModelInterface) -> nn.Module:
    """Return the adapted model on the meta device, with new modules in the model's type."""
    default = torch.get_default_dtype()
    torch.set_default_dtype(interface.dtype)
    try:
        with torch.device("meta"):
            return replace(prepared, interface=replace(interface, filled=False)).adapted()
    finally:
        torch.set_default_dtype(default)


def trace_update(prepared: PreparedCase, depth: int) -> DepthTrace:
    """Trace one update of a model with `depth` layers, or one evaluation if nothing trains."""
    assert isinstance(prepared.interface, FakeModelInterface)
    interface = replace(prepared.interface, shape=with_depth(prepared.interface.config, depth))
    prepared, method = replace(prepared, interface=interface), prepared.method
    model = adapt_on_meta(prepared, interface)
    layers = next(
        module
        for module in model.modules()
        if isinstance(module, nn.ModuleList) and len(module) == depth
    )
    with FakeTensorMode(allow_non_fake_inputs=True), gc_paused():
        fill_with_fakes(model, interface.dtype)
        context = FakeSeed(prepared, 0, 0)
        stage = deque(method.stages(model, context), maxlen=1).pop() if method.trains else None
        optimizer = make_optimizer(model, stage) if stage else None
        counter = OpCounter()
        with MemoryLedger(counter, model, optimizer) as ledger, counter:
            mark_phases(layers, counter)
            if stage and optimizer:
                _train(method, model, stage, optimizer, counter)
            else:
                counter.enter("start")
                class_logits(model, interface, context.rows)
        numbers = (
            sum(parameter.numel() for parameter in trainable_parameters(model).values())
            if stage
            else 0
        )
        return DepthTrace(
            numbers, {phase: ledger.peak(snapshot) for phase, snapshot in counter.snapshots.items()}
        )


def _train(
    method: Any,
    model: nn.Module,
    stage: Stage,
    optimizer: torch.optim.Optimizer,
    counter: OpCounter,
) -> None:
    """Do the loop's update, without reading values, which fake tensors do not have."""
    for group in optimizer.param_groups:
        # torch chooses this on a GPU: all tensors at once, which needs a copy of them.
        group["foreach"] = True
    parameters = [parameter for group in optimizer.param_groups for parameter in group["params"]]
    model.train()
    method.after_step(model, 0, SCHEDULE_STEPS)
    # A first update without backward makes the state that later updates keep.
    for parameter in parameters:
        parameter.grad = torch.zeros_like(parameter)
    optimizer.step()
    method.after_step(model, 1, SCHEDULE_STEPS)
    optimizer.zero_grad()
    counter.enter("start")
    backward(model, stage, list(range(len(stage.rows))), stage.recipe.micro_batches)
    counter.enter("clip")
    nn.utils.clip_grad_norm_(parameters, stage.recipe.max_grad_norm)
    counter.enter("step")
    optimizer.step()
    counter.enter("after")
    method.after_step(model, 2, SCHEDULE_STEPS)
    optimizer.zero_grad()


def plan(
    method_name: str,
    config: PreTrainedConfig,
    rows: int,
    length: int,
    dtype: torch.dtype = torch.bfloat16,
    **recipe: Any,
) -> Plan:
    """Plan an update on `rows` texts of `length` tokens, virtual tokens included.

    `recipe` overrides fields of the method's recipe.
    """
    return plan_case(fake_case(method_name, config, rows, length, dtype, **recipe))


def plan_case(prepared: PreparedCase) -> Plan:
    """Plan one update of a case of `fake_case` or `without_weights`."""
    method_name = prepared.method.name
    depth: int = prepared.interface.config.num_hidden_layers
    if depth <= SHALLOW_DEPTH + 1:
        whole = trace_update(prepared, depth)
        return Plan(method_name, whole.trainable, highest_peak(whole.peaks.values()))
    first, second = trace_update(prepared, SHALLOW_DEPTH), trace_update(prepared, SHALLOW_DEPTH + 1)
    extra_layers = depth - SHALLOW_DEPTH
    trained = first.trainable + (second.trainable - first.trainable) * extra_layers
    return Plan(
        method_name, trained, highest_peak(extrapolate(first.peaks, second.peaks, extra_layers))
    )


def plan_all(config: PreTrainedConfig, rows: int, length: int) -> Iterator[Plan]:
    """Yield a plan of every method; one that cannot be planned states why in `refusal`."""
    quiet()
    for name in import_module("pytest_ftcompare.methods").NAMES:
        try:
            yield plan(name, config, rows, length)
        # A method may use any library, so any exception is possible.
        except Exception as error:
            yield Plan(
                name,
                refusal=(str(error) or type(error).__name__)
                .splitlines()[0]
                .removeprefix(f"{name}: "),
            )

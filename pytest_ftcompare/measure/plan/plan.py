"""What a step of training would need for a model that does not fit here, from the model's configuration alone.

Two shallow copies of the model, without weights, are traced by the counter; what they need at each phase of a step gives what
any depth needs.
"""

from __future__ import annotations

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
from pytest_ftcompare.measure.plan.fake_model import FakeModelInterface, fill, shallow
from pytest_ftcompare.measure.plan.phases import deeper, highest, mark
from pytest_ftcompare.measure.step_counts import MemoryLedger, PeakMemory, uncollected
from pytest_ftcompare.methods.base import Stage
from pytest_ftcompare.results.case import Case
from pytest_ftcompare.training.config import TrainingConfig
from pytest_ftcompare.training.evaluate import class_logits
from pytest_ftcompare.training.library_logging import quiet
from pytest_ftcompare.training.prepare import PreparedCase
from pytest_ftcompare.training.prepared_seed import PreparedSeed
from pytest_ftcompare.training.train import backward, make_optimizer, trainable

if TYPE_CHECKING:
    from pytest_ftcompare.methods.base import Recipe

TASK = "pocket_sst"  # two classes; its texts are replaced
DEPTH = 9  # layers of the shallower copy: more than any method treats apart at both ends
MANY = 1000  # updates of the training of which one is traced


@dataclass(frozen=True)
class DepthTrace:
    """How many parameters train, and the peak of each phase."""

    trainable: int
    peaks: dict[Phase, PeakMemory]


@dataclass(frozen=True)
class Plan:
    """How many parameters of the model train with a method, and what is alive at the peak; or why that cannot be told."""

    method: str
    trainable: int = 0
    peak: PeakMemory | None = None
    refusal: str = ""


@dataclass(frozen=True)
class FakeSeed(PreparedSeed):
    """All rows at once, whatever they are; a source task is one like the task itself."""

    @property
    def support(self) -> list[tasks.Example]:
        return self.prepared.examples["train"]

    def text_stage(self, recipe: Recipe, model: nn.Module, count: int) -> Stage:
        return self.stage(recipe)  # never the last one, which is traced

    def of(self, task: str, shots: int) -> PreparedSeed:
        return self


def fake(
    method_name: str,
    config: PreTrainedConfig,
    rows: int,
    length: int,
    dtype: torch.dtype,
    **recipe: Any,
) -> PreparedCase:
    """A method with its recipe for real models, and fakes in the places of the model and of the rows."""
    method_class = import_module("pytest_ftcompare.methods").load(method_name)
    method = method_class(replace(method_class.recipes["paper"], **recipe))
    task, device = tasks.load(TASK), torch.device("cpu")
    examples = {
        "train": [tasks.Example({"sentence": ""}, at % len(task.labels)) for at in range(rows)]
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


def adapted(prepared: PreparedCase, interface: FakeModelInterface) -> nn.Module:
    """The model with the method applied, on the meta device; new modules in the model's type, as if it was the default."""
    before = torch.get_default_dtype()
    torch.set_default_dtype(interface.dtype)
    try:
        with torch.device("meta"):
            return replace(prepared, interface=replace(interface, filled=False)).adapted()
    finally:
        torch.set_default_dtype(before)


def trace(prepared: PreparedCase, depth: int) -> DepthTrace:
    """One update of a model with `depth` layers under the counter, or one evaluation where nothing trains."""
    assert isinstance(prepared.interface, FakeModelInterface)
    interface = replace(prepared.interface, shape=shallow(prepared.interface.config, depth))
    prepared, method = replace(prepared, interface=interface), prepared.method
    model = adapted(prepared, interface)
    layers = next(
        one for one in model.modules() if isinstance(one, nn.ModuleList) and len(one) == depth
    )
    with FakeTensorMode(allow_non_fake_inputs=True), uncollected():
        fill(model, interface.dtype)
        context = FakeSeed(prepared, 0, 0)
        stage = deque(method.stages(model, context), maxlen=1).pop() if method.trains else None
        optimizer = make_optimizer(model, stage) if stage else None
        counter = OpCounter()
        with MemoryLedger(counter, model, optimizer) as books, counter:
            mark(layers, counter)
            if stage and optimizer:
                _train(method, model, stage, optimizer, counter)
            else:
                counter.enter("start")
                class_logits(model, interface, context.rows)
        numbers = sum(one.numel() for one in trainable(model).values()) if stage else 0
        return DepthTrace(
            numbers, {phase: books.peak(moment) for phase, moment in counter.moments.items()}
        )


def _train(
    method: Any,
    model: nn.Module,
    stage: Stage,
    optimizer: torch.optim.Optimizer,
    counter: OpCounter,
) -> None:
    """The loop's update, but for reading numbers off, of which fakes have none."""
    for group in optimizer.param_groups:
        group["foreach"] = (
            True  # as torch chooses on a GPU: all tensors at once, which takes a copy of them
        )
    parameters = [one for group in optimizer.param_groups for one in group["params"]]
    model.train()
    method.after_step(model, 0, MANY)
    for one in (
        parameters
    ):  # an update without a backward: what is kept between updates is there when one is traced
        one.grad = torch.zeros_like(one)
    optimizer.step()
    method.after_step(model, 1, MANY)
    optimizer.zero_grad()
    counter.enter("start")
    backward(model, stage, list(range(len(stage.rows))), 1)
    counter.enter("clip")
    nn.utils.clip_grad_norm_(parameters, stage.recipe.max_grad_norm)
    counter.enter("step")
    optimizer.step()
    counter.enter("after")
    method.after_step(model, 2, MANY)
    optimizer.zero_grad()


def plan(
    method_name: str,
    config: PreTrainedConfig,
    rows: int,
    length: int,
    dtype: torch.dtype = torch.bfloat16,
    **recipe: Any,
) -> Plan:
    """What a step on `rows` texts of `length` tokens, the method's own among them, needs; `recipe` sets fields of its own."""
    depth: int = config.num_hidden_layers
    prepared = fake(method_name, config, rows, length, dtype, **recipe)
    if depth <= DEPTH + 1:
        whole = trace(prepared, depth)
        return Plan(method_name, whole.trainable, highest(whole.peaks.values()))
    first, second = trace(prepared, DEPTH), trace(prepared, DEPTH + 1)
    more = depth - DEPTH
    trained = first.trainable + (second.trainable - first.trainable) * more
    return Plan(method_name, trained, highest(deeper(first.peaks, second.peaks, more)))


def table(config: PreTrainedConfig, rows: int, length: int) -> Iterator[Plan]:
    """Every method, one after the other; one that cannot be planned says why."""
    quiet()
    for name in import_module("pytest_ftcompare.methods").NAMES:
        try:
            yield plan(name, config, rows, length)
        except Exception as error:  # of any library that a method is made of
            yield Plan(
                name,
                refusal=(str(error) or type(error).__name__)
                .splitlines()[0]
                .removeprefix(f"{name}: "),
            )

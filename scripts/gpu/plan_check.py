"""The plan of an update's memory against the peak of torch's allocator, for models of some sizes.

The models are LLaMA-shaped with random weights. All rows have the same length, as in the plan.
"""

from __future__ import annotations

import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from transformers import AutoTokenizer, LlamaConfig, LlamaForCausalLM

from pytest_ftcompare.checks.tiny_models import TOKEN_IDS, TOKENIZER
from pytest_ftcompare.measure.plan.plan import TASK, plan
from pytest_ftcompare.results.case import Case
from pytest_ftcompare.training.config import TrainingConfig
from pytest_ftcompare.training.model_io import ModelInterface
from pytest_ftcompare.training.prepare import PreparedCase, prepare
from pytest_ftcompare.training.prepared_seed import PreparedSeed
from pytest_ftcompare.training.train import Training
from scripts.gpu.piece import Piece, Run, Work
from scripts.gpu.record import Values
from scripts.gpu.scope import Scope
from scripts.gpu.table import Table

if TYPE_CHECKING:
    from pytest_ftcompare.methods.base import Rows

GIB = 2**30
TOKEN = 5  # of all texts; any but the padding's
SCHEDULE_STEPS = 1000  # updates of the schedule, of which two are done


@dataclass(frozen=True)
class EqualRows(ModelInterface):
    """Encodes any text as `max_length` equal tokens, and the first with one token less.

    Without padding, transformers would drop the mask.
    """

    def encode(self, texts: list[str]) -> Rows:
        return [[TOKEN] * (self.max_length - (number == 0)) for number in range(len(texts))]


def _units(run: Run) -> Mapping[str, Work]:
    # The partials hold the folder, which is removed with them.
    hub = tempfile.TemporaryDirectory()
    return {
        f"{method}, {name}": partial(_compare, run.scope, hub, method, name)
        for name in run.scope.planned_shapes
        for method in run.scope.planned_methods
    }


def _config(layers: int, width: int) -> Any:
    return LlamaConfig(
        num_hidden_layers=layers,
        hidden_size=width,
        intermediate_size=8 * width // 3 // 64 * 64 + 64,
        num_attention_heads=width // 64,
        vocab_size=32_000,
        **TOKEN_IDS,
    )


def _save(hub: Path, name: str, config: Any) -> str:
    """Return the id of a model with random weights in a hub folder; make it if it is new."""
    model_id = f"planned/{name.replace(' ', '-')}"
    path = hub / "models" / model_id
    if not path.is_dir():
        model: Any = LlamaForCausalLM(config)
        # Half the bytes on the disk; the weights are read as float32.
        model.to(torch.bfloat16).save_pretrained(path)
        AutoTokenizer.from_pretrained(TOKENIZER).save_pretrained(path)
    return model_id


def _compare(scope: Scope, hub: tempfile.TemporaryDirectory[str], method: str, name: str) -> Values:
    """Return the planned peak of a second update, and the allocator's."""
    config = _config(*scope.planned_shapes[name])
    rows, length = scope.planned_batch
    prepared = _prepare(scope, Path(hub.name), method, _save(Path(hub.name), name, config))
    allocator = torch.get_device_module(scope.device)
    before = allocator.memory_allocated()
    torch.manual_seed(0)
    model = prepared.adapted()
    stage = PreparedSeed(prepared, 0, prepared.case.shots).stage(prepared.method.recipe)
    training = Training(model, prepared.method, stage, SCHEDULE_STEPS, 0)
    numbers = list(range(len(stage.rows)))
    training.update(numbers)
    allocator.reset_peak_memory_stats()
    training.update(numbers)
    planned = plan(method, config, rows, length, torch.float32)
    assert planned.peak is not None
    return {
        "planned bytes": planned.peak.peak,
        "allocated bytes": allocator.max_memory_allocated() - before,
        "reserved bytes": allocator.max_memory_reserved(),
    }


def _prepare(scope: Scope, hub: Path, method: str, model: str) -> PreparedCase:
    rows, length = scope.planned_batch
    recipe = {"batch_size": rows, "micro_batches": 1}
    settings = TrainingConfig("paper", scope.device, max_length=length, hub=hub, recipe=recipe)
    # The task has two classes.
    prepared = prepare(Case("plan", method, TASK, model, rows // 2), settings)
    interface = prepared.interface
    values = {each.name: getattr(interface, each.name) for each in fields(interface)}
    return replace(prepared, interface=EqualRows(**values))


def _tables(units: Mapping[str, Values]) -> Sequence[Table]:
    rows = []
    for name, unit in units.items():
        method, _, shape = name.partition(", ")
        planned, allocated = unit["planned bytes"], unit["allocated bytes"]
        ratio = f"{allocated / planned - 1:+.1%}"
        rows.append((shape, method, f"{planned / GIB:.3f}", f"{allocated / GIB:.3f}", ratio))
    columns = ("model", "method", "planned, GiB", "allocated, GiB", "difference")
    return [Table("Peak memory of an update", columns, rows)] if rows else []


PLAN_CHECK = Piece("plan", "the plan of memory against the allocator", _units, _tables)

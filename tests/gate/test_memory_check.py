"""A case that its GPU cannot hold is refused before training, from the plan of its own update."""

import os
import re
from dataclasses import replace
from types import SimpleNamespace

import pytest
import torch

from pytest_ftcompare.checks import tiny_models
from pytest_ftcompare.gate import memory_check
from pytest_ftcompare.gate.memory_check import check_memory
from pytest_ftcompare.gate.resource_estimate import LIBRARY_BYTES
from pytest_ftcompare.measure.plan import plan
from pytest_ftcompare.measure.plan.plan import plan_case, without_weights
from pytest_ftcompare.measure.step_counts import count_step
from pytest_ftcompare.results.case import Case
from pytest_ftcompare.training.config import TrainingConfig
from pytest_ftcompare.training.prepare import prepare
from pytest_ftcompare.training.prepared_seed import PreparedSeed
from pytest_ftcompare.training.train import Training
from tests.measure.fake_nvml import GIB, UUID, install_card

MIB = 2**20
FREE = int(LIBRARY_BYTES)


@pytest.fixture(scope="module")
def hub(tmp_path_factory):
    folder = tmp_path_factory.mktemp("hub")
    for family in ("opt", "bert", "t5"):
        tiny_models.save(family, folder)
    return folder


@pytest.fixture
def prepared(hub):
    """Return a function that prepares a case of 8 rows of each class, one update's batch."""

    def prepare_case(
        method, family="opt", task="pocket_sst", shots=8, precision="float32", **options
    ):
        case = Case("s", method, task, f"tiny/{family}", shots, tuple(options.items()))
        return prepare(case, TrainingConfig("pocket", hub=hub, precision=precision))

    return prepare_case


@pytest.mark.parametrize(
    "case",
    [
        {"method": "full"},
        {"method": "full", "micro_batches": 4},
        {"method": "lora", "family": "bert"},
        {"method": "lora", "gradient_checkpointing": True},
        {"method": "qlora", "precision": "bfloat16"},
        {"method": "lora", "output_mode": "answer", "task": "pocket_instructions", "shots": 16},
    ],
    ids=str,
)
def test_the_plan_is_what_the_cases_own_update_needs(prepared, case):
    real = prepared(**case)
    context = PreparedSeed(real, 0, real.case.shots)
    model = real.adapted()
    training = Training(model, real.method, context.stage(real.method.recipe), 100, 0)
    for group in training.optimizer.param_groups:
        group["foreach"] = True
    batch = list(range(len(context.support)))
    training.update(batch)
    needed = count_step(lambda: training.update(batch), model, training.optimizer)
    planned = plan_case(without_weights(real)).peak
    assert (planned.weights, planned.optimizer) == (needed.weights, needed.optimizer)
    # The loop keeps numbers of a few bytes. All planned rows are as long as the longest, in each
    # micro-batch.
    assert 0.999 * needed.peak <= planned.peak <= 1.2 * needed.peak


def on_gpu(monkeypatch, case, memory, margin=0.0, **readings):
    """Return what is said of a case on a GPU with so many bytes."""
    install_card(monkeypatch, **readings)
    monkeypatch.setattr(memory_check, "PLAN_MARGIN", margin)
    properties = SimpleNamespace(total_memory=memory, uuid=UUID)
    monkeypatch.setattr(torch.cuda, "current_device", lambda: 0)
    monkeypatch.setattr(torch.cuda, "get_device_properties", lambda _: properties)
    return check_memory(replace(case, config=replace(case.config, device="cuda")), {})


def test_need_and_memory_are_told_with_what_to_change(monkeypatch, prepared):
    case = prepared("full")
    fitting = plan_case(without_weights(case)).peak.peak
    assert not on_gpu(monkeypatch, case, FREE + fitting)
    assert re.fullmatch(
        r"not trained: its update needs 478\.\d+ MiB \(weights 240\.25 KiB, gradients \S+ KiB, "
        r"optimizer 480\.64 KiB, activations \S+ KiB, libraries 476\.84 MiB\), the GPU has "
        r"478\.\d+ MiB: use more micro_batches, gradient_checkpointing=True or a smaller "
        r"batch_size in the case's options",
        on_gpu(monkeypatch, case, FREE + fitting - 2**10),
    )


def test_where_activations_are_not_the_cause_no_option_helps(monkeypatch, prepared):
    said = on_gpu(monkeypatch, prepared("full"), FREE)
    assert said.endswith(": it needs a larger GPU, or a method that trains fewer parameters")


def test_memory_of_other_processes_is_told(monkeypatch, prepared):
    assert not on_gpu(monkeypatch, prepared("full"), GIB)
    processes = {os.getpid(): MIB, 4242: GIB // 2 + 64 * MIB}
    said = on_gpu(monkeypatch, prepared("full"), GIB, processes=processes)
    assert "the GPU has 1.00 GiB, of which other processes hold 576.00 MiB: " in said


def test_a_plan_may_exceed_the_memory_by_a_margin(monkeypatch, prepared):
    case = prepared("full")
    needed = plan_case(without_weights(case)).peak.peak + FREE
    assert not on_gpu(monkeypatch, case, needed / 1.09, margin=0.1)
    assert on_gpu(monkeypatch, case, needed / 1.11, margin=0.1)


def test_a_small_case_is_not_planned(monkeypatch, prepared):
    monkeypatch.setattr(plan, "plan_case", lambda _: pytest.fail("planned"))
    assert not on_gpu(monkeypatch, prepared("full"), 24 * GIB)


def test_a_case_that_cannot_be_planned_is_trained(monkeypatch, prepared):
    assert not on_gpu(monkeypatch, prepared("lora", "t5", output_mode="pattern"), FREE)

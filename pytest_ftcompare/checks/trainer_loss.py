"""Check the loss of transformers.Trainer, as its users run it, against the definition.

suites/test_engines.py calls `check_trainer_loss` and `run_trainer`. The Trainer uses its own
sampler and the loss that the model computes from labels. By definition, an update minimises the
mean over all labelled tokens of its rows, or over its rows for a head, however it is cut into
micro-batches (docs/engines.md). The definition is computed in double precision.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import chain
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

import torch
from torch import nn
from torch.nn.functional import cross_entropy
from transformers import PrinterCallback, Trainer, TrainingArguments

from pytest_ftcompare.checks.engine_parity import ROUNDING
from pytest_ftcompare.checks.probe import without_dropout
from pytest_ftcompare.methods.base import Stage
from pytest_ftcompare.training.language_modeling import IGNORED_LABEL
from pytest_ftcompare.training.model_io import ModelInterface
from pytest_ftcompare.training.prepare import PreparedCase
from pytest_ftcompare.training.prepared_seed import PreparedSeed
from pytest_ftcompare.training.train import Step, trainable_parameters

if TYPE_CHECKING:
    from pytest_ftcompare.methods.base import Inputs


def labelled_batch(interface: ModelInterface, stage: Stage, chosen: list[int]) -> Inputs:
    """Collate rows with labels: the class, (rows,), or the answer's tokens, (rows, length)."""
    inputs, targets = (
        interface.collate([stage.rows[number] for number in chosen]),
        stage.targets[chosen],
    )
    if interface.output_mode != "answer":
        return inputs | {"labels": targets}
    length = inputs["input_ids"].shape[1]
    before = torch.arange(length, device=targets.device) < length - targets[:, None]
    return inputs | {"labels": inputs["input_ids"].masked_fill(before, IGNORED_LABEL)}


def reference_step(model: nn.Module, inputs: Inputs) -> Step:
    """Compute loss and gradient norm of one batch by definition, in double precision."""
    exact: Any = copy.deepcopy(model).double()
    labels, arguments = (
        inputs["labels"],
        {name: tensor for name, tensor in inputs.items() if name != "labels"},
    )
    logits = exact(**arguments).logits
    if labels.dim() == 2:
        logits, labels = logits[:, :-1].transpose(1, 2), labels[:, 1:]
    loss = (
        cross_entropy(logits, labels, ignore_index=IGNORED_LABEL, reduction="sum")
        / (labels != IGNORED_LABEL).sum()
    )
    loss.backward()
    gradients = [
        parameter.grad
        for parameter in trainable_parameters(exact).values()
        if parameter.grad is not None
    ]
    return Step(loss.item(), nn.utils.get_total_norm(gradients).item())


@dataclass(frozen=True)
class TrainerRun:
    """Rows of each update, by epoch, the logged steps, and the trained model."""

    epochs: list[list[list[int]]]
    steps: list[Step]
    model: nn.Module


def run_trainer(prepared: PreparedCase, model: nn.Module, seed: int = 0) -> TrainerRun:
    """Train the model on seed 0's rows by the Trainer alone."""
    interface, recipe = prepared.interface, prepared.method.recipe
    stage = PreparedSeed(prepared, 0, prepared.case.shots).stage(recipe)
    seen: list[list[int]] = []

    def collate(numbers: list[int]) -> Inputs:
        seen.append(numbers)
        return labelled_batch(interface, stage, numbers)

    with TemporaryDirectory() as folder:
        arguments = TrainingArguments(
            folder,
            learning_rate=recipe.lr,
            num_train_epochs=recipe.epochs,
            per_device_train_batch_size=recipe.batch_size // recipe.micro_batches,
            gradient_accumulation_steps=recipe.micro_batches,
            seed=seed,
            use_cpu=interface.device.type == "cpu",
            logging_steps=1,
            remove_unused_columns=False,
            save_strategy="no",
            report_to="none",
            disable_tqdm=True,
        )
        trainer = Trainer(model, arguments, collate, range(len(stage.rows)))
        trainer.remove_callback(PrinterCallback)
        trainer.train()
    logs = [
        Step(entry["loss"], entry["grad_norm"])
        for entry in trainer.state.log_history
        if "grad_norm" in entry
    ]
    return TrainerRun(_epochs(seen, len(seen) // recipe.epochs, recipe.micro_batches), logs, model)


def _epochs(seen: list[list[int]], count: int, micro_batches: int) -> list[list[list[int]]]:
    """Join micro-batches to updates; an epoch has `count`, and its last update may have fewer."""
    epochs = [seen[start : start + count] for start in range(0, len(seen), count)]
    return [
        [
            list(chain(*epoch[start : start + micro_batches]))
            for start in range(0, count, micro_batches)
        ]
        for epoch in epochs
    ]


def check_trainer_loss(prepared: PreparedCase) -> Iterator[str]:
    """Yield sentences for the first update with another loss or norm than the definition.

    Dropout is off. The case must have a learning rate of zero.
    """
    torch.manual_seed(0)
    model: Any = prepared.adapted()
    without_dropout(model)
    model.train = lambda mode=True: model
    stage = PreparedSeed(prepared, 0, prepared.case.shots).stage(prepared.method.recipe)
    result = run_trainer(prepared, model)
    updates = [update for epoch in result.epochs for update in epoch]
    for number, (chosen, step) in enumerate(zip(updates, result.steps, strict=True)):
        expected = reference_step(model, labelled_batch(prepared.interface, stage, chosen))
        pairs = (("loss", step.loss, expected.loss), ("gradient norm", step.norm, expected.norm))
        wrong = [pair for pair in pairs if abs(pair[1] - pair[2]) > ROUNDING * pair[2]]
        for quantity, logged, exact in wrong:
            yield (
                f"the Trainer's {quantity} must be that of the update's {len(chosen)} rows in one "
                f"batch, {exact:.6g}, it is {logged:.6g} in update {number + 1} of {len(updates)}"
            )
        if wrong:
            return

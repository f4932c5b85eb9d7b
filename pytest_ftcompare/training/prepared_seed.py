"""One seed of a case as its method sees it: its training rows, and the stages made from them.

`PreparedSeed` implements the protocol `SeedContext` of methods/base.py.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING

import torch
from torch import nn

from pytest_ftcompare import tasks
from pytest_ftcompare.methods.base import Stage
from pytest_ftcompare.results.result import digest
from pytest_ftcompare.tasks import few_shot
from pytest_ftcompare.training.evaluate import class_logits
from pytest_ftcompare.training.language_modeling import answer_loss, append_answers, text_loss
from pytest_ftcompare.training.model_kind import ModelError
from pytest_ftcompare.training.prepare import PreparedCase, labels

if TYPE_CHECKING:
    from pytest_ftcompare.methods.base import Inputs, Loss, Recipe, Rows


@dataclass(frozen=True)
class ModelDefinedLoss:
    """A loss that the model itself also computes, from `inputs` with labels.

    `hf_trainer.py` then lets the model compute it.
    """

    loss: Loss
    inputs: Callable[[Rows, torch.Tensor], Inputs]

    def __call__(self, model: nn.Module, rows: Rows, targets: torch.Tensor) -> torch.Tensor:
        return self.loss(model, rows, targets)


@dataclass(frozen=True)
class PreparedSeed:
    """A seed's training rows, and what a method may ask for; it has no test row.

    `shots` is the number of rows of each class, or of all rows for a generative task. `rows_drawn`
    counts the rows handed out so far, by task; unlabelled rows count separately.
    """

    prepared: PreparedCase
    seed: int
    shots: int
    rows_drawn: dict[str, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        object.__setattr__(self, "prepared", self.prepared.for_training())

    @property
    def task(self) -> tasks.Task:
        return self.prepared.task

    @property
    def method(self) -> str:
        """Return the method's name."""
        return self.prepared.method.name

    @cached_property
    def support(self) -> list[tasks.Example]:
        """Return the seed's training rows."""
        examples = few_shot(self.task, self.prepared.examples["train"], self.shots, self.seed)
        self.rows_drawn[self.task.name] = len(examples)
        return examples

    @property
    def labels(self) -> torch.Tensor:
        """Return the class of each training row, (rows,)."""
        return torch.tensor(labels(self.support), device=self.prepared.interface.device)

    @property
    def rows(self) -> Rows:
        """Return token ids of the training rows as the method renders them."""
        return self.prepared.encode(self.support, self.support)

    @property
    def decoder(self) -> bool:
        """Return whether the base model is a decoder: it writes text and caches keys and values."""
        return self.prepared.interface.model_kind == "decoder"

    @property
    def encoder_decoder(self) -> bool:
        """Return whether the base model is an encoder-decoder."""
        return self.prepared.interface.model_kind == "encoder-decoder"

    def fits(self, text: str) -> bool:
        """Return whether the model can read the whole text."""
        return self.prepared.interface.fits(text)

    def stage(self, recipe: Recipe) -> Stage:
        """Make the stage of the task itself: the method's rows, targets and loss."""
        method, interface = self.prepared.method, self.prepared.interface
        if interface.output_mode == "answer":
            return self._answer_stage(recipe)

        def loss(model: nn.Module, rows: Rows, targets: torch.Tensor) -> torch.Tensor:
            return method.loss(
                interface.logits(model, interface.collate(rows)), targets
            ) + method.penalty(model)

        def inputs(rows: Rows, targets: torch.Tensor) -> Inputs:
            return interface.collate(rows) | {"labels": targets}

        plain_loss = not any(
            hook in vars(kind) for kind in type(method).__mro__[:-2] for hook in ("loss", "penalty")
        )
        stage_loss = (
            ModelDefinedLoss(loss, inputs)
            if plain_loss and interface.output_mode == "head"
            else loss
        )
        return Stage(recipe, self.rows, method.targets(self), stage_loss)

    def _answer_stage(self, recipe: Recipe) -> Stage:
        """Make the stage of writing answers; a target is the number of an answer's tokens."""
        method, interface = self.prepared.method, self.prepared.interface
        rows, counts = append_answers(
            interface, self.rows, [str(example.label) for example in self.support]
        )

        def loss(model: nn.Module, rows: Rows, targets: torch.Tensor) -> torch.Tensor:
            return answer_loss(interface, model, rows, targets) + method.penalty(model)

        return Stage(recipe, rows, torch.tensor(counts, device=interface.device), loss)

    def source_task(self, task: str, shots: int) -> PreparedSeed:
        """Return this seed on a source task that the method declares, with `shots` per class.

        For the case's own task, return this object. Any other task raises `ModelError`.
        """
        method = self.prepared.method
        if task not in (self.task.name, *method.sources()):
            declared = ", ".join(method.sources()) or "none"
            raise ModelError(
                f"unequal budgets: expected {method.name} to draw from {self.task.name} and the "
                f"sources that it declares ({declared}), it asked for rows of {task}: name it in "
                "the recipe's option sources"
            )
        return (
            self
            if task == self.task.name
            else PreparedSeed(self.prepared.on_source(task), self.seed, shots, self.rows_drawn)
        )

    def check(self, stage: Stage) -> Stage:
        """Return the stage; more distinct rows in it than were handed out raise `ModelError`."""
        rows, drawn = len({tuple(row) for row in stage.rows}), sum(self.rows_drawn.values())
        if rows > drawn:
            raise ModelError(
                f"unequal budgets: expected {self.prepared.method.name} to train on the {drawn} "
                f"rows that its seed's context handed out (seed {self.seed}, {self.shots} shots), "
                f"a stage has {rows}: draw them with context.support, context.text_stage, or "
                "context.source_task and a declared source"
            )
        return stage

    def base_logits(self, texts: list[str]) -> torch.Tensor:
        """Compute the base model's logits of the verbalizers after each text, (rows, classes)."""
        interface = self.prepared.interface.in_mode("pattern")
        with torch.random.fork_rng():
            return class_logits(interface.load().model, interface, interface.encode(texts)).to(
                interface.device
            )

    def text_stage(self, recipe: Recipe, model: nn.Module, count: int) -> Stage:
        """Make a stage of language modelling on `count` unlabelled rows of the training pool.

        It trains `model`'s base weights. A row's loss is the mean over its tokens. A base model
        that is no decoder raises `ModelError`.
        """
        interface = self.prepared.interface
        if interface.model_kind != "decoder":
            raise ModelError(
                f"expected a decoder, whose language modelling can go on, "
                f"{interface.path.name} is an {interface.model_kind}"
            )
        pool = self.prepared.examples["train"]
        chosen = torch.randperm(len(pool), generator=torch.Generator().manual_seed(self.seed))[
            :count
        ].tolist()
        self.rows_drawn[f"{self.task.name}, unlabelled"] = len(chosen)
        rows = interface.encode(
            [self.task.text_template.format(**pool[number].fields) for number in chosen]
        )
        language_model = interface.language_model(model)

        def loss(_: nn.Module, rows: Rows, targets: torch.Tensor) -> torch.Tensor:
            return text_loss(interface, language_model, rows)

        language_model.train()
        return Stage(recipe, rows, torch.zeros(len(rows), device=interface.device), loss)


def training_rows_digest(context: PreparedSeed) -> str:
    """Return the digest of the training rows that a seed draws, in any order."""
    return digest(
        sorted([sorted(example.fields.items()), example.label] for example in context.support)
    )

"""A trial: one seed of a case as its method sees it, and the stages that the loop trains."""

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
    """A loss that the model computes of itself, too, and the same: from `inputs`, which have its labels."""

    loss: Loss
    inputs: Callable[[Rows, torch.Tensor], Inputs]

    def __call__(self, model: nn.Module, rows: Rows, targets: torch.Tensor) -> torch.Tensor:
        return self.loss(model, rows, targets)


@dataclass(frozen=True)
class PreparedSeed:
    """The sample that a seed draws from a task, and what a method may ask of it: no row on which it is tested.

    `drawn` counts the rows handed out so far, by task, those without labels apart.
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
        """The method's name."""
        return self.prepared.method.name

    @cached_property
    def support(self) -> list[tasks.Example]:
        """The seed's training sample."""
        sample = few_shot(self.task, self.prepared.examples["train"], self.shots, self.seed)
        self.rows_drawn[self.task.name] = len(sample)
        return sample

    @property
    def labels(self) -> torch.Tensor:
        """The class of each row of the sample, (rows,)."""
        return torch.tensor(labels(self.support), device=self.prepared.interface.device)

    @property
    def rows(self) -> Rows:
        """The sample as the method renders it."""
        return self.prepared.encode(self.support, self.support)

    @property
    def decoder(self) -> bool:
        """Whether the base model writes text, and keeps keys and values of what it read."""
        return self.prepared.interface.kind == "decoder"

    @property
    def encoder_decoder(self) -> bool:
        """Whether the base model reads with one half and writes with the other."""
        return self.prepared.interface.kind == "encoder-decoder"

    def fits(self, text: str) -> bool:
        """Whether the model can read the whole text."""
        return self.prepared.interface.fits(text)

    def stage(self, recipe: Recipe) -> Stage:
        """The task itself: the method's rows, targets and loss."""
        method, interface = self.prepared.method, self.prepared.interface
        if interface.output_mode == "answer":
            return self._answer_stage(recipe)

        def loss(model: nn.Module, rows: Rows, targets: torch.Tensor) -> torch.Tensor:
            return method.loss(
                interface.logits(model, interface.collate(rows)), targets
            ) + method.penalty(model)

        def inputs(rows: Rows, targets: torch.Tensor) -> Inputs:
            return interface.collate(rows) | {"labels": targets}

        plain = not any(
            hook in vars(kind) for kind in type(method).__mro__[:-2] for hook in ("loss", "penalty")
        )
        whole = (
            ModelDefinedLoss(loss, inputs) if plain and interface.output_mode == "head" else loss
        )
        return Stage(recipe, self.rows, method.targets(self), whole)

    def _answer_stage(self, recipe: Recipe) -> Stage:
        """Writing the sample's answers; a target is the number of an answer's tokens."""
        method, interface = self.prepared.method, self.prepared.interface
        rows, counts = append_answers(
            interface, self.rows, [str(one.label) for one in self.support]
        )

        def loss(model: nn.Module, rows: Rows, targets: torch.Tensor) -> torch.Tensor:
            return answer_loss(interface, model, rows, targets) + method.penalty(model)

        return Stage(recipe, rows, torch.tensor(counts, device=interface.device), loss)

    def source_task(self, task: str, shots: int) -> PreparedSeed:
        """The same seed of a source task that the method declares, with `shots` a class; of this task, the sample at hand."""
        method = self.prepared.method
        if task not in (self.task.name, *method.sources()):
            declared = ", ".join(method.sources()) or "none"
            raise ModelError(
                f"unequal budgets: expected {method.name} to draw from {self.task.name} and the sources that it declares "
                f"({declared}), it asked for rows of {task}: name it in the recipe's option sources"
            )
        return (
            self
            if task == self.task.name
            else PreparedSeed(self.prepared.on_source(task), self.seed, shots, self.rows_drawn)
        )

    def check(self, stage: Stage) -> Stage:
        """The stage; more different rows in it than the trial has handed out are a `ModelError`."""
        rows, drawn = len({tuple(one) for one in stage.rows}), sum(self.rows_drawn.values())
        if rows > drawn:
            raise ModelError(
                f"unequal budgets: expected {self.prepared.method.name} to train on the {drawn} rows that its trial handed "
                f"out (seed {self.seed}, {self.shots} shots), a stage has {rows}: draw them with trial.support, "
                "trial.text_stage, or trial.of and a declared source"
            )
        return stage

    def base_logits(self, texts: list[str]) -> torch.Tensor:
        """What the untouched base model gives the verbalizers after each text: logits, (rows, classes)."""
        interface = self.prepared.interface.in_mode("pattern")
        with torch.random.fork_rng():
            return class_logits(interface.load().model, interface, interface.encode(texts)).to(
                interface.device
            )

    def text_stage(self, recipe: Recipe, model: nn.Module, count: int) -> Stage:
        """Language modelling on `count` unlabelled rows of the training pool, through `model`'s own base weights.

        The loss of a row is the mean over its tokens.
        """
        interface = self.prepared.interface
        if interface.kind != "decoder":
            raise ModelError(
                f"expected a decoder, whose language modelling can go on, {interface.path.name} is an {interface.kind}"
            )
        pool = self.prepared.examples["train"]
        chosen = torch.randperm(len(pool), generator=torch.Generator().manual_seed(self.seed))[
            :count
        ].tolist()
        self.rows_drawn[f"{self.task.name}, unlabelled"] = len(chosen)
        rows = interface.encode(
            [self.task.text_template.format(**pool[at].fields) for at in chosen]
        )
        language = interface.language_model(model)

        def loss(_: nn.Module, rows: Rows, targets: torch.Tensor) -> torch.Tensor:
            return text_loss(interface, language, rows)

        language.train()
        return Stage(recipe, rows, torch.zeros(len(rows), device=interface.device), loss)


def training_rows_digest(context: PreparedSeed) -> str:
    """The name of the training rows that a seed draws."""
    return digest(sorted([sorted(one.fields.items()), one.label] for one in context.support))

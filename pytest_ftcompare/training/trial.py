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
from pytest_ftcompare.training.language_modeling import answer_loss, text_loss, with_answers
from pytest_ftcompare.training.model_kind import ModelError
from pytest_ftcompare.training.prepare import Prepared, labels

if TYPE_CHECKING:
    from pytest_ftcompare.methods.base import Inputs, Loss, Recipe, Rows


@dataclass(frozen=True)
class Labelled:
    """A loss that the model computes of itself, too, and the same: from `inputs`, which have its labels."""

    loss: Loss
    inputs: Callable[[Rows, torch.Tensor], Inputs]

    def __call__(self, model: nn.Module, rows: Rows, targets: torch.Tensor) -> torch.Tensor:
        return self.loss(model, rows, targets)


@dataclass(frozen=True)
class Trial:
    """The sample that a seed draws from a task, and what a method may ask of it: no row on which it is tested.

    `drawn` counts the rows handed out so far, by task, those without labels apart.
    """

    prepared: Prepared
    seed: int
    shots: int
    drawn: dict[str, int] = field(default_factory=dict)

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
        self.drawn[self.task.name] = len(sample)
        return sample

    @property
    def labels(self) -> torch.Tensor:
        """The class of each row of the sample, (rows,)."""
        return torch.tensor(labels(self.support), device=self.prepared.ask.device)

    @property
    def rows(self) -> Rows:
        """The sample as the method renders it."""
        return self.prepared.encode(self.support, self.support)

    @property
    def decoder(self) -> bool:
        """Whether the base model writes text, and keeps keys and values of what it read."""
        return self.prepared.ask.kind == "decoder"

    @property
    def encoder_decoder(self) -> bool:
        """Whether the base model reads with one half and writes with the other."""
        return self.prepared.ask.kind == "encoder-decoder"

    def fits(self, text: str) -> bool:
        """Whether the model can read the whole text."""
        return self.prepared.ask.fits(text)

    def stage(self, recipe: Recipe) -> Stage:
        """The task itself: the method's rows, targets and loss."""
        method, ask = self.prepared.method, self.prepared.ask
        if ask.ask == "answer":
            return self._answer_stage(recipe)

        def loss(model: nn.Module, rows: Rows, targets: torch.Tensor) -> torch.Tensor:
            return method.loss(ask.logits(model, ask.collate(rows)), targets) + method.penalty(model)

        def inputs(rows: Rows, targets: torch.Tensor) -> Inputs:
            return ask.collate(rows) | {"labels": targets}

        plain = not any(hook in vars(kind) for kind in type(method).__mro__[:-2] for hook in ("loss", "penalty"))
        whole = Labelled(loss, inputs) if plain and ask.ask == "head" else loss
        return Stage(recipe, self.rows, method.targets(self), whole)

    def _answer_stage(self, recipe: Recipe) -> Stage:
        """Writing the sample's answers; a target is the number of an answer's tokens."""
        method, ask = self.prepared.method, self.prepared.ask
        rows, counts = with_answers(ask, self.rows, [str(one.label) for one in self.support])

        def loss(model: nn.Module, rows: Rows, targets: torch.Tensor) -> torch.Tensor:
            return answer_loss(ask, model, rows, targets) + method.penalty(model)

        return Stage(recipe, rows, torch.tensor(counts, device=ask.device), loss)

    def of(self, task: str, shots: int) -> Trial:
        """The same seed of a source task that the method declares, with `shots` a class; of this task, the sample at hand."""
        method = self.prepared.method
        if task not in (self.task.name, *method.sources()):
            declared = ", ".join(method.sources()) or "none"
            raise ModelError(
                f"unequal budgets: expected {method.name} to draw from {self.task.name} and the sources that it declares "
                f"({declared}), it asked for rows of {task}: name it in the recipe's option sources"
            )
        return self if task == self.task.name else Trial(self.prepared.on(task), self.seed, shots, self.drawn)

    def check(self, stage: Stage) -> Stage:
        """The stage; more different rows in it than the trial has handed out are a `ModelError`."""
        rows, drawn = len({tuple(one) for one in stage.rows}), sum(self.drawn.values())
        if rows > drawn:
            raise ModelError(
                f"unequal budgets: expected {self.prepared.method.name} to train on the {drawn} rows that its trial handed "
                f"out (seed {self.seed}, {self.shots} shots), a stage has {rows}: draw them with trial.support, "
                "trial.text_stage, or trial.of and a declared source"
            )
        return stage

    def base_scores(self, texts: list[str]) -> torch.Tensor:
        """What the untouched base model gives the verbalizers after each text: logits, (rows, classes)."""
        ask = self.prepared.ask.by("pattern")
        with torch.random.fork_rng():
            return class_logits(ask.load().model, ask, ask.encode(texts)).to(ask.device)

    def text_stage(self, recipe: Recipe, model: nn.Module, count: int) -> Stage:
        """Language modelling on `count` unlabelled rows of the training pool, through `model`'s own base weights.

        The loss of a row is the mean over its tokens.
        """
        ask = self.prepared.ask
        if ask.kind != "decoder":
            raise ModelError(f"expected a decoder, whose language modelling can go on, {ask.path.name} is an {ask.kind}")
        pool = self.prepared.examples["train"]
        chosen = torch.randperm(len(pool), generator=torch.Generator().manual_seed(self.seed))[:count].tolist()
        self.drawn[f"{self.task.name}, unlabelled"] = len(chosen)
        rows = ask.encode([self.task.plain.format(**pool[at].fields) for at in chosen])
        language = ask.language_model(model)

        def loss(_: nn.Module, rows: Rows, targets: torch.Tensor) -> torch.Tensor:
            return text_loss(ask, language, rows)

        language.train()
        return Stage(recipe, rows, torch.zeros(len(rows), device=ask.device), loss)


def subset(trial: Trial) -> str:
    """The name of the training rows that a seed draws."""
    return digest(sorted([sorted(one.fields.items()), one.label] for one in trial.support))

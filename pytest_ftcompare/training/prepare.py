"""Prepare a case: read its rows, locate its base model, resolve its recipe, take its fingerprint.

`gate/torch_case.py` calls `prepare` before anything is trained.
"""

from __future__ import annotations

import hashlib
import json
import random
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, fields, replace
from functools import cache
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import nn
from transformers import AutoTokenizer

from pytest_ftcompare import tasks
from pytest_ftcompare.results.case import ENGINES, Case
from pytest_ftcompare.results.result import MAX_ROW_DIGESTS, digest, row_digest
from pytest_ftcompare.tasks.contents import check_contents
from pytest_ftcompare.tasks.hub import locate, read_split
from pytest_ftcompare.tasks.split_overlap import drop_tested_rows, overlaps
from pytest_ftcompare.training.base_model import LoadedModel
from pytest_ftcompare.training.chat import render_messages
from pytest_ftcompare.training.config import TrainingConfig
from pytest_ftcompare.training.model_io import ModelInterface
from pytest_ftcompare.training.model_kind import ModelError
from pytest_ftcompare.training.torch_settings import apply_torch_settings

if TYPE_CHECKING:
    from pytest_ftcompare.methods.base import Method, Recipe


def _recipe(
    recipes: Mapping[str, Recipe], case: Case, output_mode: str, config: TrainingConfig
) -> Recipe:
    """Return the method's recipe for the scale, or for scale and output mode if it has one.

    The profile's overrides come first, then the case's. An unknown name raises an error.
    """
    key = next(
        (name for name in (f"{config.scale}, {output_mode}", config.scale) if name in recipes), None
    )
    if key is None:
        raise ModelError(
            f"expected a recipe {config.scale!r} of the method {case.method}, "
            f"found {', '.join(recipes)}"
        )
    recipe = replace(recipes[key], **config.recipe)
    field_names = {field.name for field in fields(recipe)} - {"options"}
    for name, value in case.options:
        if name in ("output_mode", "engine"):
            continue
        if name in field_names:
            recipe = replace(recipe, **{name: value})
        elif name in recipe.options:
            recipe = replace(recipe, options={**recipe.options, name: value})
        else:
            known = ", ".join(sorted(field_names | set(recipe.options)))
            raise ModelError(
                f"case {case.id}: the method {case.method} has no option {name!r}: "
                f"expected one of {known}"
            )
    return recipe


@cache
def _model_digest(folder: Path) -> str:
    """Return a digest of a model's weights and tokenizer."""
    content = hashlib.sha256()
    weights = [*folder.glob("*.safetensors")] or [*folder.glob("*.bin")]
    for file in sorted([*weights, *folder.glob("tokenizer.json")]):
        with file.open("rb") as stream:
            while block := stream.read(1 << 24):
                content.update(block)
    return content.hexdigest()[:16]


@cache
def _load_splits(
    task: tasks.Task, hub: Path | None, revisions: tuple[tuple[str, str], ...], test_rows: int
) -> tuple[dict[str, list[tasks.Example]], tuple[str, ...], tuple[str, ...]]:
    """Return all splits, the sentences of audits that refuse the task's rows, and the remarks.

    Training rows that are also in a test split are left out. Test splits are cut to `test_rows` by
    a draw that is the same on every machine, in the rows' own order.
    """
    pinned = dict(revisions)
    splits = {}
    for name, source in task.splits().items():
        if source.read is not None:
            rows: Iterable[tasks.Row] = source.read()
        else:
            rows = read_split(
                locate("datasets", source.dataset, hub, pinned.get(source.dataset)), source.split
            )
        splits[name] = task.convert(name, rows)
    findings = list(check_contents(task, splits))
    refusals = (
        *overlaps(task.name, splits),
        *(sentence for refuses, sentence in findings if refuses),
    )
    remarks = tuple(sentence for refuses, sentence in findings if not refuses)
    if not refusals:
        splits["train"] = drop_tested_rows(splits)
    for name, examples in splits.items():
        if name != "train" and 0 < test_rows < len(examples):
            chosen = random.Random(f"{task.name} {name}").sample(range(len(examples)), test_rows)
            splits[name] = [examples[number] for number in sorted(chosen)]
    return splits, refusals, remarks


@cache
def _render_splits(
    task: tasks.Task,
    hub: Path | None,
    revisions: tuple[tuple[str, str], ...],
    test_rows: int,
    path: Path,
) -> dict[str, list[tasks.Example]]:
    """Return the splits of a task of conversations as the model at `path` reads them."""
    tokenizer = AutoTokenizer.from_pretrained(path)
    splits, *_ = _load_splits(task, hub, revisions, test_rows)
    return {
        name: render_messages(task, examples, tokenizer, path.name)
        for name, examples in splits.items()
    }


def _digests(splits: dict[str, list[tasks.Example]]) -> dict[str, str]:
    return {
        name: digest([[dict(example.fields), example.label] for example in examples])
        for name, examples in splits.items()
    }


def read_task(
    task: tasks.Task, config: TrainingConfig, path: Path
) -> tuple[dict[str, list[tasks.Example]], tuple[str, ...], tuple[str, ...]]:
    """Return a task's splits as the model at `path` reads them, refusals and remarks.

    Refusals are sentences of audits that refuse the task's rows; remarks do not refuse them.
    """
    key = (task, config.hub, tuple(sorted(config.revisions.items())), config.test_rows)
    splits, refusals, remarks = _load_splits(*key)
    return _render_splits(*key, path) if task.chat else splits, refusals, remarks


class TrainingRows(dict[str, list[tasks.Example]]):
    """A task's training rows under their split's name; another split raises `ModelError`."""

    def __missing__(self, split: str) -> list[tasks.Example]:
        raise ModelError(
            f"expected a method to see training rows only, it asked for split {split!r}: a score "
            "on rows that a method has seen says nothing; select on rows of the training pool that "
            "no seed draws"
        )


@dataclass(frozen=True)
class PreparedCase:
    """Everything that all seeds of a case share.

    `refusals` and `remarks` are sentences of audits about the task's rows.
    """

    case: Case
    task: tasks.Task
    examples: dict[str, list[tasks.Example]]
    method: Method
    interface: ModelInterface
    config: TrainingConfig
    refusals: tuple[str, ...] = ()
    remarks: tuple[str, ...] = ()

    @property
    def test_splits(self) -> dict[str, list[tasks.Example]]:
        """Return the rows of each test split."""
        return {name: rows for name, rows in self.examples.items() if name != "train"}

    @classmethod
    def of(
        cls, case: Case, task: str, method: Method, path: Path, config: TrainingConfig
    ) -> PreparedCase:
        """Prepare the case's method and base model for a task: its own or a source task."""
        loaded = tasks.load(task)
        examples, refusals, remarks = read_task(loaded, config, path)
        device = torch.device(config.device)
        interface = ModelInterface(
            path,
            method.output_mode,
            loaded,
            config.max_length,
            device,
            method.num_virtual_tokens,
            method.load_options(),
            config.precision,
        )
        return cls(case, loaded, examples, method, interface, config, refusals, remarks)

    def on_source(self, task: str) -> PreparedCase:
        """Return this case on a source task, for training only."""
        return PreparedCase.of(
            self.case, task, self.method, self.interface.path, self.config
        ).for_training()

    def for_training(self) -> PreparedCase:
        """Return this case without test rows, as a method sees it in training."""
        return replace(self, examples=TrainingRows(train=self.examples["train"]))

    def in_float32(self) -> PreparedCase:
        """Return this case, computed in float32."""
        if self.config.precision == "float32":
            return self
        return replace(
            self,
            config=replace(self.config, precision="float32"),
            interface=replace(self.interface, precision="float32"),
        )

    def adapted(self) -> nn.Module:
        """Load the base model and apply the method."""
        return self.method.apply(self.loaded().model)

    def loaded(self) -> LoadedModel:
        """Load the base model, with gradient checkpointing if the recipe says so."""
        loaded = self.interface.load()
        self.method.after_load(loaded.model)
        if self.method.recipe.gradient_checkpointing:
            model: Any = loaded.model
            model.gradient_checkpointing_enable(
                gradient_checkpointing_kwargs={"use_reentrant": False}
            )
        return loaded

    @property
    def recipe(self) -> dict[str, Any]:
        """Return the recipe as JSON reads it back: a tuple becomes a list."""
        recipe: dict[str, Any] = json.loads(json.dumps(asdict(self.method.recipe)))
        return recipe

    def fingerprint(self) -> str:
        """Return a digest of the case, its rows and its base weights."""
        rows = _digests(self.examples)
        for source in self.method.sources():
            rows |= {
                f"{source} {name}": value
                for name, value in _digests(self.on_source(source).examples).items()
            }
        precision = (
            {} if self.config.precision == "float32" else {"precision": self.config.precision}
        )
        return digest([self.case.identity() | precision, rows, _model_digest(self.interface.path)])

    def row_digests(self) -> dict[str, str]:
        """Return a short digest of each row, if the rows are a project's own files."""
        if all(source.read is None for source in self.task.splits().values()):
            return {}
        return {
            name: " ".join(
                row_digest(dict(example.fields), example.label)
                for example in examples[:MAX_ROW_DIGESTS]
            )
            for name, examples in self.examples.items()
        }

    def encode(
        self, examples: list[tasks.Example], support: list[tasks.Example]
    ) -> list[list[int]]:
        """Return token ids of the examples as the method renders them."""
        render = self.method.render
        return self.interface.encode(
            [render(self.task, example, support, self.interface.fits) for example in examples]
        )


def prepare(case: Case, config: TrainingConfig) -> PreparedCase:
    """Read and check what the case needs.

    An unknown engine, option or recipe raises `ModelError`.
    """
    apply_torch_settings(config)
    if case.engine not in ENGINES:
        raise ModelError(
            f"case {case.id}: expected the option engine to be {' or '.join(ENGINES)}, "
            f"got {case.engine!r}"
        )
    method_class = import_module("pytest_ftcompare.methods").load(case.method)
    path = locate("models", case.model, config.hub, config.revisions.get(case.model))
    recipe = _recipe(
        method_class.recipes, case, case.output_mode or method_class.output_modes[0], config
    )
    method = method_class(recipe, case.output_mode, f"{case.model}@{_model_digest(path)}")
    return PreparedCase.of(case, case.task, method, path, config)


def labels(examples: list[tasks.Example]) -> list[int]:
    """Return the class of each example; a task without one class per row raises `ModelError`."""
    classes: list[int] = []
    for example in examples:
        if not isinstance(example.label, int):
            raise ModelError(
                "expected a task with one class per row: this one labels tokens or is generative"
            )
        classes.append(example.label)
    return classes

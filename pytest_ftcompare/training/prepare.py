"""An experiment made ready: the task's rows read, the base model located, the recipe resolved, the fingerprint taken."""

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
from pytest_ftcompare.tasks.contents import contents
from pytest_ftcompare.tasks.hub import locate, read_split
from pytest_ftcompare.tasks.split_overlap import overlaps, without_tested
from pytest_ftcompare.training.base_model import LoadedModel
from pytest_ftcompare.training.chat import rendered
from pytest_ftcompare.training.config import TrainingConfig
from pytest_ftcompare.training.model_io import ModelInterface
from pytest_ftcompare.training.model_kind import ModelError

if TYPE_CHECKING:
    from pytest_ftcompare.methods.base import Method, Recipe


def _recipe(
    recipes: Mapping[str, Recipe], case: Case, output_mode: str, config: TrainingConfig
) -> Recipe:
    """The method's recipe at the setting's scale, the one for this way of asking where it has one, with the setting's and the
    case's overrides, each of which must name something that exists."""
    found = next(
        (name for name in (f"{config.scale}, {output_mode}", config.scale) if name in recipes), None
    )
    if found is None:
        raise ModelError(
            f"expected a recipe {config.scale!r} of the method {case.method}, found {', '.join(recipes)}"
        )
    recipe = replace(recipes[found], **config.recipe)
    own = {one.name for one in fields(recipe)} - {"options"}
    for name, value in case.options:
        if name in ("output_mode", "engine"):
            continue
        if name in own:
            recipe = replace(recipe, **{name: value})
        elif name in recipe.options:
            recipe = replace(recipe, options={**recipe.options, name: value})
        else:
            known = ", ".join(sorted(own | set(recipe.options)))
            raise ModelError(
                f"case {case.id}: the method {case.method} has no option {name!r}: expected one of {known}"
            )
    return recipe


@cache
def _content(folder: Path) -> str:
    """Digest of a model's weights and tokenizer."""
    content = hashlib.sha256()
    weights = [*folder.glob("*.safetensors")] or [*folder.glob("*.bin")]
    for file in sorted([*weights, *folder.glob("tokenizer.json")]):
        with file.open("rb") as stream:
            while block := stream.read(1 << 24):
                content.update(block)
    return content.hexdigest()[:16]


@cache
def _examples(
    task: tasks.Task, hub: Path | None, revisions: tuple[tuple[str, str], ...], test_rows: int
) -> tuple[dict[str, list[tasks.Example]], tuple[str, ...], tuple[str, ...]]:
    """All splits, what the audits of rows have against them, and what these only tell: the training rows without those of
    a test split, these bounded by a draw that is the same everywhere, in the rows' own order."""
    pinned = dict(revisions)
    splits = {}
    for name, one in task.splits().items():
        if one.read is not None:
            rows: Iterable[tasks.Row] = one.read()
        else:
            rows = read_split(
                locate("datasets", one.dataset, hub, pinned.get(one.dataset)), one.split
            )
        splits[name] = task.convert(name, rows)
    doubts = list(contents(task, splits))
    refused = (
        *overlaps(task.name, splits),
        *(sentence for too_many, sentence in doubts if too_many),
    )
    told = tuple(sentence for too_many, sentence in doubts if not too_many)
    if not refused:
        splits["train"] = without_tested(splits)
    for name, examples in splits.items():
        if name != "train" and 0 < test_rows < len(examples):
            chosen = random.Random(f"{task.name} {name}").sample(range(len(examples)), test_rows)
            splits[name] = [examples[at] for at in sorted(chosen)]
    return splits, refused, told


@cache
def _in_chat(
    task: tasks.Task,
    hub: Path | None,
    revisions: tuple[tuple[str, str], ...],
    test_rows: int,
    path: Path,
) -> dict[str, list[tasks.Example]]:
    """The splits of a task of conversations as the model at `path` reads them."""
    tokenizer = AutoTokenizer.from_pretrained(path)
    splits, *_ = _examples(task, hub, revisions, test_rows)
    return {
        name: rendered(task, examples, tokenizer, path.name) for name, examples in splits.items()
    }


def _digests(examples: dict[str, list[tasks.Example]]) -> dict[str, str]:
    return {
        name: digest([[dict(one.fields), one.label] for one in split])
        for name, split in examples.items()
    }


def read(
    task: tasks.Task, config: TrainingConfig, path: Path
) -> tuple[dict[str, list[tasks.Example]], tuple[str, ...], tuple[str, ...]]:
    """A task's splits as the model at `path` is asked about them, what the audits of rows have against them, and what
    these only tell."""
    where = (task, config.hub, tuple(sorted(config.revisions.items())), config.test_rows)
    splits, refused, told = _examples(*where)
    return _in_chat(*where, path) if task.chat else splits, refused, told


class TrainingRows(dict[str, list[tasks.Example]]):
    """The training rows of a task, under the name of their split, and a sentence for who asks for another one."""

    def __missing__(self, split: str) -> list[tasks.Example]:
        raise ModelError(
            f"expected a method to see training rows only, it asked for split {split!r}: a score on rows that a method has "
            "seen says nothing; select on rows of the training pool that no sample holds"
        )


@dataclass(frozen=True)
class PreparedCase:
    """Everything that all seeds of a case share; `refused` is what the audits of the task's rows say, `told` what they
    only tell."""

    case: Case
    task: tasks.Task
    examples: dict[str, list[tasks.Example]]
    method: Method
    interface: ModelInterface
    config: TrainingConfig
    refusals: tuple[str, ...] = ()
    remarks: tuple[str, ...] = ()

    @property
    def tests(self) -> dict[str, list[tasks.Example]]:
        """The rows of each test split."""
        return {name: rows for name, rows in self.examples.items() if name != "train"}

    @classmethod
    def of(
        cls, case: Case, task: str, method: Method, path: Path, config: TrainingConfig
    ) -> PreparedCase:
        """The case's method and base model on a task: the case's own, or a source of it."""
        loaded = tasks.load(task)
        examples, refused, told = read(loaded, config, path)
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
        return cls(case, loaded, examples, method, interface, config, refused, told)

    def on_source(self, task: str) -> PreparedCase:
        """The same on a source task, to train on it."""
        return PreparedCase.of(
            self.case, task, self.method, self.interface.path, self.config
        ).for_training()

    def for_training(self) -> PreparedCase:
        """The same as a method sees it that trains: without the rows on which it is tested."""
        return replace(self, examples=TrainingRows(train=self.examples["train"]))

    def adapted(self) -> nn.Module:
        """The base model freshly loaded, with the method applied."""
        return self.method.apply(self.loaded().model)

    def loaded(self) -> LoadedModel:
        """The base model freshly loaded, its layers recomputing their activations where the recipe says so."""
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
        """The recipe as JSON reads it back, so that a tuple is a list on both sides."""
        recipe: dict[str, Any] = json.loads(json.dumps(asdict(self.method.recipe)))
        return recipe

    def fingerprint(self) -> str:
        """Two results with the same one come from the same case on the same rows and the same base weights."""
        rows = _digests(self.examples)
        for source in self.method.sources():
            rows |= {
                f"{source} {name}": value
                for name, value in _digests(self.on_source(source).examples).items()
            }
        other = {} if self.config.precision == "float32" else {"precision": self.config.precision}
        return digest([self.case.identity() | other, rows, _content(self.interface.path)])

    def rows(self) -> dict[str, str]:
        """Short digests of each row, where the rows are a project's own files: what a `Result` keeps of them."""
        if all(one.read is None for one in self.task.splits().values()):
            return {}
        return {
            name: " ".join(
                row_digest(dict(one.fields), one.label) for one in examples[:MAX_ROW_DIGESTS]
            )
            for name, examples in self.examples.items()
        }

    def encode(
        self, examples: list[tasks.Example], support: list[tasks.Example]
    ) -> list[list[int]]:
        """Token ids of the examples as the method renders them."""
        render = self.method.render
        return self.interface.encode(
            [render(self.task, one, support, self.interface.fits) for one in examples]
        )


def prepare(case: Case, config: TrainingConfig) -> PreparedCase:
    """Read and check what the case needs; nothing is trained."""
    torch.set_num_threads(config.threads)
    if case.engine not in ENGINES:
        raise ModelError(
            f"case {case.id}: expected the option engine to be {' or '.join(ENGINES)}, got {case.engine!r}"
        )
    method_class = import_module("pytest_ftcompare.methods").load(case.method)
    path = locate("models", case.model, config.hub, config.revisions.get(case.model))
    recipe = _recipe(
        method_class.recipes, case, case.output_mode or method_class.output_modes[0], config
    )
    method = method_class(recipe, case.output_mode, f"{case.model}@{_content(path)}")
    return PreparedCase.of(case, case.task, method, path, config)


def labels(examples: list[tasks.Example]) -> list[int]:
    """The class of each example."""
    found: list[int] = []
    for one in examples:
        if not isinstance(one.label, int):
            raise ModelError(
                "expected a task with one class a row: this one labels words, or has its answers written"
            )
        found.append(one.label)
    return found

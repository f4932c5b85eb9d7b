"""`python -m pytest_ftcompare check`: a project's tasks read as the gate reads them, without
training.

Prints for each task its rows and classes, and for each base model the lengths and the first texts
exactly as the model reads them. What the gate would refuse fails the check, in the gate's words.
"""

from __future__ import annotations

import tomllib
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING

from pytest_ftcompare.gate import project_config
from pytest_ftcompare.gate.profiles import Profile
from pytest_ftcompare.tasks import DataError, Example, Task
from pytest_ftcompare.tasks.hub import HubError, locate

if TYPE_CHECKING:
    from pytest_ftcompare.methods.base import OutputMode
    from pytest_ftcompare.training.config import TrainingConfig
    from pytest_ftcompare.training.model_io import ModelInterface

EXAMPLES = 3  # that are shown as the model reads them
LONGEST = 400  # characters of an example that are shown
CLASSES = 8  # of a task that are counted by name
Splits = dict[str, list[Example]]


class CheckError(ValueError):
    """A check that cannot begin; the message says why and what to do."""


def select_profile(root: Path, name: str | None, profiles: project_config.ProjectConfig) -> Profile:
    """The profile of that name, else the one that the project's pyproject.toml names, else
    pocket."""
    file = root / "pyproject.toml"
    table = tomllib.loads(file.read_text(encoding="utf-8")) if file.is_file() else {}
    ini = table.get("tool", {}).get("pytest", {}).get("ini_options", {})
    chosen = name or ini.get("ftcompare_profile", "pocket")
    if chosen not in profiles.profiles:
        raise CheckError(f"expected a profile of {', '.join(profiles.profiles)}, got {chosen!r}")
    return profiles.profiles[chosen]


def check(
    root: Path, profile: str | None = None, hub: Path | None = None
) -> Iterator[tuple[str, bool]]:
    """A line of the report, and whether it fails the check, one after the other."""
    mine = project_config.read(root)
    if not mine.tasks:
        raise CheckError(
            f"expected tasks in [tool.ftcompare.tasks] of {root / 'pyproject.toml'}, there are none: "
            "begin with 'python -m pytest_ftcompare init'"
        )
    chosen = select_profile(root, profile, mine)
    from pytest_ftcompare.training.library_logging import quiet

    quiet()
    from pytest_ftcompare.training.config import TrainingConfig

    config = TrainingConfig(
        chosen.scale, "cpu", 1, chosen.max_length, chosen.test_rows, hub, chosen.revisions
    )
    failed = 0
    for task in mine.tasks.values():
        for line, wrong in _task(task, chosen.models, config):
            failed += wrong
            yield line, wrong
        yield "", False
    count = f"{len(mine.tasks)} task{'s' * (len(mine.tasks) != 1)}"
    yield f"{count} read, {f'{failed} refused' if failed else 'none refused'}.", False


def _task(task: Task, models: Sequence[str], config: TrainingConfig) -> Iterator[tuple[str, bool]]:
    from pytest_ftcompare.training.model_kind import ModelError
    from pytest_ftcompare.training.prepare import read_task

    yield task.name, False
    shown: set[str] = set()  # what is the same for every model is shown once
    for model in models:
        try:
            path = locate("models", model, config.hub, config.revisions.get(model))
            splits, refused, doubts = read_task(task, config, path)
            lines = [(line, False) for line in _rows(task, splits)]
            lines += [(f"  refused: {sentence}", True) for sentence in refused]
            lines += [(f"  doubt: {sentence}", False) for sentence in doubts]
            yield from (pair for pair in lines if pair[0] not in shown)
            shown.update(line for line, _ in lines)
            yield f"  {model}", False
            yield from ((line, False) for line in _as_read(task, splits, path, config))
        except (DataError, HubError, ModelError) as error:
            yield f"  refused: {error}", True


def _rows(task: Task, splits: Splits) -> Iterator[str]:
    for name, source in task.splits().items():
        part = {"train": ", four fifths", "test": ", a fifth"}.get(name, "")
        shared = task.train.dataset == task.test.dataset
        path = Path(source.dataset)
        shown = path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path
        yield f"  {name:6}{len(splits[name]):>9,} rows  {shown}{part if shared else ''}"
        if not task.generative:
            yield f"  {'':6}{_classes(task, splits[name])}"


def _classes(task: Task, examples: Sequence[Example]) -> str:
    """ "calm 75, urgent 74; the commonest is 50.3 %"."""
    counts = Counter(task.labels[row.label] for row in examples if isinstance(row.label, int))
    named = [f"{name} {counts[name]:,}" for name in task.labels]
    fewest, most = min(counts[name] for name in task.labels), max(counts.values())
    shown = ", ".join(named[:CLASSES])
    if len(named) > CLASSES:
        shown = f"{len(named)} classes of {fewest:,} to {most:,} rows: {shown}, ..."
    return f"{shown}; the commonest is {most / counts.total():.1%}"


def _as_read(task: Task, splits: Splits, path: Path, config: TrainingConfig) -> Iterator[str]:
    """For each way of asking that the task has, what the model reads, or why it cannot be asked
    so."""
    import torch

    from pytest_ftcompare.training.model_io import ModelInterface
    from pytest_ftcompare.training.model_kind import ModelError

    refusals: list[str] = []
    ways = list(_asks(task))
    for mode, template in ways:
        try:
            interface = ModelInterface(path, mode, task, config.max_length, torch.device("cpu"))
            lines = list(_lengths_and_texts(interface, template, splits))
        except ModelError as error:
            refusals.append(f"    {mode}: {error}")
        else:
            yield from lines
    yield from refusals
    if len(refusals) == len(ways):
        raise ModelError(f"task {task.name}: {path.name} can be asked in no way that the task has")


def _lengths_and_texts(interface: ModelInterface, template: str, splits: Splits) -> Iterator[str]:
    """How long all texts are, and the first ones as the model reads them."""
    texts = [template.format(**row.fields) for examples in splits.values() for row in examples]
    lengths = [len(ids) for ids in interface.tokenizer(texts, verbose=False)["input_ids"]]
    cut = sum(length > interface.max_length for length in lengths)
    yield (
        f"    {interface.output_mode}: {min(lengths):,} to {max(lengths):,} tokens, median {median(lengths):g}; "
        f"the model reads {interface.max_length:,}, {cut:,} of {len(lengths):,} texts are cut"
    )
    first = splits["train"][:EXAMPLES]
    encoded = interface.encode([template.format(**row.fields) for row in first])
    for number, (row, ids) in enumerate(zip(first, encoded, strict=True), start=1):
        text = interface.tokenizer.decode(ids)
        yield f"      {number}  {_shown(text)} -> {_answer(interface, row)}"


def _asks(task: Task) -> Iterator[tuple[OutputMode, str]]:
    """The ways of asking that the task has, and the template that `Method.render` takes for
    each."""
    if task.generative:
        yield "answer", task.pattern
        return
    yield "head", task.text_template
    if task.verbalizers:
        yield "pattern", task.pattern


def _answer(interface: ModelInterface, row: Example) -> str:
    """What the model is to say: the answer, the class, or the token that stands for the class."""
    if not isinstance(row.label, int):
        return _shown(str(row.label))
    if interface.output_mode == "pattern":
        return repr(interface.tokenizer.decode([interface.verbalizers[row.label]]))
    return interface.task.labels[row.label]


def _shown(text: str) -> str:
    return repr(
        text if len(text) <= LONGEST else f"{text[: LONGEST // 2]} ... {text[-LONGEST // 2 :]}"
    )

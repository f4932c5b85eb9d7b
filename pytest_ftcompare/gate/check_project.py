"""Read a project's tasks as the gate reads them, without training.

`python -m pytest_ftcompare check` calls it. It reports the rows and classes of each task, and for
each base model the token lengths and the first texts as the model reads them. The check fails if
the gate would refuse a task.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Any

from pytest_ftcompare.gate import project_config
from pytest_ftcompare.gate.profiles import Profile
from pytest_ftcompare.gate.pytest_options import PytestOptionsError, read_options
from pytest_ftcompare.tasks import DataError, Example, Task
from pytest_ftcompare.tasks.hub import HubError, locate

if TYPE_CHECKING:
    from pytest_ftcompare.methods.base import OutputMode
    from pytest_ftcompare.training.config import TrainingConfig
    from pytest_ftcompare.training.model_io import ModelInterface

# These limits are chosen. Higher values print more.
SHOWN_EXAMPLES = 3  # texts of a task that are shown as the model reads them
MAX_SHOWN_LENGTH = 400  # characters of a shown text
MAX_NAMED_CLASSES = 8  # classes that are listed by name
Splits = dict[str, list[Example]]


class CheckError(ValueError):
    """The check cannot start; the message says why and what to do."""


def select_profile(
    name: str | None, options: Mapping[str, Any], project: project_config.ProjectConfig
) -> Profile:
    """Return the profile `name`, else the one of pytest's options, else pocket.

    Raise `CheckError` if there is no such profile.
    """
    chosen = name or options.get("ftcompare_profile", "pocket")
    if chosen not in project.profiles:
        raise CheckError(f"expected a profile of {', '.join(project.profiles)}, got {chosen!r}")
    return project.profiles[chosen]


def check(
    root: Path, profile: str | None = None, hub: Path | None = None
) -> Iterator[tuple[str, bool]]:
    """Yield each line of the report, and whether it fails the check.

    Without `profile` or `hub`, those of pytest's options count, as in the gate. Raise `CheckError`
    if the check cannot start.
    """
    project = project_config.read(root)
    if not project.tasks:
        raise CheckError(
            f"expected tasks in [tool.ftcompare.tasks] of {root / 'pyproject.toml'}, "
            "there are none: begin with 'python -m pytest_ftcompare init'"
        )
    try:
        options = read_options(root).values
    except PytestOptionsError as error:
        raise CheckError(str(error)) from None
    selected = select_profile(profile, options, project)
    if hub is None and options.get("ftcompare_hub"):
        hub = Path(options["ftcompare_hub"]).expanduser()
    from pytest_ftcompare.training.library_logging import quiet

    quiet()
    from pytest_ftcompare.training.config import TrainingConfig

    config = TrainingConfig(
        selected.scale, "cpu", 1, selected.max_length, selected.test_rows, hub, selected.revisions
    )
    refused = 0
    for task in project.tasks.values():
        for line, fails in _check_task(task, selected.models, config):
            refused += fails
            yield line, fails
        yield "", False
    count = f"{len(project.tasks)} task{'s' * (len(project.tasks) != 1)}"
    yield f"{count} read, {f'{refused} refused' if refused else 'none refused'}.", False


def _check_task(
    task: Task, models: Sequence[str], config: TrainingConfig
) -> Iterator[tuple[str, bool]]:
    from pytest_ftcompare.training.finite_weights import check_files
    from pytest_ftcompare.training.model_kind import ModelError
    from pytest_ftcompare.training.prepare import read_task

    yield task.name, False
    # Lines that are equal for all models are shown once.
    shown: set[str] = set()
    for model in models:
        try:
            path = locate("models", model, config.hub, config.revisions.get(model))
            splits, refusals, remarks = read_task(task, config, path)
            lines = [(line, False) for line in _describe_rows(task, splits)]
            lines += [(f"  refused: {sentence}", True) for sentence in refusals]
            lines += [(f"  remark: {sentence}", False) for sentence in remarks]
            yield from (pair for pair in lines if pair[0] not in shown)
            shown.update(line for line, _ in lines)
            yield f"  {model}", False
            check_files(path)
            yield from ((line, False) for line in _describe_inputs(task, splits, path, config))
        except (DataError, HubError, ModelError) as error:
            yield f"  refused: {error}", True


def _describe_rows(task: Task, splits: Splits) -> Iterator[str]:
    for name, source in task.splits().items():
        share = {"train": ", four fifths", "test": ", a fifth"}.get(name, "")
        one_file = task.train.dataset == task.test.dataset
        path = Path(source.dataset)
        shown_path = path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path
        yield f"  {name:6}{len(splits[name]):>9,} rows  {shown_path}{share if one_file else ''}"
        if not task.generative:
            yield f"  {'':6}{_describe_classes(task, splits[name])}"


def _describe_classes(task: Task, examples: Sequence[Example]) -> str:
    """Return such as "calm 75, urgent 74; majority share 50.3%"."""
    counts = Counter(task.labels[row.label] for row in examples if isinstance(row.label, int))
    parts = [f"{name} {counts[name]:,}" for name in task.labels]
    fewest, most = min(counts[name] for name in task.labels), max(counts.values())
    shown = ", ".join(parts[:MAX_NAMED_CLASSES])
    if len(parts) > MAX_NAMED_CLASSES:
        shown = f"{len(parts)} classes of {fewest:,} to {most:,} rows: {shown}, ..."
    return f"{shown}; majority share {most / counts.total():.1%}"


def _describe_inputs(
    task: Task, splits: Splits, path: Path, config: TrainingConfig
) -> Iterator[str]:
    """Yield, for each output mode of the task, what the model reads, or why it cannot."""
    import torch

    from pytest_ftcompare.training.model_io import ModelInterface
    from pytest_ftcompare.training.model_kind import ModelError

    refusals: list[str] = []
    output_modes = list(_output_modes(task))
    for mode, template in output_modes:
        try:
            interface = ModelInterface(path, mode, task, config.max_length, torch.device("cpu"))
            lines = list(_lengths_and_texts(interface, template, splits))
        except ModelError as error:
            refusals.append(f"    {mode}: {error}")
        else:
            yield from lines
    yield from refusals
    if len(refusals) == len(output_modes):
        raise ModelError(f"task {task.name}: {path.name} supports none of the task's output modes")


def _lengths_and_texts(interface: ModelInterface, template: str, splits: Splits) -> Iterator[str]:
    """Yield the token lengths of all texts, and the first texts as the model reads them."""
    texts = [template.format(**row.fields) for examples in splits.values() for row in examples]
    lengths = [len(ids) for ids in interface.tokenizer(texts, verbose=False)["input_ids"]]
    cut = sum(length > interface.max_length for length in lengths)
    yield (
        f"    {interface.output_mode}: {min(lengths):,} to {max(lengths):,} tokens, "
        f"median {median(lengths):g}; "
        f"the model reads {interface.max_length:,}, {cut:,} of {len(lengths):,} texts are cut"
    )
    first = splits["train"][:SHOWN_EXAMPLES]
    encoded = interface.encode([template.format(**row.fields) for row in first])
    for number, (row, ids) in enumerate(zip(first, encoded, strict=True), start=1):
        text = interface.tokenizer.decode(ids)
        yield f"      {number}  {_shorten(text)} -> {_expected_answer(interface, row)}"


def _output_modes(task: Task) -> Iterator[tuple[OutputMode, str]]:
    """Yield the task's output modes, and the template that `Method.render` takes for each."""
    if task.generative:
        yield "answer", task.pattern
        return
    yield "head", task.text_template
    if task.verbalizers:
        yield "pattern", task.pattern


def _expected_answer(interface: ModelInterface, row: Example) -> str:
    """Return the expected output: the answer, the class, or the class's verbalizer."""
    if not isinstance(row.label, int):
        return _shorten(str(row.label))
    if interface.output_mode == "pattern":
        return repr(interface.tokenizer.decode([interface.verbalizers[row.label]]))
    return interface.task.labels[row.label]


def _shorten(text: str) -> str:
    return repr(
        text
        if len(text) <= MAX_SHOWN_LENGTH
        else f"{text[: MAX_SHOWN_LENGTH // 2]} ... {text[-MAX_SHOWN_LENGTH // 2 :]}"
    )

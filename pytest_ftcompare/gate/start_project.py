"""Set up a gate on a project's own data file.

`python -m pytest_ftcompare init` calls it. It writes the task's tables in pyproject.toml, a suite,
a workflow and lines of .gitignore. It overwrites nothing, and checks all before it writes a file.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from string import Template
from typing import Any

from pytest_ftcompare import tasks
from pytest_ftcompare.gate.profiles import PROFILES
from pytest_ftcompare.gate.pytest_options import PytestOptionsError, read_options
from pytest_ftcompare.tasks import DataError
from pytest_ftcompare.tasks import files as data
from pytest_ftcompare.tasks.custom import make_task

SUITE_PATH = "suites/test_{task}.py"
WORKFLOW_PATH = ".github/workflows/ftcompare.yml"
GITIGNORE_LINES = (
    *(".pytest_cache/", ".benchmarks/", "__pycache__/", ".venv/"),
    # Reports that `try` and `bisect` write unless another name is given.
    *("ftcompare-try*", "ftcompare-bisect*"),
)
# Examples per class of the written suite, or fewer if the data has fewer; chosen. A higher value
# trains longer.
MAX_SHOTS = 32
# Training rows of a class, chosen; a higher value refuses more data. Seeds must draw different
# rows: 9 of 12 rows in each of two classes have 48,400 draws, so that five seeds of 1 in 4,840
# baselines repeat one.
MIN_CLASS_ROWS = 12
# Classes of a label column, chosen. A column with more values is refused as no label column; a
# higher value accepts more columns.
MAX_CLASSES = 50
# Base models with this beginning are the package's own; others come from a hub folder.
EMBEDDED = "pocket/"
TASK_TEMPLATE = Template("""\
[tool.ftcompare.profiles.$task]
base = "$base"
models = [$model]
shots = { few = [$shots] }
seeds = 5

[tool.ftcompare.tasks.$task]
train = $data
label = $label
labels = [$labels]
labels_are = "names"
text_template = $text_template
""")
SUITE_TEMPLATE = Template('''\
"""Fine-tuning on $task, as the gate checks it."""

import pytest


@pytest.mark.ftcompare(methods=("full", "lora"), tasks=("$task",), shots="few")
def test_$task(gate):
    gate()
''')
WORKFLOW_TEXT = """\
name: fine-tuning
on: [pull_request]
permissions:
  contents: read
jobs:
  gate:
    runs-on: ubuntu-latest
    steps:
      - uses: actions/checkout@v7
        with:
          persist-credentials: false
      - uses: actions/setup-python@v6
        with:
          python-version: "3.11"
      - run: pip install torch --index-url https://download.pytorch.org/whl/cpu
      - run: pip install pytest-ftcompare pytest-xdist
      - run: pytest suites/ -n auto
"""
NEXT_STEPS = """\
Next, from {folder}:
  python -m pytest_ftcompare check         # what the model will read, without training
  pytest suites/ -n 2 --update-baselines   # train, and accept the results as baselines
  pytest suites/ -n 2                      # the gate; commit baselines/"""


class InitError(ValueError):
    """A project cannot be set up; the message says what was expected, what came and what to do."""


@dataclass(frozen=True)
class Answers:
    """A data file, its text and label columns, a base model's hub id and a task's name."""

    data: str
    text: str
    label: str
    model: str
    task: str


def read_columns(root: Path, name: str) -> list[str]:
    """Return the columns of a data file's first row."""
    return next((list(row) for _, row in _rows(root, name)), [])


def _rows(root: Path, name: str) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Yield each row, and where it is."""
    for path in data.files_of(root, data.split_of(root, name, "train")):
        for number, row in enumerate(data.rows(path, data.Format(), classes=True)):
            yield f"{path}, row {number}", row


def default_task_name(file: str) -> str:
    """Make a task's name from its file's."""
    name = re.sub(r"\W+", "_", Path(file).name.partition(".")[0], flags=re.ASCII).strip("_").lower()
    return name if name and not name[0].isdigit() else f"task_{name}"


def write_project(root: Path, answers: Answers) -> list[Path]:
    """Write or extend the project's files, and return their paths.

    Raise `InitError` or `DataError` before anything is written.
    """
    if not re.fullmatch(r"[A-Za-z_]\w*", answers.task, re.ASCII):
        raise InitError(
            f"expected a task's name of ASCII letters, digits and _, got {answers.task!r}: "
            "give another with --task"
        )
    if answers.task in (*tasks.NAMES, *PROFILES):
        raise InitError(
            f"expected another name than {answers.task}, which a shipped task or profile has: "
            "give another with --task"
        )
    labels = _read_labels(root, answers)
    table = {
        "train": answers.data,
        "label": answers.label,
        "labels": labels,
        "labels_are": "names",
        "text_template": f"{{{answers.text}}}",
    }
    task = make_task(answers.task, table, root)
    counts = [0] * len(labels)
    for example in task.convert("train", task.train.read() if task.train.read else ()):
        assert isinstance(example.label, int)
        counts[example.label] += 1
    if (fewest := min(counts)) < MIN_CLASS_ROWS:
        held_out = task.test.dataset == task.train.dataset
        raise InitError(
            f"expected at least {MIN_CLASS_ROWS} training rows of each class in {answers.data}, "
            f"{labels[counts.index(fewest)]!r} has {fewest}"
            f"{' (a fifth of the rows is held out)' if held_out else ''}: add rows"
        )
    values = {
        "task": answers.task,
        # The recipes' learning rates are for models of a few million parameters, or for real ones.
        "base": "pocket" if answers.model.startswith(EMBEDDED) else "local",
        "model": _toml_string(answers.model),
        # Seeds draw other rows only if some are left.
        "shots": min(MAX_SHOTS, fewest * 3 // 4),
        "data": _toml_string(answers.data),
        "label": _toml_string(answers.label),
        "labels": ", ".join(map(_toml_string, labels)),
        "text_template": _toml_string(f"{{{answers.text}}}"),
    }
    files = {
        root / "pyproject.toml": _pyproject_text(root / "pyproject.toml", answers.task, values),
        root / SUITE_PATH.format(task=answers.task): SUITE_TEMPLATE.substitute(values),
        root / WORKFLOW_PATH: WORKFLOW_TEXT,
        root / ".gitignore": _gitignore_text(root / ".gitignore"),
    }
    for path in files:
        if path.exists() and path.name not in ("pyproject.toml", ".gitignore"):
            raise InitError(
                f"expected no {path.relative_to(root)}, it exists, and init overwrites nothing: "
                "move it away"
            )
    written = []
    for path, text in files.items():
        if not path.exists() or path.read_text(encoding="utf-8") != text:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")
            written.append(path)
    return written


def _read_labels(root: Path, answers: Answers) -> list[str]:
    """Return the classes: the sorted values of the label column, as texts."""
    classes: dict[str, Any] = {}
    for place, row in _rows(root, answers.data):
        for name in (answers.text, answers.label):
            if name not in row:
                raise InitError(
                    f"expected a column of {', '.join(map(repr, row))} in {answers.data}, "
                    f"got {name!r}"
                )
        value = row[answers.label]
        if not isinstance(value, str | int) or not str(value).strip():
            raise DataError(
                f"expected a text or a whole number as {answers.label} in {place}, got {value!r}"
            )
        classes.setdefault(str(value), value)
        if len(classes) > MAX_CLASSES:
            raise InitError(
                f"expected a column of at most {MAX_CLASSES} classes, "
                f"{answers.label} of {answers.data} has more: "
                "name another column, or write the table by hand (docs/your-own.md)"
            )
    if len(classes) < 2:
        raise InitError(
            f"expected two classes or more as {answers.label} in {answers.data}, "
            f"found {', '.join(classes) or 'no row'}"
        )
    numbers = all(type(value) is int for value in classes.values())
    return sorted(classes, key=int) if numbers else sorted(classes)


def _toml_string(text: str) -> str:
    """Write a text as a TOML basic string."""
    escaped = "".join(
        f"\\u{ord(letter):04x}" if ord(letter) < 32 or letter in '"\\\x7f' else letter
        for letter in text
    )
    return f'"{escaped}"'


def _pyproject_text(path: Path, task: str, values: Mapping[str, Any]) -> str:
    """Return the text of pyproject.toml with the task's tables at its end."""
    old = path.read_text(encoding="utf-8") if path.exists() else ""
    try:
        project = tomllib.loads(old).get("tool", {}).get("ftcompare", {})
        options = read_options(path.parent)
    except tomllib.TOMLDecodeError as error:
        raise InitError(f"{path} is not TOML ({error}): correct it first") from None
    except PytestOptionsError as error:
        raise InitError(str(error)) from None
    if any(task in project.get(kind, {}) for kind in ("tasks", "profiles")):
        raise InitError(
            f"expected no task or profile {task} in {path}, there is one: "
            "give another name with --task"
        )
    if "ftcompare_profile" in options.values:
        raise InitError(
            f"expected no ftcompare_profile in {options.file}, it is "
            f"{options.values['ftcompare_profile']!r}: "
            "this project has a gate already, add the task by hand (docs/your-own.md)"
        )
    if options.file not in (None, path):
        raise InitError(
            f"expected pytest's options in {path}, pytest reads them from {options.file}: "
            "move them to pyproject.toml, then run init again"
        )
    line, new_table = f'ftcompare_profile = "{task}"\n', ""
    if options.file is None:
        new_table = f"[tool.pytest.ini_options]\n{line}\n"
    else:
        header = rf"(?m)^\[{re.escape(options.table)}\][ \t]*(#.*)?\n"
        old = re.sub(header, lambda match: match[0] + line, old)
    separator = "\n" if old and not old.endswith("\n\n") else ""
    text = f"{old}{separator}{new_table}{TASK_TEMPLATE.substitute(values)}"
    # TOML has several ways to write a table, and the line above fits only one.
    table: Any = tomllib.loads(text)
    for name in (options.table or "tool.pytest.ini_options").split("."):
        table = table.get(name, {})
    if table.get("ftcompare_profile") != task:
        raise InitError(
            f'{path}: put ftcompare_profile = "{task}" into pytest\'s options by hand, '
            "then run init again"
        )
    return text


def _gitignore_text(path: Path) -> str:
    old = path.read_text(encoding="utf-8") if path.exists() else ""
    missing = [line for line in GITIGNORE_LINES if line not in old.splitlines()]
    separator = "" if not old or old.endswith("\n") else "\n"
    return old + separator + "".join(f"{line}\n" for line in missing)

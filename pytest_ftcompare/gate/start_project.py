"""`python -m pytest_ftcompare init`: a gate on a project's own data file, from questions or from
options.

Writes the table of the task in pyproject.toml, a suite, a workflow and lines of .gitignore. Nothing
that exists is overwritten: all is checked before the first file is written.
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
from pytest_ftcompare.tasks import DataError
from pytest_ftcompare.tasks import files as data
from pytest_ftcompare.tasks.custom import make_task

SUITE = "suites/test_{task}.py"
WORKFLOW_PATH = ".github/workflows/ftcompare.yml"
IGNORED = (".pytest_cache/", ".benchmarks/", "__pycache__/", ".venv/")
SHOTS = 32  # examples of a class that a case trains on, where there are as many
MOST_CLASSES = 50  # of a label column; with more it is taken for another kind of column
TASK = Template("""\
[tool.ftcompare.profiles.$task]
base = "pocket"
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
INI = Template("""\
[tool.pytest.ini_options]
ftcompare_profile = "$task"

""")
SUITE_TEXT = Template('''\
"""Fine-tuning on $task: what the gate holds."""

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
          python-version: "3.12"
      - run: pip install torch --index-url https://download.pytorch.org/whl/cpu
      - run: pip install pytest-ftcompare pytest-xdist
      - run: pytest suites/ -n auto
"""
NEXT_STEPS = """\
Next, from {folder}:
  python -m pytest_ftcompare check         # what the model will read, without training
  pytest suites/ -n 2 --update-baselines   # train, and accept what comes as the baselines
  pytest suites/ -n 2                      # the gate; commit what lies in baselines/"""


class InitError(ValueError):
    """A project that cannot be begun; the message says what was expected, what came, and what to
    do."""


@dataclass(frozen=True)
class Answers:
    """What init needs to know: a data file, its columns, a base model by hub id, and a name for the
    task."""

    data: str
    text: str
    label: str
    model: str
    task: str


def read_columns(root: Path, name: str) -> list[str]:
    """The columns of a data file's first row."""
    return list(next(_rows(root, name), {}))


def _rows(root: Path, name: str) -> Iterator[Mapping[str, Any]]:
    for path in data.files_of(root, data.split_of(root, name, "train")):
        yield from data.rows(path, data.Format(), classes=True)


def default_task_name(file: str) -> str:
    """A task's name from that of its file."""
    name = re.sub(r"\W+", "_", Path(file).name.partition(".")[0], flags=re.ASCII).strip("_").lower()
    return name if name and not name[0].isdigit() else f"task_{name}"


def write_project(root: Path, answers: Answers) -> list[Path]:
    """Write the project's files; those that were written or added to. `InitError` or `DataError`,
    and nothing is written."""
    if not re.fullmatch(r"[A-Za-z_]\w*", answers.task, re.ASCII):
        raise InitError(
            f"expected a task's name of ASCII letters, digits and _, got {answers.task!r}: say --task"
        )
    if answers.task in (*tasks.NAMES, *PROFILES):
        raise InitError(
            f"expected another name than {answers.task}, which a shipped task or profile has: say --task"
        )
    labels = _labels(root, answers)
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
    if not min(counts):
        raise InitError(
            f"expected training rows of each class, {labels[counts.index(0)]!r} has none: give more rows"
        )
    values = {
        "task": answers.task,
        "model": _toml(answers.model),
        "shots": min(SHOTS, *counts),
        "data": _toml(answers.data),
        "label": _toml(answers.label),
        "labels": ", ".join(map(_toml, labels)),
        "text_template": _toml(f"{{{answers.text}}}"),
    }
    files = {
        root / "pyproject.toml": _pyproject(root / "pyproject.toml", answers.task, values),
        root / SUITE.format(task=answers.task): SUITE_TEXT.substitute(values),
        root / WORKFLOW_PATH: WORKFLOW_TEXT,
        root / ".gitignore": _ignore(root / ".gitignore"),
    }
    for path in files:
        if path.exists() and path.name not in ("pyproject.toml", ".gitignore"):
            raise InitError(
                f"expected no {path.relative_to(root)}, it is there, and nothing is overwritten: move it away"
            )
    written = []
    for path, text in files.items():
        if not path.exists() or path.read_text(encoding="utf-8") != text:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")
            written.append(path)
    return written


def _labels(root: Path, answers: Answers) -> list[str]:
    """The classes of the label column: its values as texts, in their order."""
    classes: dict[str, Any] = {}
    for number, row in enumerate(_rows(root, answers.data)):
        for name in (answers.text, answers.label):
            if name not in row:
                raise InitError(
                    f"expected a column of {', '.join(map(repr, row))} in {answers.data}, got {name!r}"
                )
        value = row[answers.label]
        if not isinstance(value, str | int):
            raise DataError(
                f"expected a text or a whole number as {answers.label} in {answers.data}, row {number} has {value!r}"
            )
        classes.setdefault(str(value), value)
        if len(classes) > MOST_CLASSES:
            raise InitError(
                f"expected a column of at most {MOST_CLASSES} classes, {answers.label} of {answers.data} has more: "
                "name another column, or write the table by hand (docs/your-own.md)"
            )
    if len(classes) < 2:
        raise InitError(
            f"expected two classes or more as {answers.label} in {answers.data}, found {', '.join(classes) or 'no row'}"
        )
    numbers = all(isinstance(value, int) for value in classes.values())
    return sorted(classes, key=int) if numbers else sorted(classes)


def _toml(text: str) -> str:
    """A TOML basic string."""
    escaped = "".join(
        f"\\u{ord(letter):04x}" if ord(letter) < 32 or letter in '"\\\x7f' else letter
        for letter in text
    )
    return f'"{escaped}"'


def _pyproject(path: Path, task: str, values: Mapping[str, Any]) -> str:
    """What pyproject.toml will hold: what it holds, and the task's tables after it."""
    old = path.read_text(encoding="utf-8") if path.exists() else ""
    try:
        tool = tomllib.loads(old).get("tool", {})
    except tomllib.TOMLDecodeError as error:
        raise InitError(f"{path} is not TOML ({error}): mend it first") from None
    mine = tool.get("ftcompare", {})
    if any(task in mine.get(kind, {}) for kind in ("tasks", "profiles")):
        raise InitError(
            f"expected no task or profile {task} in {path}, there is one: choose another name with --task"
        )
    ini = tool.get("pytest", {}).get("ini_options")
    if ini is None:
        begin = INI.substitute(values)
    elif "ftcompare_profile" in ini:
        raise InitError(
            f"expected no ftcompare_profile in {path}, it is {ini['ftcompare_profile']!r}: "
            "this project has a gate already, add the task by hand (docs/your-own.md)"
        )
    else:
        line = f'ftcompare_profile = "{task}"\n'
        old, begin = (
            re.sub(
                r"(?m)^\[tool\.pytest\.ini_options\][ \t]*(#.*)?\n",
                lambda found: found[0] + line,
                old,
            ),
            "",
        )
    between = "\n" if old and not old.endswith("\n\n") else ""
    text = f"{old}{between}{begin}{TASK.substitute(values)}"
    made = tomllib.loads(text)["tool"]  # TOML has several ways to write a table
    if made.get("pytest", {}).get("ini_options", {}).get("ftcompare_profile") != task:
        raise InitError(
            f'{path}: put ftcompare_profile = "{task}" into pytest\'s options by hand, then run init again'
        )
    return text


def _ignore(path: Path) -> str:
    old = path.read_text(encoding="utf-8") if path.exists() else ""
    missing = [line for line in IGNORED if line not in old.splitlines()]
    between = "" if not old or old.endswith("\n") else "\n"
    return old + between + "".join(f"{line}\n" for line in missing)

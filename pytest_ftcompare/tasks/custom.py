"""Make a task from a table of a project's pyproject.toml: files, label column and templates.

`project_config.py` and `init` call `make_task`. One file is enough: without `test`, a fifth of
`train` is held out by a digest of each row's text, so added rows move no row to another split.
Without `ood` there is no out-of-domain score.
"""

from __future__ import annotations

import hashlib
import json
import re
import string
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from pytest_ftcompare.tasks import files
from pytest_ftcompare.tasks.base import Convert, DataError, Example, Row, RowError, Source, Task
from pytest_ftcompare.tasks.files import Format
from pytest_ftcompare.tasks.labels import Labels

# One row in this many is a test row if a task has one file; chosen. Raising it shrinks the test
# split.
HELD_OUT_EVERY = 5
TEXT_KEYS = (
    "train",
    "test",
    "ood",
    "label",
    "labels_are",
    "answer",
    "group",
    "chat",
    "pattern",
    "text_template",
    "instruction",
)
LIST_KEYS = ("labels", "verbalizers")
SPLITS = ("train", "test", "ood")  # keys that name files
ANSWER_ROLE = "assistant"


@dataclass(frozen=True)
class Template:
    """A text for `str.format` with a field per column, and the column of each field.

    `str.format` would take a column name such as "ticket.text" apart, so its field has another
    name.
    """

    text: str
    columns: Mapping[str, str]

    @classmethod
    def parse(cls, text: str) -> Template:
        """Return the template of a text. Raise `DataError` if braces hold more than a column."""
        template = ""
        columns: dict[str, str] = {}
        try:
            parsed = list(string.Formatter().parse(text))
        except ValueError as error:
            raise DataError(
                f"expected a pattern with columns' names in braces, got {text!r} ({error})"
            ) from None
        for literal, name, spec, conversion in parsed:
            template += literal.replace("{", "{{").replace("}", "}}")
            if name is None:
                continue
            if not name or spec or conversion:
                raise DataError(f"expected a column's name alone in braces, got {text!r}")
            field = (
                name
                if re.fullmatch(r"[^\W\d][^.\[\]]*", name)
                else "column_" + re.sub(r"\W", "_", name)
            )
            _add_column(columns, field, name)
            template += f"{{{field}}}"
        return cls(template, columns)


def _add_column(columns: dict[str, str], field: str, column: str) -> None:
    if columns.setdefault(field, column) != column:
        raise DataError(
            f"expected columns that can be told apart, {column!r} and {columns[field]!r} cannot: "
            "rename one"
        )


def is_held_out(fields: Mapping[str, str]) -> bool:
    """Return whether a row of a single file is a test row, by its text's digest."""
    text = json.dumps(dict(fields), sort_keys=True, ensure_ascii=False)
    return int(hashlib.sha256(text.encode()).hexdigest()[:8], 16) % HELD_OUT_EVERY == 0


def _check_table(table: Any) -> None:
    """Refuse a table with unknown keys or wrong types, without rows or without an answer."""
    if not isinstance(table, dict):
        raise DataError(f"expected a table, got {table!r}")
    if unknown := sorted(set(table) - {*TEXT_KEYS, *LIST_KEYS, "format"}):
        raise DataError(
            f"expected {', '.join((*TEXT_KEYS, *LIST_KEYS, 'format'))}; found {unknown[0]}"
        )
    for key, value in table.items():
        if key == "format":
            continue
        valid = (
            isinstance(value, str)
            if key in TEXT_KEYS
            else isinstance(value, list) and all(isinstance(item, str) for item in value)
        )
        if not valid:
            raise DataError(
                f"expected {key} to be {'a text' if key in TEXT_KEYS else 'a list of texts'}, "
                f"got {value!r}"
            )
    if "train" not in table:
        raise DataError("expected train, the file with its rows")
    if ("answer" in table) == ("labels" in table):
        raise DataError(
            "expected labels, the names of its classes, or answer, the column of the text to write"
        )


def _templates(pattern: str, text_template: str) -> tuple[Template, Template]:
    """Return both templates. Raise `DataError` if they name no column."""
    if not text_template:
        raise DataError(
            "expected a pattern such as 'text: {text} question?', with the columns' names in braces"
        )
    templates = Template.parse(pattern), Template.parse(text_template)
    if not any(template.columns for template in templates):
        raise DataError(
            f"expected a pattern that names columns in braces, got {pattern or text_template!r}"
        )
    return templates


def _text(row: Row, column: str) -> str:
    """Return a column's text. Raise `RowError` for any other type: nothing is converted."""
    value = row[column]
    if not isinstance(value, str):
        raise RowError(f"a text as {column}", f"{value!r:.200}")
    try:
        value.encode()
    except UnicodeEncodeError:
        raise RowError(
            f"a text of whole characters as {column}", f"half of a surrogate pair in {value!r:.200}"
        ) from None
    return value


def _conversation(row: Row, column: str, *, answered: bool) -> tuple[str, str]:
    """Return a chat column's messages as JSON, and the assistant's answer that ends them.

    The model does not read the answer, so the messages leave it out.
    """
    messages = row[column]
    expected = f"a list of messages with role and content as {column}"
    if not isinstance(messages, list) or not messages:
        raise RowError(expected, f"{messages!r:.200}")
    for message in messages:
        if not isinstance(message, dict) or not {"role", "content"} <= set(message):
            raise RowError(expected, f"{message!r:.200}")
        _text(message, "role")
        _text(message, "content")
        if other := next(
            (key for key in message if key not in ("role", "content") and message[key]), None
        ):
            raise RowError(
                f"messages of role and content alone as {column}, as the model reads nothing else",
                f"one with {other}: {message!r:.200}",
            )
    turns = [{"role": message["role"], "content": message["content"]} for message in messages]
    answer = turns.pop()["content"] if turns[-1]["role"] == ANSWER_ROLE else ""
    if answered and not answer.strip():
        raise RowError(
            f"an answer of role {ANSWER_ROLE} at the end of {column}", f"{messages[-1]!r:.200}"
        )
    if not turns:
        raise RowError(f"a message to answer in {column}", "only an answer")
    return json.dumps(turns, ensure_ascii=False), answer


def split_names(table: Mapping[str, Any], root: Path) -> dict[str, str]:
    """Return the file, pattern or saved folder of each split of a task's table.

    A saved `DatasetDict` has a folder for each split. Without `test`, its split test is tested; if
    there is none, the test rows are in the file of the training rows.
    """
    names = {part: files.split_of(root, table[part], part) for part in SPLITS if part in table}
    if "test" not in table:
        test = files.split_of(root, table["train"], "test")
        names["test"] = names["train"] if test == table["train"] else test
    return names


def _rows(root: Path, name: str, format: Format, classes: bool) -> Iterator[Row]:
    """Yield the rows of every file that `name` (a path or a glob in `root`) matches."""
    for path in files.files_of(root, name):
        yield from files.rows(path, format, classes=classes)


@dataclass(frozen=True)
class _Columns:
    """The columns of a row's fields, label or answer, and group."""

    fields: Mapping[str, str]  # field of a template -> column
    label: str
    labels: Labels | None  # None: a generative task
    group: str
    chat: str
    single: bool  # one file has the training and the test rows

    def converter(self, part: str) -> Convert:
        """Return the function from a row to the examples of a split."""

        def convert(row: Row, _: int) -> list[Example]:
            fields, answer = {}, ""
            for field, column in self.fields.items():
                if column == self.chat:
                    fields[field], answer = _conversation(
                        row, column, answered=self.label == self.chat
                    )
                else:
                    fields[field] = _text(row, column)
            if self.single and part != "ood" and is_held_out(fields) != (part == "test"):
                return []
            if self.labels:
                label: int | str = self.labels.index(row[self.label])
            else:
                label = answer if self.label == self.chat else _text(row, self.label)
            group = row[self.group] if self.group else ""
            if isinstance(group, float | list | dict) or group is None:
                raise RowError(f"a text or a whole number as {self.group}", repr(group))
            return [Example(fields, label, str(group))]

        return convert


def make_task(name: str, table: Any, root: Path) -> Task:
    """Return the task of a table. Raise `DataError`, one sentence, if the table is not valid.

    File names and patterns are relative to `root`. docs/your-own.md explains the keys.
    """
    _check_table(table)
    generative = "answer" in table
    # A written answer follows the pattern or, without one, the text template.
    pattern_text = table.get("pattern", table.get("text_template", "") if generative else "")
    pattern, text_template = _templates(pattern_text, table.get("text_template", pattern_text))
    fields = dict(pattern.columns)
    for field, column in text_template.columns.items():
        _add_column(fields, field, column)
    chat = table.get("chat", "")
    if chat and chat not in fields.values():
        raise DataError(f"expected a pattern that names the column of the chat, {{{chat}}}")
    labels = tuple(table.get("labels", ()))
    verbalizers = tuple(table.get("verbalizers", ()))
    if verbalizers and len(verbalizers) != len(labels):
        raise DataError(
            f"expected as many verbalizers as labels, {len(labels)}, got {len(verbalizers)}"
        )
    if verbalizers and not pattern_text:
        raise DataError("expected a pattern that the verbalizers answer, there is none")
    if not generative and len(labels) < 2:
        raise DataError(f"expected two labels or more, got {len(labels)}")
    root = root.resolve()
    names = split_names(table, root)
    format = files.make_format(table.get("format", {}))
    labels_are = table.get("labels_are", "")
    columns = _Columns(
        fields,
        label=table["answer"] if generative else table.get("label", "label"),
        labels=None if generative else Labels(labels, labels_are),
        group=table.get("group", ""),
        chat=chat,
        single="test" not in table and names["test"] == names["train"],
    )

    def source(part: str) -> Source:
        try:
            files.files_of(root, names[part])
        except DataError as error:
            raise DataError(f"{part}: {error}") from None
        read = partial(_rows, root, names[part], format, not labels_are.startswith("indices"))
        path = root / names[part]
        return Source(str(path), path.stem, columns.converter(part), read)

    return Task(
        name=name,
        labels=labels,
        train=source("train"),
        test=source("test"),
        ood=source("ood") if "ood" in names else None,
        text_template=text_template.text,
        pattern=pattern.text,
        instruction=table.get("instruction", ""),
        verbalizers=verbalizers,
        generative=generative,
        chat=next((field for field, column in fields.items() if chat and column == chat), ""),
    )

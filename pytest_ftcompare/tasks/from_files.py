"""A task that a project declares in its pyproject.toml: files with rows, the column of the answer, how a row is asked.

One file is enough: without `test`, every fifth row by the digest of its text is held out, so that a row stays on its side when
others are added. Without `ood` there is no out-of-domain score.
"""

from __future__ import annotations

import hashlib
import json
import string
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pytest_ftcompare.tasks.base import Convert, DataError, Example, Row, Source, Task

FIFTH = 5
TEXTS = ("train", "test", "ood", "label", "answer", "group", "pattern", "plain", "instruction")
LISTS = ("labels", "verbalizers")


def columns_of(*templates: str) -> list[str]:
    """The columns that the templates name, in their order."""
    named = [name for one in templates for _, name, _, _ in string.Formatter().parse(one) if name is not None]
    return list(dict.fromkeys(named))


def held_out(fields: Mapping[str, str]) -> bool:
    """Whether a row of a single file is one of the test rows: every fifth by its text's digest."""
    text = json.dumps(dict(fields), sort_keys=True, ensure_ascii=False)
    return int(hashlib.sha256(text.encode()).hexdigest()[:8], 16) % FIFTH == 0


def _check(given: Any) -> None:
    """A table of keys that are known, of the right types, with rows and something to learn."""
    if not isinstance(given, dict):
        raise DataError(f"expected a table, got {given!r}")
    if unknown := sorted(set(given) - {*TEXTS, *LISTS}):
        raise DataError(f"expected {', '.join((*TEXTS, *LISTS))}; found {unknown[0]}")
    for key, value in given.items():
        right = (
            isinstance(value, str) if key in TEXTS else isinstance(value, list) and all(isinstance(one, str) for one in value)
        )
        if not right:
            raise DataError(f"expected {key} to be {'a text' if key in TEXTS else 'a list of texts'}, got {value!r}")
    if "train" not in given:
        raise DataError("expected train, the file with its rows")
    if ("answer" in given) == ("labels" in given):
        raise DataError("expected labels, the names of its classes, or answer, the column of what is to be written")


def _columns(pattern: str, plain: str) -> list[str]:
    """The columns that the two texts name."""
    if not plain:
        raise DataError("expected a pattern such as 'text: {text} question?', with the columns' names in braces")
    try:
        columns = columns_of(pattern, plain)
    except ValueError as error:
        raise DataError(f"expected a pattern with columns' names in braces, got {pattern or plain!r} ({error})") from None
    if not columns or not all(columns):
        raise DataError(f"expected a pattern that names columns in braces, got {pattern or plain!r}")
    return columns


def make_task(name: str, given: Any, root: Path) -> Task:
    """The task of a table; what is wrong with it is a `DataError` of one sentence.

    `train` (and `test`, `ood`) are files relative to `root`; `label` is the column of the class, as a text of `labels` or its
    index, or `answer` that of the text to be written; `pattern` and `plain` name the other columns in braces.
    """
    _check(given)
    written, pattern = "answer" in given, given.get("pattern", "")
    plain = given.get("plain", pattern)
    columns = _columns(pattern, plain)
    labels, verbalizers = tuple(given.get("labels", ())), tuple(given.get("verbalizers", ()))
    if verbalizers and len(verbalizers) != len(labels):
        raise DataError(f"expected as many verbalizers as labels, {len(labels)}, got {len(verbalizers)}")
    answer, group = given["answer"] if written else given.get("label", "label"), given.get("group")

    def convert_to(part: str) -> Convert:
        def convert(row: Row, _: int) -> list[Example]:
            fields = {one: str(row[one]) for one in columns}
            if "test" not in given and part != "ood" and held_out(fields) != (part == "test"):
                return []
            label = row[answer]
            if not written and isinstance(label, str) and label in labels:
                label = labels.index(label)
            return [Example(fields, label, str(row[group]) if group else "")]

        return convert

    def source(part: str, file: Any) -> Source:
        path = (root / file).resolve()
        if not path.is_file():
            raise DataError(f"expected the {part} rows in {path}, there is no such file")
        return Source(str(path), path.stem, convert_to(part))

    return Task(
        name=name,
        labels=labels,
        train=source("train", given["train"]),
        test=source("test", given.get("test", given["train"])),
        ood=source("ood", given["ood"]) if "ood" in given else None,
        plain=plain,
        pattern=pattern,
        instruction=given.get("instruction", ""),
        verbalizers=verbalizers,
        written=written,
    )

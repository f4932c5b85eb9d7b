"""Folders of results: this project's own, in whatever layout, or PEFT's; what two of them have in common."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from pytest_ftcompare.results import peft_files
from pytest_ftcompare.results.baseline_store import FALLBACK, results_in
from pytest_ftcompare.results.result import Result, ResultError

Key = tuple[str, str, str]  # suite, case, device


class FolderError(ValueError):
    """A folder that cannot be compared; the message says what was expected, what is there, where, and what to do."""


@dataclass(frozen=True)
class Pairs:
    """What two folders have in common, and the ids of what only one of them has."""

    both: list[tuple[Result, Result]]
    only_old: list[str]
    only_new: list[str]


def read(folder: Path) -> list[Result]:
    """The results in a folder and those below it, by suite and name; of several of PEFT's runs of one case the latest.

    Raises `FolderError` where the folder is missing, holds no result, or holds JSON that is none.
    """
    if not folder.is_dir():
        what = "a file" if folder.exists() else "nothing"
        raise FolderError(
            f"expected a folder of results at {folder}, found {what} there: name a folder with result files"
        )
    found: dict[Key, tuple[Result, Path]] = {}
    for path in results_in(folder):
        result = _result(path)
        other, place = found.get(key := _key(result), (None, path))
        if other is not None and not (peft_files.created(result) and peft_files.created(other)):
            raise FolderError(
                f"{path} and {place} are of the same case, {result.id}: name the folder that holds one of them"
            )
        if other is None or peft_files.created(result) > peft_files.created(other):
            found[key] = result, path
    if not found:
        raise FolderError(
            f"expected results (*.json) in {folder}, found none: name the folder that holds them"
        )
    return [found[key][0] for key in sorted(found)]


def _key(result: Result) -> Key:
    return result.suite, result.id, str(result.environment.get("device", ""))


def _result(path: Path) -> Result:
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise FolderError(f"the result {path} cannot be read ({error})") from None
    try:
        data = _json(text)
        if peft_files.is_theirs(data):
            return peft_files.read(data, path.stem)
        if data is not None and not (isinstance(data, dict) and "schema" in data):
            raise ResultError(
                "it is neither a result of pytest-ftcompare nor one of PEFT's method_comparison"
            )
        return Result.from_json(text)
    except ResultError as error:
        raise FolderError(
            f"expected a result in {path}, but {error}: mend or remove it, or name a folder without it"
        ) from None


def _json(text: str) -> object:
    """The text's JSON; None where it has none, of which `Result.from_json` says why."""
    try:
        return json.loads(text)
    except json.JSONDecodeError:
        return None


def pairs(old: Iterable[Result], new: Sequence[Result]) -> Pairs:
    """Each new result with the old one of its case: of the same device, else of the cpu, else of any.

    Raises `FolderError` where they have no case in common.
    """
    before: dict[tuple[str, str], list[Result]] = {}
    for one in old:
        before.setdefault((one.suite, one.id), []).append(one)
    both = []
    for one in new:
        if candidates := before.get((one.suite, one.id)):
            device = one.environment.get("device")
            both.append(
                (
                    min(
                        candidates,
                        key=lambda it: _distance(str(it.environment.get("device")), str(device)),
                    ),
                    one,
                )
            )
    after = {(one.suite, one.id) for one in new}
    if not both:
        names = " and ".join(
            f"{next(iter(sorted(each)))[1]}, ..." for each in (before, after) if each
        )
        raise FolderError(
            f"expected results of the same cases in both folders, found none in common ({names})"
        )
    return Pairs(
        both,
        [case for _, case in sorted(before.keys() - after)],
        [case for _, case in sorted(after - before.keys())],
    )


def _distance(device: str, wanted: str) -> tuple[bool, bool, str]:
    return device != wanted, device != FALLBACK, device

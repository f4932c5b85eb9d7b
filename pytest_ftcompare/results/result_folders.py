"""Read folders of results, this project's or PEFT's, and pair the cases of two folders."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from pytest_ftcompare.results import peft_files
from pytest_ftcompare.results.baseline_store import FALLBACK_DEVICE, result_paths
from pytest_ftcompare.results.result import Result, ResultError

Key = tuple[str, str, str]  # suite, case, device


class FolderError(ValueError):
    """A folder cannot be compared.

    The message states what was expected, what is there, where, and what to do.
    """


@dataclass(frozen=True)
class Pairs:
    """Results that two folders have in common, and ids of cases that only one has."""

    both: list[tuple[Result, Result]]
    only_old: list[str]
    only_new: list[str]


def read(folder: Path) -> list[Result]:
    """Return the results below a folder, sorted by suite and name.

    If PEFT has several runs of a case, return the latest. Raises `FolderError` if the folder is
    missing, has no result, or has JSON that is not a result.
    """
    if not folder.is_dir():
        actual = "a file" if folder.exists() else "nothing"
        raise FolderError(
            f"expected a folder of results at {folder}, found {actual} there: "
            "name a folder with result files"
        )
    results: dict[Key, tuple[Result, Path]] = {}
    for path in result_paths(folder):
        result = _result(path)
        other, other_path = results.get(key := _key(result), (None, path))
        if other is not None and not (peft_files.created(result) and peft_files.created(other)):
            raise FolderError(
                f"{path} and {other_path} are of the same case, {result.id}: "
                "name the folder that holds one of them"
            )
        if other is None or peft_files.created(result) > peft_files.created(other):
            results[key] = result, path
    if not results:
        raise FolderError(
            f"expected results (*.json) in {folder}, found none: name the folder that holds them"
        )
    return [results[key][0] for key in sorted(results)]


def _key(result: Result) -> Key:
    return result.suite, result.id, str(result.environment.get("device", ""))


def _result(path: Path) -> Result:
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise FolderError(f"the result {path} cannot be read ({error})") from None
    try:
        data = _json(text)
        if peft_files.is_peft_file(data):
            return peft_files.read(data, path.stem)
        if data is not None and not (isinstance(data, dict) and "schema" in data):
            raise ResultError(
                "it is neither a result of pytest-ftcompare nor one of PEFT's method_comparison"
            )
        return Result.from_json(text)
    except ResultError as error:
        raise FolderError(
            f"expected a result in {path}, but {error}: "
            "repair or remove it, or name a folder without it"
        ) from None


def _json(text: str) -> object:
    """Return the text's JSON; None if it is invalid, which `Result.from_json` then reports."""
    try:
        return json.loads(text)
    except json.JSONDecodeError:
        return None


def pair_results(old: Iterable[Result], new: Sequence[Result]) -> Pairs:
    """Pair each new result with the old result of its case, and list the other cases.

    An old result of the same device comes first, then of the CPU, then of any device. Raises
    `FolderError` if no case is in both.
    """
    before: dict[tuple[str, str], list[Result]] = {}
    for result in old:
        before.setdefault((result.suite, result.id), []).append(result)
    both = []
    for result in new:
        if candidates := before.get((result.suite, result.id)):
            device = result.environment.get("device")
            both.append(
                (
                    min(
                        candidates,
                        key=lambda candidate: _distance(
                            str(candidate.environment.get("device")), str(device)
                        ),
                    ),
                    result,
                )
            )
    after = {(result.suite, result.id) for result in new}
    if not both:
        names = " and ".join(
            f"{next(iter(sorted(keys)))[1]}, ..." for keys in (before, after) if keys
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
    return device != wanted, device != FALLBACK_DEVICE, device

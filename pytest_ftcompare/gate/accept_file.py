"""Read the accept file: a project's known regressions that pass for a while (docs/updating.md).

`plugin/options.py` reads it in every process, before anything runs.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Collection, Iterable, Mapping
from dataclasses import fields
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

from pytest_ftcompare.compare.allowances import COSTS, LEVELS, SCORES
from pytest_ftcompare.results.allowance import Allowance

TABLE = "accepted"
KEYS = tuple(field.name for field in fields(Allowance))
TEXT_KEYS = ("case", "suite", "what", "owner", "reason", "link")
ANY_SUITE = "*"
# A limit with its unit, as reports tell a change: points of a score, percent of a cost.
WITH_UNIT = re.compile(r"(\d+(?:\.\d+)?) ?(pt|%)")


class AcceptFileError(ValueError):
    """An accept file is wrong; the message says what was expected and what came."""


def today() -> date:
    """Return the date in UTC, which is the same on every machine; the only place that reads it."""
    return datetime.now(UTC).date()


def read(file: Path) -> tuple[Allowance, ...]:
    """Return the allowances of a file; raise `AcceptFileError` with one sentence."""
    try:
        content = tomllib.loads(file.read_text(encoding="utf-8"))
    except OSError as error:
        raise AcceptFileError(
            f"expected a TOML file, {file} cannot be read ({error.strerror or error})"
        ) from None
    except ValueError as error:  # of TOML or UTF-8
        raise AcceptFileError(f"{file} is not valid TOML: {error}") from None
    entries = content.pop(TABLE, [])
    if content or not isinstance(entries, list):
        wrong = next(iter(content), TABLE)
        raise AcceptFileError(f"{file}: expected only [[{TABLE}]] tables, found {wrong!r}")
    allowances: list[Allowance] = []
    for number, entry in enumerate(entries, start=1):
        allowance = _read_entry(entry, f"{file}, [[{TABLE}]] number {number}")
        for earlier, other in enumerate(allowances, start=1):
            if _subject(other) == _subject(allowance):
                raise AcceptFileError(
                    f"{file}: [[{TABLE}]] numbers {earlier} and {number} are both for "
                    f"{allowance.what} of {allowance.case}: keep one of them"
                )
        allowances.append(allowance)
    return tuple(allowances)


def _subject(allowance: Allowance) -> tuple[object, ...]:
    """Return what two entries must not share; a level may have an entry for each sentence."""
    sentence = allowance.at_most if allowance.what in LEVELS else ""
    return allowance.suite, allowance.case, allowance.what, sentence


def _read_entry(entry: Any, where: str) -> Allowance:
    if not isinstance(entry, dict):
        raise AcceptFileError(f"{where}: expected a table, got {entry!r}")
    values = {"suite": ANY_SUITE} | entry
    if missing := [key for key in KEYS if key not in values]:
        raise AcceptFileError(f"{where}: expected {', '.join(KEYS)}; {missing[0]} is missing")
    if unknown := [key for key in values if key not in KEYS]:
        raise AcceptFileError(f"{where}: expected {', '.join(KEYS)}; found {unknown[0]!r}")
    for key in TEXT_KEYS:
        if not isinstance(values[key], str) or not values[key].strip():
            raise AcceptFileError(f"{where}: expected {key} to be a text, got {values[key]!r}")
    what, expires = values["what"], values["expires"]
    if what not in (*SCORES, *COSTS, *LEVELS):
        raise AcceptFileError(
            f"{where}: expected what to be a score ({', '.join(SCORES)}), "
            f"a level ({', '.join(LEVELS)}) or a cost ({', '.join(COSTS)}), got {what!r}"
        )
    if not isinstance(expires, date) or isinstance(expires, datetime):
        raise AcceptFileError(
            f"{where}: expected expires to be a date such as 2027-01-31, without quotes, "
            f"got {str(expires)!r}"
        )
    return Allowance(
        # One line each, as reports are sentences.
        **{key: " ".join(values[key].split()) for key in TEXT_KEYS},
        at_most=_limit(what, values["at_most"], where),
        expires=expires.isoformat(),
    )


def _limit(what: str, value: Any, where: str) -> float | str:
    """Return the limit in the unit of `Allowance.at_most`."""
    if what in LEVELS:
        if isinstance(value, str) and value.strip():
            return value
        raise AcceptFileError(
            f"{where}: expected at_most to be the sentence that the report gives for {what}, "
            f'or a pattern of it such as "*", got {value!r}'
        )
    unit, example = ("pt", '0.02 or "2 pt"') if what in SCORES else ("%", '0.1 or "10 %"')
    if isinstance(value, str) and (match := WITH_UNIT.fullmatch(value.strip())):
        if match[2] == unit:
            return float(match[1]) / 100
    # A number of 1 or more is likelier meant in the report's unit.
    elif isinstance(value, int | float) and not isinstance(value, bool) and 0 < value < 1:
        return float(value)
    raise AcceptFileError(
        f"{where}: expected at_most to be a share below 1 or a number with its unit for {what}, "
        f"such as {example}, got {value!r}"
    )


def check_known(
    file: Path, allowances: Iterable[Allowance], known: Mapping[str, Collection[str]]
) -> None:
    """Raise `AcceptFileError` if an allowance names no case; `known` has the ids of each suite."""
    for allowance in allowances:
        if not any(
            allowance.names(suite, case) for suite, cases in known.items() for case in cases
        ):
            suite = "" if allowance.suite == ANY_SUITE else f" of suite {allowance.suite!r}"
            raise AcceptFileError(
                f"{file}: no table and no baseline has a case {allowance.case!r}{suite}: "
                "correct the name, or remove the entry"
            )

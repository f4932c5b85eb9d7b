"""`python -m pytest_ftcompare history`: a metric of cases over runs, and the import of what others wrote."""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from pytest_ftcompare.report.history import series as stored
from pytest_ftcompare.report.history.database import HistoryError, reading
from pytest_ftcompare.report.history.level_changes import changes_of
from pytest_ftcompare.report.history.series import RecordedSession, Series

LAST = 100  # runs that are shown, unless --last says
NAMED = 3  # names that an error lists


def main(arguments: Sequence[str]) -> int:
    """Run the command; its exit status: 0, or 2 for a usage error."""
    try:
        return _import(arguments[1:]) if arguments[:1] == ["import"] else _show(arguments)
    except BrokenPipeError:  # as of `| head`: what is left in the buffer has no reader
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0


def _show(arguments: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(
        prog="python -m pytest_ftcompare history",
        description="Show a metric of cases over the runs of a history, and where its level changed.",
        epilog="history import FILE FOLDER adds results that PEFT's method_comparison published, or reports of sessions.",
    )
    parser.add_argument(
        "file", type=Path, metavar="FILE", help="the history, as given to --ftcompare-history"
    )
    parser.add_argument(
        "--case", default="*", metavar="GLOB", help="only cases of this name, with or without suite"
    )
    parser.add_argument("--method", default="", metavar="NAME", help="only cases of this method")
    parser.add_argument("--metric", default="accuracy", metavar="NAME", help="default: accuracy")
    parser.add_argument(
        "--last",
        type=_positive,
        default=LAST,
        metavar="N",
        help=f"runs of each case; default: {LAST}",
    )
    parser.add_argument("--json", action="store_true", help="print all of it as JSON")
    options = parser.parse_args(arguments)
    try:
        found, runs = _find(
            options.file, options.case, options.method, options.metric, options.last
        )
    except HistoryError as error:
        return _refused(error)
    if options.json:
        print(
            json.dumps(
                {"metric": options.metric, "cases": [_data(one, runs) for one in found]}, indent=1
            )
        )
        return 0
    from rich.console import Console

    from pytest_ftcompare.report.history.terminal import show

    show(Console(highlight=False, emoji=False, markup=False), found, runs)
    return 0


def _import(arguments: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(
        prog="python -m pytest_ftcompare history import",
        description="Add to a history what is not in it yet: result files of PEFT's method_comparison, or reports of sessions "
        "(--ftcompare-report=FILE.json).",
    )
    parser.add_argument(
        "file", type=Path, metavar="FILE", help="the history; made if there is none"
    )
    parser.add_argument(
        "folder",
        type=Path,
        metavar="FOLDER",
        help="a folder with such files, at any depth, or one file",
    )
    options = parser.parse_args(arguments)
    from pytest_ftcompare.report.history import importer

    try:
        done = importer.add(options.file, options.folder)
    except HistoryError as error:
        return _refused(error)
    print(f"results added: {done.results}, sessions added: {done.sessions}", end=", ")
    print(f"there already: {done.known}, other files: {done.others}")
    return 0


def _find(
    file: Path, pattern: str, method: str, metric: str, last: int
) -> tuple[list[Series], dict[int, RecordedSession]]:
    with reading(file) as connection:
        known = stored.metrics(connection)
        if metric not in known:
            raise HistoryError(
                f"expected --metric to be one of {', '.join(known) or 'none yet'}, got {metric}"
            )
        cases = stored.cases(connection, pattern, method)
        if not cases:
            names = [one.path for one in stored.cases(connection)]
            some = ", ".join([*names[:NAMED], *(["..."] if len(names) > NAMED else [])])
            asked = " ".join(filter(None, (f"--case={pattern}", method and f"--method={method}")))
            raise HistoryError(
                f"expected cases for {asked}, found none in {file}, which has {some or 'no case yet'}"
            )
        found = [
            one for case in cases if (one := stored.series(connection, case, known[metric], last))
        ]
        if not found:
            raise HistoryError(
                f"expected {metric} of {len(cases)} cases in {file}, found none: name another --metric"
            )
        return found, stored.runs(connection, {number for one in found for number in one.runs})


def _data(one: Series, runs: Mapping[int, RecordedSession]) -> dict[str, Any]:
    fields = zip(one.runs, one.values, one.sds, one.verdicts, strict=True)
    return {
        "suite": one.case.suite,
        "case": one.case.name,
        "device": one.case.device,
        "method": one.case.method,
        "unit": one.metric.unit,
        "runs": [
            {
                "started": runs[number].started,
                "commit": runs[number].commit,
                "value": value,
                "sd": sd,
                "verdict": verdict,
            }
            for number, value, sd, verdict in fields
        ],
        "changes": [
            {
                "run": one.runs.index(change.run_id),
                "from": change.before,
                "to": change.after,
                "accepted": change.accepted,
            }
            | {"beside": change.beside}
            for change in changes_of(one, runs)
        ],
    }


def _positive(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"expected a whole number above 0, got {text!r}")
    return int(text)


def _refused(error: HistoryError) -> int:
    from pytest_ftcompare.report.history.terminal import visible

    print(f"ERROR: {visible(str(error))}", file=sys.stderr)
    return 2

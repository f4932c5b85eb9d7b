"""Run `python -m pytest_ftcompare history`: show a metric over runs, or import results."""

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

# Runs of each case that are shown without --last (chosen).
DEFAULT_LAST = 100
# Case names that an error lists (chosen).
MAX_NAMES = 3


def main(arguments: Sequence[str]) -> int:
    """Run the command. Returns the exit status: 0, or 2 for a usage error."""
    try:
        return _import(arguments[1:]) if arguments[:1] == ["import"] else _show(arguments)
    except BrokenPipeError:
        # A reader such as `head` has ended; Python would fail when it flushes the rest.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0


def _show(arguments: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(
        prog="python -m pytest_ftcompare history",
        description="Show a metric of cases over the runs of a history and its changes of level.",
        epilog="history import FILE FOLDER adds results that PEFT's method_comparison published, "
        "or reports of sessions.",
    )
    parser.add_argument(
        "file", type=Path, metavar="FILE", help="the file given to --ftcompare-history"
    )
    parser.add_argument(
        "--case", default="*", metavar="GLOB", help="only these cases; the suite/ is optional"
    )
    parser.add_argument("--method", default="", metavar="NAME", help="only cases of this method")
    parser.add_argument("--metric", default="accuracy", metavar="NAME", help="default: accuracy")
    parser.add_argument(
        "--last",
        type=_positive,
        default=DEFAULT_LAST,
        metavar="N",
        help=f"runs of each case; default: {DEFAULT_LAST}",
    )
    parser.add_argument("--json", action="store_true", help="print all values as JSON")
    options = parser.parse_args(arguments)
    try:
        lines, runs = _read_series(
            options.file, options.case, options.method, options.metric, options.last
        )
    except HistoryError as error:
        return _report_error(error)
    if options.json:
        data = {"metric": options.metric, "cases": [_data(line, runs) for line in lines]}
        print(json.dumps(data, indent=1))
        return 0
    from rich.console import Console

    from pytest_ftcompare.report.history.terminal import show

    show(Console(highlight=False, emoji=False, markup=False), lines, runs)
    return 0


def _import(arguments: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(
        prog="python -m pytest_ftcompare history import",
        description="Add new results to a history: result files of PEFT's method_comparison, "
        "or reports of sessions (--ftcompare-report=FILE.json).",
    )
    parser.add_argument(
        "file", type=Path, metavar="FILE", help="the history; created if it does not exist"
    )
    parser.add_argument(
        "folder",
        type=Path,
        metavar="FOLDER",
        help="a folder with JSON files, at any depth, or one file",
    )
    options = parser.parse_args(arguments)
    from pytest_ftcompare.report.history import importer

    try:
        counts = importer.add(options.file, options.folder)
    except HistoryError as error:
        return _report_error(error)
    print(f"results added: {counts.results}, sessions added: {counts.sessions}", end=", ")
    print(f"there already: {counts.already_there}, other files: {counts.other_files}")
    return 0


def _read_series(
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
            paths = [case.path for case in stored.cases(connection)]
            some = ", ".join([*paths[:MAX_NAMES], *(["..."] if len(paths) > MAX_NAMES else [])])
            filters = " ".join(filter(None, (f"--case={pattern}", method and f"--method={method}")))
            raise HistoryError(
                f"expected cases for {filters}, found none in {file}, "
                f"which has {some or 'no case yet'}"
            )
        lines = [
            line for case in cases if (line := stored.series(connection, case, known[metric], last))
        ]
        if not lines:
            raise HistoryError(
                f"expected {metric} of {len(cases)} cases in {file}, found none: "
                "name another --metric"
            )
        run_ids = {run_id for line in lines for run_id in line.runs}
        return lines, stored.runs(connection, run_ids)


def _data(line: Series, runs: Mapping[int, RecordedSession]) -> dict[str, Any]:
    fields = zip(line.runs, line.values, line.sds, line.verdicts, strict=True)
    return {
        "suite": line.case.suite,
        "case": line.case.name,
        "device": line.case.device,
        "method": line.case.method,
        "unit": line.metric.unit,
        "runs": [
            {
                "started": runs[run_id].started,
                "commit": runs[run_id].commit,
                "value": value,
                "sd": sd,
                "verdict": verdict,
            }
            for run_id, value, sd, verdict in fields
        ],
        "changes": [
            {
                "run": line.runs.index(change.run_id),
                "from": change.before,
                "to": change.after,
                "accepted": change.accepted,
                "beside": change.environment_changes,
            }
            for change in changes_of(line, runs)
        ],
    }


def _positive(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"expected a whole number above 0, got {text!r}")
    return int(text)


def _report_error(error: HistoryError) -> int:
    from pytest_ftcompare.report.history.terminal import visible

    print(f"ERROR: {visible(str(error))}", file=sys.stderr)
    return 2

"""Deliver a session's document: to reports, the history, GitHub's summary and annotations.

Called by `report_writer.py` at the end of a session.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from pytest_ftcompare.report import formats, github, history, markdown
from pytest_ftcompare.results.result import Json

Delivery = tuple[str, bool]  # a sentence about a file, and whether the file was written
# Bytes of a step's summary, the limit of GitHub:
# https://docs.github.com/actions/reference/workflow-commands. GitHub refuses more.
SUMMARY_LIMIT = 2**20


def deliver(
    document: Json,
    reports: Sequence[Path],
    database: Path | None,
    environ: Mapping[str, str],
    *,
    resumable: bool,
) -> Iterator[Delivery]:
    """Write all requested files; yield a sentence for each, and whether it was written.

    A failure does not stop the rest. A `resumable` run is not added to a history: the run that
    continues it has its cases again.
    """
    if database is not None and resumable:
        yield (
            f"history {database}: nothing added, because --ftcompare-resume can continue this run.",
            True,
        )
    elif database is not None and (document["cases"] or document["claims"]):
        try:
            history.append(database, document)
            document = document | {"history": history.earlier_runs(database, document)}
            yield f"history {database}: this run added.", True
        except history.HistoryError as error:
            yield str(error), False
    for path in reports:
        try:
            formats.write(path, document)
            yield f"report {path}", True
        except OSError as error:
            yield f"the report {path} could not be written ({error.strerror or error})", False
    if summary := environ.get("GITHUB_STEP_SUMMARY"):
        try:
            with Path(summary).open("a", encoding="utf-8") as file:
                file.write(markdown.render(document, limit=SUMMARY_LIMIT))
        except OSError as error:
            yield (
                f"$GITHUB_STEP_SUMMARY, {summary}, could not be written "
                f"({error.strerror or error})",
                False,
            )
    if environ.get("GITHUB_ACTIONS") == "true":
        yield from ((line, True) for line in github.annotations(document))

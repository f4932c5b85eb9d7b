"""Annotations on GitHub: a workflow command for each case that failed, is unsettled or accepted.

Their syntax: https://docs.github.com/actions/reference/workflow-commands-for-github-actions
"""

from collections.abc import Iterator

from pytest_ftcompare.compare.verdict import WORST_FIRST
from pytest_ftcompare.report.markdown_escape import clean
from pytest_ftcompare.report.wording import (
    allowance_sentences,
    case_changes,
    case_of,
    claim_change_of,
    meaning,
    verdict_words,
)
from pytest_ftcompare.results.result import Json

MAX_SHOWN = 10  # annotations of each kind that GitHub shows of a step


def annotations(document: Json) -> list[str]:
    """Return errors for what fails the session, worst first, then warnings, then notices.

    The last annotation of a kind says how many GitHub does not show.
    """
    return [
        *_shown("error", list(_errors(document))),
        *_shown("warning", list(_warnings(document))),
        *_shown("notice", list(_notices(document))),
    ]


def _shown(kind: str, entries: list[tuple[str, str, str]]) -> list[str]:
    """Write as many (nodeid, title, message) as GitHub shows."""
    if len(entries) > MAX_SHOWN:
        omitted = len(entries) - MAX_SHOWN + 1
        where = "GitHub shows no more; the step's summary and the report have all"
        entries = [*entries[: MAX_SHOWN - 1], ("", f"and {omitted:,} more", where)]
    return [_command(kind, *entry) for entry in entries]


def _errors(document: Json) -> Iterator[tuple[str, str, str]]:
    for finding in document["findings"]:
        yield "", "all cases together", finding
    failed = [case for case in document["cases"] if case["failed"]]
    for case in sorted(failed, key=lambda case: WORST_FIRST.index(case["verdict"])):
        verdict, level = case_of(case), case["first_divergence"]
        lines = [
            meaning(verdict),
            *case_changes(verdict, noise=True),
            f"Where it left its baseline: {level}" if level else "",
            f"Run it again: {case['rerun']}",
        ]
        yield case["nodeid"], f"{case['verdict']}: {case['id']}", "\n".join(filter(None, lines))
    for claim in document["claims"]:
        if claim["failed"]:
            message = f"{claim_change_of(claim)}\n{claim['source']}: {claim['statement']}"
            yield claim["nodeid"], f"{claim['verdict']}: {claim['name']}", message


def _warnings(document: Json) -> Iterator[tuple[str, str, str]]:
    for case in document["cases"]:
        if case["verdict"] in ("undecided", "incomparable") and not case["failed"]:
            message = "\n".join(case_changes(case_of(case), noise=True)) or "it is not settled"
            yield case["nodeid"], f"{case['verdict']}: {case['id']}", message
    for claim in document["claims"]:
        if claim["verdict"] == "noted":
            yield claim["nodeid"], f"noted: {claim['name']}", claim_change_of(claim)
    for note in document["notes"]:
        yield "", "note", note
    for sentence in allowance_sentences(document, ("unneeded", "expired")):
        yield "", "known regression", sentence


def _notices(document: Json) -> Iterator[tuple[str, str, str]]:
    """Yield the cases that pass by an allowance."""
    for case in document["cases"]:
        if case.get("allowed"):
            verdict = case_of(case)
            message = "\n".join(case_changes(verdict, noise=True))
            yield case["nodeid"], f"{verdict_words(verdict)}: {case['id']}", message


def _command(kind: str, nodeid: str, title: str, message: str) -> str:
    """Return one workflow command; the file is the test's, relative to pytest's root."""
    file = [f"file={_property(nodeid.partition('::')[0])}"] if nodeid else []
    lines = "\n".join(clean(line) for line in message.splitlines())
    return f"::{kind} {','.join([*file, f'title={_property(title)}'])}::{_data(lines)}"


def _data(text: str) -> str:
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _property(text: str) -> str:
    return _data(clean(text)).replace(":", "%3A").replace(",", "%2C")

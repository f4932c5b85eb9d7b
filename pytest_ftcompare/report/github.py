"""Annotations on GitHub: workflow commands, a line for each, of what failed and of what was not settled.

Their syntax: https://docs.github.com/actions/reference/workflow-commands-for-github-actions
"""

from collections.abc import Iterator

from pytest_ftcompare.compare.verdict import WORST_FIRST
from pytest_ftcompare.report.markdown_escape import clean
from pytest_ftcompare.report.wording import case_changes, case_of, claim_change_of, meaning
from pytest_ftcompare.results.result import Json

SHOWN = 10  # annotations of each kind that GitHub shows of a step


def annotations(document: Json) -> list[str]:
    """Errors for what fails the session, worst first, then warnings; a last one of each tells how many more there are."""
    return [
        *_shown("error", list(_errors(document))),
        *_shown("warning", list(_warnings(document))),
    ]


def _shown(kind: str, found: list[tuple[str, str, str]]) -> list[str]:
    """As many of (nodeid, title, message) as GitHub shows."""
    if len(found) > SHOWN:
        left = len(found) - SHOWN + 1
        found = [
            *found[: SHOWN - 1],
            (
                "",
                f"and {left:,} more",
                "GitHub shows no more; the step's summary and the report have all",
            ),
        ]
    return [_command(kind, *one) for one in found]


def _errors(document: Json) -> Iterator[tuple[str, str, str]]:
    for sentence in document["findings"]:
        yield "", "all cases together", sentence
    cases = [one for one in document["cases"] if one["failed"]]
    for one in sorted(cases, key=lambda one: WORST_FIRST.index(one["verdict"])):
        began = (
            [f"Where it left its baseline: {one['first_divergence']}"]
            if one["first_divergence"]
            else []
        )
        lines = [
            meaning(case_of(one)),
            *case_changes(case_of(one), noise=True),
            *began,
            f"Run it again: {one['rerun']}",
        ]
        yield one["nodeid"], f"{one['verdict']}: {one['id']}", "\n".join(filter(None, lines))
    for one in document["claims"]:
        if one["failed"]:
            yield (
                one["nodeid"],
                f"{one['verdict']}: {one['name']}",
                f"{claim_change_of(one)}\n{one['source']}: {one['statement']}",
            )


def _warnings(document: Json) -> Iterator[tuple[str, str, str]]:
    for one in document["cases"]:
        if one["verdict"] in ("undecided", "incomparable") and not one["failed"]:
            yield (
                one["nodeid"],
                f"{one['verdict']}: {one['id']}",
                "\n".join(case_changes(case_of(one), noise=True)) or "it is not settled",
            )
    for one in document["claims"]:
        if one["verdict"] == "noted":
            yield one["nodeid"], f"noted: {one['name']}", claim_change_of(one)
    for note in document["notes"]:
        yield "", "note", note


def _command(kind: str, nodeid: str, title: str, message: str) -> str:
    """One workflow command; the file is the test's, as pytest names it from the root."""
    file = [f"file={_property(nodeid.partition('::')[0])}"] if nodeid else []
    lines = "\n".join(clean(line) for line in message.splitlines())
    return f"::{kind} {','.join([*file, f'title={_property(title)}'])}::{_data(lines)}"


def _data(text: str) -> str:
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _property(text: str) -> str:
    return _data(clean(text)).replace(":", "%3A").replace(",", "%2C")

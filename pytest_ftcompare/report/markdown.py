"""A session's document as Markdown: for a pull request's comment, a step's summary on GitHub, and to be read as it is.

The verdict comes first, then what failed and what to know of it, then everything, folded. GitHub refuses what is too long, so
each part but the last takes at most half of the room that is left, and a sentence says what was left out.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from pytest_ftcompare.compare.verdict import repeated_bit_for_bit
from pytest_ftcompare.report.markdown_escape import clean, code, fence, prose
from pytest_ftcompare.report.wording import (
    amount,
    case_changes,
    case_of,
    claim_change_of,
    counted,
    environment_changes,
    headline,
    number,
)
from pytest_ftcompare.results.cost_metrics import STEP
from pytest_ftcompare.results.result import Json

COMMENT = 65_000  # bytes: GitHub takes 65,536 characters in a comment, and who posts it may put a line before it
REST = 200  # bytes kept for the sentence about what was left out
EDITED = 3  # edited files that are listed one by one
COMMAND = 2000  # characters of a command


@dataclass(frozen=True)
class Part:
    """A section: `rows`, of which as many stand as there is room for, between lines before and after; `what` a row is."""

    what: str
    before: Sequence[str]
    rows: Sequence[str]
    after: Sequence[str] = ()

    def fitted(self, room: int) -> str:
        """The part in at most so many bytes; nothing where it has no rows."""
        if not self.rows or room < REST:
            return ""
        used, kept = _size([*self.before, *self.after]) + REST, 0
        while kept < len(self.rows) and (used := used + _size([self.rows[kept]])) <= room:
            kept += 1
        lines = [*self.before, *self.rows[:kept], *self.after] if kept else []
        if kept < len(self.rows):
            left = f"{len(self.rows) - kept:,} of {counted(len(self.rows), self.what)}"
            lines += [
                "",
                f"Left out here for length: {left}; the reports in HTML and JSON have all.",
            ]
        return "\n".join(["", *lines, ""])


def render(document: Json, limit: int = COMMENT) -> str:
    """The document as Markdown of at most `limit` bytes, which should be some thousands."""
    text = "\n".join([*_head(document), ""])
    parts = list(_parts(document))
    for number_of_part, part in enumerate(parts, 1):
        room = limit - len(text.encode())
        text += part.fitted(room if number_of_part == len(parts) else room // 2)
    return text


def _size(lines: Iterable[str]) -> int:
    return sum(len(one.encode()) + 1 for one in lines)


def _head(document: Json) -> Iterator[str]:
    yield f"## ftcompare {headline(document)}"
    yield ""
    started = f"{clean(document['started'][:16]).replace('T', ' ')} UTC"
    yield f"Profile {code(document['profile'])}, {started}, {_time(document['seconds'])}: {code(document['command'])}"
    if document["update"]:
        accepted = [
            counted(sum(one["accepted"] for one in document[f"{kind}s"]), kind)
            for kind in ("case", "claim")
        ]
        yield f"Baselines were to be written: {' and '.join(accepted)} accepted."


def _time(seconds: float | None) -> str:
    minutes = round((seconds or 0) / 60)
    return (
        f"{number(seconds, '.0f')} s"
        if minutes < 2
        else f"{minutes} min"
        if minutes < 120
        else f"{minutes / 60:.1f} h"
    )


def _parts(document: Json) -> Iterator[Part]:
    cases, claims = document["cases"], document["claims"]
    failed = [one for one in cases if one["failed"]]
    yield Part(
        "finding",
        ["### All cases together", ""],
        [f"- {prose(one)}" for one in document["findings"]],
    )
    yield _table("Failed", failed)
    told = [f"- {_claim(one)}" for one in claims if one["verdict"] in ("changed", "new", "noted")]
    yield Part("claim", ["### Claims", ""], told)
    yield _table("Accepted", [one for one in cases if one["accepted"]])
    yield Part("change", ["### Changed since the baselines", ""], list(_changes(document)))
    yield _table(
        "Better", [one for one in cases if one["verdict"] == "better" and not one["accepted"]]
    )
    yield _table(
        "Not settled", [one for one in cases if one["verdict"] in ("undecided", "incomparable")]
    )
    yield Part("note", ["### Notes", ""], [f"- {prose(one)}" for one in document["notes"]])
    yield _commands(failed)
    heads = [
        "| case | verdict | accuracy | out of domain | seeds | step |",
        "| --- | --- | --- | --- | --- | --- |",
    ]
    yield Part(
        "case",
        [*_fold(f"All cases ({len(cases):,})"), *heads],
        [_row(one) for one in cases],
        ["", "</details>"],
    )


def _fold(summary: str) -> list[str]:
    return ["<details>", f"<summary>{summary}</summary>", ""]


def _table(title: str, cases: Sequence[Json]) -> Part:
    """Return a table of cases: what changed in each, and where it left its baseline."""
    heads = [
        f"### {title}",
        "",
        "| case | verdict | what changed | first divergence |",
        "| --- | --- | --- | --- |",
    ]
    return Part("case", heads, [_changed_row(case) for case in cases])


def _changed_row(case: Json) -> str:
    changes = "; ".join(map(prose, case_changes(case_of(case), noise=True)))
    return f"| {_name(case)} | {case['verdict']} | {changes} | {prose(case['first_divergence'])} |"


def _name(case: Json) -> str:
    return code(f"{case['suite']}/{case['id']}")


def _claim(claim: Json) -> str:
    said = f" {prose(claim['source'])}: {prose(claim['statement'])}." if claim["statement"] else ""
    verdict = f"{claim['verdict']}, accepted" if claim["accepted"] else claim["verdict"]
    return f"{code(claim['name'])} {verdict}: {prose(claim_change_of(claim))}.{said}"


def _changes(document: Json) -> Iterator[str]:
    """The environment's differences, each once; many edited files in one line."""
    found, total = environment_changes(document), len(document["cases"])
    edited = sorted(name for name, _, _ in found if "/" in name)
    for name, text, cases in found:
        if name not in edited or len(edited) <= EDITED:
            yield f"- {prose(text)}" + (f" ({cases:,} of {total:,} cases)" if cases < total else "")
    if len(edited) > EDITED:
        yield f"- edited: {', '.join(map(prose, edited))}"
    if not found and any(one["comparisons"] for one in document["cases"]):
        yield "- nothing in the environment"


def _commands(failed: Sequence[Json]) -> Part:
    """How to run each failed case again, and how to accept it."""
    commands = [
        clean(command, COMMAND)
        for one in failed
        for command in (one["rerun"], one["accept"])
        if command
    ]
    around = fence(commands)
    return Part(
        "command",
        [*_fold("Run the failed cases again, or accept them"), f"{around}sh"],
        commands,
        [around, "", "</details>"],
    )


def _row(case: Json) -> str:
    """A case of the folded table."""
    by_metric = {one["metric"]: one for one in case["comparisons"]}
    cells = [_score(case, metric, by_metric.get(metric)) for metric in ("accuracy", "accuracy_ood")]
    step = next((one["new"] for one in case["costs"] if one["metric"] == STEP.name), None)
    timed = "" if step is None else amount(step, "s")
    return f"| {_name(case)} | {case['verdict']} | {' | '.join(cells)} | {len(case['seed_results'])} | {timed} |"


def _score(case: Json, metric: str, comparison: Json | None) -> str:
    """ "82.7% -> 52.3%", "82.7%, identical", or the score alone."""
    if comparison is not None:
        if repeated_bit_for_bit(case["notes"]):
            return f"{number(comparison['base'], '.1%')}, identical"
        return f"{number(comparison['base'], '.1%')} -> {number(comparison['new'], '.1%')}"
    return number(case["scores"][metric], ".1%") if metric in case["scores"] else ""

"""A session's document as Markdown, for a pull request's comment and a step's summary on GitHub.

The verdict comes first, then the failures, then all cases in a folded table. GitHub refuses long
texts: each part but the last takes at most half of the remaining room, and a sentence says what was
left out.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from pytest_ftcompare.compare.environment_diff import is_source_file
from pytest_ftcompare.compare.verdict import repeated_bit_for_bit
from pytest_ftcompare.report.markdown_escape import clean, code, fence, prose
from pytest_ftcompare.report.wording import (
    allowance_sentences,
    amount,
    bisection_lines,
    case_changes,
    case_of,
    claim_change_of,
    counted,
    environment_changes,
    headline,
    meaning,
    number,
)
from pytest_ftcompare.results.cost_metrics import STEP
from pytest_ftcompare.results.result import Json

# Bytes. GitHub takes 65,536 characters in a comment; a workflow may put a line before it.
MAX_COMMENT = 65_000
OMISSION_BYTES = 200  # kept for the sentence that says what was left out
MAX_FILES = 3  # edited files that have a line each; chosen
MAX_COMMAND = 2000  # characters of a command; chosen: longer than any node id of the suites


@dataclass(frozen=True)
class Part:
    """A section: as many `rows` as fit, between the lines before and after; `what` names a row."""

    what: str
    before: Sequence[str]
    rows: Sequence[str]
    after: Sequence[str] = ()

    def fitted(self, room: int) -> str:
        """Return the part in at most `room` bytes; nothing where it has no rows."""
        if not self.rows or room < OMISSION_BYTES:
            return ""
        used, shown = _size([*self.before, *self.after]) + OMISSION_BYTES, 0
        while shown < len(self.rows) and (used := used + _size([self.rows[shown]])) <= room:
            shown += 1
        lines = [*self.before, *self.rows[:shown], *self.after] if shown else []
        if omitted := len(self.rows) - shown:
            count = f"{omitted:,} of {counted(len(self.rows), self.what)}"
            sentence = f"Left out here for length: {count}; the reports in HTML and JSON have all."
            lines += ["", sentence]
        return "\n".join(["", *lines, ""])


def render(document: Json, limit: int = MAX_COMMENT) -> str:
    """Return the document as Markdown of at most `limit` bytes, which should be some thousands."""
    text = "\n".join([*_head(document), ""])
    parts = list(_parts(document))
    for part in parts:
        room = limit - len(text.encode())
        text += part.fitted(room if part is parts[-1] else room // 2)
    return text


def _size(lines: Iterable[str]) -> int:
    return sum(len(line.encode()) + 1 for line in lines)


def _head(document: Json) -> Iterator[str]:
    yield f"## ftcompare {headline(document)}"
    yield ""
    started = f"{clean(document['started'][:16]).replace('T', ' ')} UTC"
    profile, command = code(document["profile"]), code(document["command"])
    yield f"Profile {profile}, {started}, {_duration(document['seconds'])}: {command}"
    if document["update"]:
        accepted = [
            counted(sum(test["accepted"] for test in document[f"{kind}s"]), kind)
            for kind in ("case", "claim")
        ]
        yield f"Baselines were to be written: {' and '.join(accepted)} accepted."


def _duration(seconds: float | None) -> str:
    minutes = round((seconds or 0) / 60)
    if minutes < 2:
        return f"{number(seconds, '.0f')} s"
    return f"{minutes} min" if minutes < 120 else f"{minutes / 60:.1f} h"


def _parts(document: Json) -> Iterator[Part]:
    cases, claims = document["cases"], document["claims"]
    failed = [case for case in cases if case["failed"]]
    yield Part(
        "finding",
        ["### All cases together", ""],
        [f"- {prose(finding)}" for finding in document["findings"]],
    )
    yield _table("Failed", failed)
    bisections = document.get("bisections", [])
    lines = [f"- {prose(line)}" for answer in bisections for line in bisection_lines(answer)]
    yield Part("line", ["### What made it fail", ""], lines)
    yield _table("Accepted for a while", [case for case in cases if case.get("allowed")])
    sentences = [f"- {prose(sentence)}" for sentence in allowance_sentences(document)]
    yield Part("entry", ["### Known regressions", ""], sentences)
    reported = [claim for claim in claims if claim["verdict"] in ("changed", "new", "noted")]
    yield Part("claim", ["### Claims", ""], [f"- {_claim(claim)}" for claim in reported])
    yield _table("Accepted", [case for case in cases if case["accepted"]])
    yield Part("change", ["### Changed since the baselines", ""], list(_changes(document)))
    better = [case for case in cases if case["verdict"] == "better" and not case["accepted"]]
    yield _table("Better", better)
    unsettled = [case for case in cases if case["verdict"] in ("undecided", "incomparable")]
    yield _table("Not settled", unsettled)
    yield Part("note", ["### Notes", ""], [f"- {prose(note)}" for note in document["notes"]])
    yield _commands(failed)
    heads = [
        "| case | verdict | accuracy | out of domain | seeds | step |",
        "| --- | --- | --- | --- | --- | --- |",
    ]
    yield Part(
        "case",
        [*_fold(f"All cases ({len(cases):,})"), *heads],
        [_row(case) for case in cases],
        ["", "</details>"],
    )


def _fold(summary: str) -> list[str]:
    return ["<details>", f"<summary>{summary}</summary>", ""]


def _table(title: str, cases: Sequence[Json]) -> Part:
    """Return a table of cases: what changed in each, and where it left its baseline.

    Under it stands what the verdicts of failed cases mean.
    """
    heads = [
        f"### {title}",
        "",
        "| case | verdict | what changed | where it left its baseline |",
        "| --- | --- | --- | --- |",
    ]
    meanings = {case["verdict"]: meaning(case_of(case)) for case in cases if case["failed"]}
    explained = [f"- {verdict}: {prose(text)}" for verdict, text in meanings.items() if text]
    after = ["", *explained] if explained else []
    return Part("case", heads, [_changed_row(case) for case in cases], after)


def _changed_row(case: Json) -> str:
    changes = "; ".join(map(prose, case_changes(case_of(case), noise=True)))
    return f"| {_name(case)} | {case['verdict']} | {changes} | {prose(case['first_divergence'])} |"


def _name(case: Json) -> str:
    return code(f"{case['suite']}/{case['id']}")


def _claim(claim: Json) -> str:
    statement = f" {prose(claim['source'])}: {prose(claim['statement'])}."
    verdict = f"{claim['verdict']}, accepted" if claim["accepted"] else claim["verdict"]
    change = f"{code(claim['name'])} {verdict}: {prose(claim_change_of(claim))}."
    return change + (statement if claim["statement"] else "")


def _changes(document: Json) -> Iterator[str]:
    """List the environment's changes, each once; many edited files share a line."""
    changes, total = environment_changes(document), len(document["cases"])
    files = sorted(name for name, _, _ in changes if is_source_file(name))
    for name, text, cases in changes:
        if name not in files or len(files) <= MAX_FILES:
            share = f" ({cases:,} of {total:,} cases)" if cases < total else ""
            yield f"- {prose(text)}{share}"
    if len(files) > MAX_FILES:
        yield f"- edited: {', '.join(map(prose, files))}"
    if not changes and any(case["comparisons"] for case in document["cases"]):
        yield "- nothing in the environment"


def _commands(failed: Sequence[Json]) -> Part:
    """List how to run each failed case again, and how to accept it."""
    commands = [
        clean(command, MAX_COMMAND)
        for case in failed
        for command in (case["rerun"], case["accept"])
        if command
    ]
    fence_line = fence(commands)
    return Part(
        "command",
        [*_fold("Run the failed cases again, or accept them"), f"{fence_line}sh"],
        commands,
        [fence_line, "", "</details>"],
    )


def _row(case: Json) -> str:
    """Return a case's row of the folded table."""
    by_metric = {comparison["metric"]: comparison for comparison in case["comparisons"]}
    cells = [_score(case, metric, by_metric.get(metric)) for metric in ("accuracy", "accuracy_ood")]
    step = next((cost["new"] for cost in case["costs"] if cost["metric"] == STEP.name), None)
    cells += [str(len(case["seed_results"])), "" if step is None else amount(step, "s")]
    return f"| {_name(case)} | {case['verdict']} | {' | '.join(cells)} |"


def _score(case: Json, metric: str, comparison: Json | None) -> str:
    """Write "82.7% -> 52.3%", "82.7%, identical", or the score alone."""
    if comparison is not None:
        if repeated_bit_for_bit(case["notes"]):
            return f"{number(comparison['base'], '.1%')}, identical"
        return f"{number(comparison['base'], '.1%')} -> {number(comparison['new'], '.1%')}"
    return number(case["scores"][metric], ".1%") if metric in case["scores"] else ""

"""Texts, order and cells of the page. The template calls these functions."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from itertools import groupby, islice
from urllib.parse import quote

from pytest_ftcompare.compare.pooled_shift import PooledShift
from pytest_ftcompare.compare.verdict import WORST_FIRST, repeated_bit_for_bit
from pytest_ftcompare.report import wording
from pytest_ftcompare.report.wording import (
    case_of,
    counted,
    meaning,
    outcome_changes,
)
from pytest_ftcompare.results import cost_metrics
from pytest_ftcompare.results.estimate import Estimate
from pytest_ftcompare.results.result import Json

# Failing cases of each verdict, and failing claims, in the banner (chosen). More make it longer.
MAX_WORST = 3
# Environment changes that the banner shows unfolded (chosen). More make it longer.
MAX_CHANGES = 6
# Verdicts of claims; the first ones need attention first.
CLAIM_ORDER = ("changed", "new", "noted", "untested", "held")
VERDICTS = WORST_FIRST
STEP_METRICS = (cost_metrics.STEP.name,)
MEMORY_METRICS = cost_metrics.MEMORY
bisection_lines = wording.bisection_lines


def headline(document: Json) -> str:
    """Return the result in one sentence: "Failing: 3 of 128 cases, 1 of 66 claims." """
    parts = []
    for kind in ("case", "claim"):
        judged = document[f"{kind}s"]
        if failed := sum(item["failed"] for item in judged):
            parts.append(f"{failed:,} of {counted(len(judged), kind)}")
    if document["findings"]:
        parts.append(counted(len(document["findings"]), "finding") + " on the whole session")
    accepted = sum(item["accepted"] for item in (*document["cases"], *document["claims"]))
    written = f" {counted(accepted, 'result')} accepted as baselines." if accepted else ""
    if parts:
        return f"Failing: {', '.join(parts)}.{written}"
    amount = " and ".join(
        counted(len(document[f"{kind}s"]), kind)
        for kind in ("case", "claim")
        if document[f"{kind}s"]
    )
    return (
        f"Nothing fails in {amount}."
        if amount
        else "Nothing was compared: no case and no claim ran."
    ) + written


def counts(document: Json) -> list[tuple[str, int]]:
    """Count the cases per verdict, the worst verdict first."""
    return [
        (verdict, document["counts"][verdict])
        for verdict in VERDICTS
        if verdict in document["counts"]
    ]


def key(case: Json) -> str:
    """Return the case's name in the page and in its links."""
    return f"{case['suite']}/{case['id']}"


def link(case: Json) -> str:
    """Return the address that selects the case."""
    return f"#case={quote(key(case), safe='')}"


def sorted_cases(document: Json) -> list[Json]:
    """Sort by failure, then by verdict, the worst first, then by the largest loss."""

    def rank(case: Json) -> tuple[bool, int, float, str]:
        lost = [score["delta"] for score in case["comparisons"] if score["outcome"] == "worse"]
        return (
            not case["failed"],
            VERDICTS.index(case["verdict"]),
            min(lost, default=0.0),
            key(case),
        )

    return sorted(document["cases"], key=rank)


def worst_cases(document: Json) -> list[Json]:
    """Return failing cases, at most `MAX_WORST` per verdict, so that no verdict hides another."""
    failed = [case for case in sorted_cases(document) if case["failed"]]
    return [
        case
        for _, group in groupby(failed, key=lambda case: case["verdict"])
        for case in islice(group, MAX_WORST)
    ]


def failed_not_shown(document: Json) -> int:
    """Count the failing cases beyond `worst_cases`."""
    failed: int = sum(case["failed"] for case in document["cases"])
    return failed - len(worst_cases(document))


def main_change(case: Json) -> str:
    """Return the line for the banner: the main change of a case, else its first note."""
    verdict = case_of(case)
    reasons = [*outcome_changes(verdict), *verdict.divergences, *verdict.notes, meaning(verdict)]
    return reasons[0]


def changes(document: Json) -> Iterator[str]:
    """Yield the environment's changes: "peft 0.20.0 → 0.21.2 (3 of 128 cases)"."""
    total = len(document["cases"])
    for _, text, affected in wording.environment_changes(document):
        text = text.replace("->", "→")
        yield text if affected == total else f"{text} ({affected:,} of {counted(total, 'case')})"


def pooled_improvements(document: Json) -> Iterator[str]:
    """Yield pooled shifts to the better. Shifts to the worse are among the findings."""
    for shift in document["shifts"]:
        if shift["outcome"] == "better":
            yield PooledShift(**shift).sentence


def started_at(document: Json) -> str:
    """Return the session's start: "Saturday 21 November 2026, 23:05 UTC"."""
    return f"{datetime.fromisoformat(document['started']).astimezone(UTC):%A %-d %B %Y, %H:%M} UTC"


def duration(seconds: float) -> str:
    """Format seconds: "12.3 s", "23 min", "3 h 05 min"."""
    if seconds < 60:
        return f"{seconds:.1f} s"
    hours, minutes = divmod(round(seconds / 60), 60)
    return f"{hours} h {minutes:02} min" if hours else f"{minutes} min"


def options(case: Json) -> str:
    """Format the case's options: "r=4, lr=0.01"."""
    return ", ".join(f"{name}={value}" for name, value in case["options"].items())


def score(case: Json, metric: str) -> float | None:
    """Return the baseline's mean plus the shift; without a comparison, this run's mean."""
    side = "base" if identical(case) else "new"
    compared = next((row[side] for row in case["comparisons"] if row["metric"] == metric), None)
    value: float | None = case["scores"].get(metric) if compared is None else compared
    return value


def comparison(case: Json, metric: str) -> Json | None:
    """Return the comparison of a metric with its baseline, None if there is none."""
    compared: Json | None = next(
        (row for row in case["comparisons"] if row["metric"] == metric), None
    )
    return compared if compared and compared["delta"] is not None else None


def identical(case: Json) -> bool:
    """Return whether the case repeated its baseline bit for bit."""
    return repeated_bit_for_bit(case["notes"])


def points(share: float) -> str:
    """Format a share in percentage points: "−12.4", "+0.4", "0.0"."""
    rounded = round(100 * share, 1)
    return f"{rounded:+.1f}".replace("-", "−") if rounded else "0.0"


def first_cost(case: Json, names: Sequence[str]) -> Json | None:
    """Return the reading of the first of these metrics that the case has."""
    by_name: Json = {reading["metric"]: reading for reading in case["costs"] if reading["new"]}
    return next((by_name[name] for name in names if name in by_name), None)


def amount(reading: Json) -> str:
    """Format a reading with its unit: "18.9 MiB"."""
    return wording.amount(reading["new"], reading["unit"])


def sorted_claims(document: Json) -> list[Json]:
    """Sort the claims by verdict, in `CLAIM_ORDER`."""
    return sorted(document["claims"], key=lambda claim: CLAIM_ORDER.index(claim["verdict"]))


def estimate(data: Json | None) -> str:
    """Format an estimate with its 95 % interval: "+3.1 pt [+2.2, +4.0], n 16", else ""."""
    if data is None or data["value"] is None:
        return ""
    value = Estimate(**data)
    low, high = value.interval()
    digits = "+.1f" if value.unit == "pt" else ".3g"
    interval = f" [{low:{digits}}, {high:{digits}}], n {value.n}" if value.error else ""
    return f"{value.value:{digits}} {value.unit}{interval}"

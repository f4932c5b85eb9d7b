"""What the page says in words: its headline, what moved in a case, the cells of a row, claims in their order."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from itertools import groupby, islice
from urllib.parse import quote

from pytest_ftcompare.compare.measured_cost import CostComparison
from pytest_ftcompare.compare.pooled_shift import PooledShift
from pytest_ftcompare.compare.sequential_test import ScoreComparison
from pytest_ftcompare.compare.verdict import WORST_FIRST, repeated
from pytest_ftcompare.report import cost, failure
from pytest_ftcompare.report.change_text import changes as differences
from pytest_ftcompare.report.change_text import counted
from pytest_ftcompare.report.outcome import sentence
from pytest_ftcompare.results import cost_metrics
from pytest_ftcompare.results.estimate import Estimate
from pytest_ftcompare.results.result import Json

WORST = 3  # cases of each verdict, and claims, that the banner names
CHANGES = 6  # changes of the environment that it lists openly
CLAIMS = (
    "changed",
    "new",
    "noted",
    "untested",
    "held",
)  # verdicts of claims, those to be looked at first
VERDICTS = WORST_FIRST
TIME = (cost_metrics.STEP.name,)
MEMORY = cost_metrics.MEMORY


def headline(document: Json) -> str:
    """What happened, in one sentence: "3 of 128 cases and 1 of 66 claims fail." """
    parts = []
    for kind in ("case", "claim"):
        found = document[f"{kind}s"]
        if failed := sum(one["failed"] for one in found):
            parts.append(f"{failed:,} of {counted(len(found), kind)}")
    if document["findings"]:
        parts.append(counted(len(document["findings"]), "finding") + " on the whole session")
    accepted = sum(one["accepted"] for one in (*document["cases"], *document["claims"]))
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
    """Cases per verdict, the gravest first."""
    return [
        (verdict, document["counts"][verdict])
        for verdict in VERDICTS
        if verdict in document["counts"]
    ]


def key(case: Json) -> str:
    """How the page and its links call a case."""
    return f"{case['suite']}/{case['id']}"


def link(case: Json) -> str:
    """The address that selects the case."""
    return f"#case={quote(key(case), safe='')}"


def cases(document: Json) -> list[Json]:
    """Those that fail first, then by verdict, the gravest first, then by how much was lost."""

    def rank(case: Json) -> tuple[bool, int, float, str]:
        lost = [one["delta"] for one in case["comparisons"] if one["outcome"] == "worse"]
        return (
            not case["failed"],
            VERDICTS.index(case["verdict"]),
            min(lost, default=0.0),
            key(case),
        )

    return sorted(document["cases"], key=rank)


def worst(document: Json) -> list[Json]:
    """The first of the cases that fail, of each verdict at most `WORST`, so that many of one do not hide another."""
    failed = [one for one in cases(document) if one["failed"]]
    return [
        one
        for _, group in groupby(failed, key=lambda one: one["verdict"])
        for one in islice(group, WORST)
    ]


def unnamed(document: Json) -> int:
    """How many cases fail besides those."""
    failed: int = sum(one["failed"] for one in document["cases"])
    return failed - len(worst(document))


def moved(case: Json) -> str:
    """What moved most in a case, else its first divergence or note: one line for the banner."""
    if case["verdict"] != "invalid":
        for one in case["comparisons"]:
            if case["judge_accuracy"] and one["outcome"] in ("worse", "better"):
                return sentence(ScoreComparison(**one), identical=repeated(case["notes"]))
        for reading in case["costs"]:
            if reading["outcome"] in cost.MOVED:
                return cost.change(CostComparison(**reading))
    if case["divergences"]:
        return str(case["divergences"][0])
    return str(case["notes"][0]) if case["notes"] else failure.MEANING.get(case["verdict"], "")


def changes(document: Json) -> Iterator[str]:
    """What changed in the environment: "peft 0.20.0 -> 0.21.2 (3 of 128 cases)"."""
    total = len(document["cases"])
    for _, text, cases in differences(document):
        text = text.replace("->", "→")
        yield text if cases == total else f"{text} ({cases:,} of {counted(total, 'case')})"


def together(document: Json) -> Iterator[str]:
    """Pooled shifts to the better, which fail nothing; those to the worse are among the findings."""
    for one in document["shifts"]:
        if one["outcome"] == "better":
            yield PooledShift(**one).sentence


def when(document: Json) -> str:
    """When the session began: "Thursday 21 November 2026, 23:05 UTC"."""
    return f"{datetime.fromisoformat(document['started']).astimezone(UTC):%A %-d %B %Y, %H:%M} UTC"


def lasted(seconds: float) -> str:
    """ "12.3 s", "23 min", "3 h 05 min"."""
    if seconds < 60:
        return f"{seconds:.1f} s"
    hours, minutes = divmod(round(seconds / 60), 60)
    return f"{hours} h {minutes:02} min" if hours else f"{minutes} min"


def options(case: Json) -> str:
    """ "r=4, lr=0.01"."""
    return ", ".join(f"{name}={value}" for name, value in case["options"].items())


def score(case: Json, metric: str) -> float | None:
    """A metric of a case: what its baseline's seeds would have given, where it has one, else this run's mean."""
    which = "base" if identical(case) else "new"
    found = next((one[which] for one in case["comparisons"] if one["metric"] == metric), None)
    value: float | None = case["scores"].get(metric) if found is None else found
    return value


def comparison(case: Json, metric: str) -> Json | None:
    """How a metric compares with the baseline, where it was compared."""
    found: Json | None = next((one for one in case["comparisons"] if one["metric"] == metric), None)
    return found if found and found["delta"] is not None else None


def identical(case: Json) -> bool:
    """Whether it repeated its baseline bit for bit."""
    return repeated(case["notes"])


def points(share: float) -> str:
    """ "−12.4", "+0.4", "0.0"."""
    rounded = round(100 * share, 1)
    return f"{rounded:+.1f}".replace("-", "−") if rounded else "0.0"


def costs(case: Json, names: Sequence[str]) -> Json | None:
    """The first of these costs that the case has a reading of."""
    by_name: Json = {one["metric"]: one for one in case["costs"] if one["new"]}
    return next((by_name[name] for name in names if name in by_name), None)


def amount(reading: Json) -> str:
    """ "18.9 MiB"."""
    return cost.amount(reading["new"], reading["unit"])


def claims(document: Json) -> list[Json]:
    """Those that changed first."""
    return sorted(document["claims"], key=lambda one: CLAIMS.index(one["verdict"]))


def estimate(data: Json | None) -> str:
    """ "+3.1 pt [+2.2, +4.0], n 16", with the 95 % interval; "" without an estimate."""
    if data is None or data["value"] is None:
        return ""
    found = Estimate(**data)
    low, high = found.interval()
    digits = "+.1f" if found.unit == "pt" else ".3g"
    interval = f" [{low:{digits}}, {high:{digits}}], n {found.n}" if found.error else ""
    return f"{found.value:{digits}} {found.unit}{interval}"

"""The words for what a session found: every format takes its sentences from here.

The terminal and JUnit render the verdicts themselves; Markdown, HTML and GitHub read them back from
the document (`case_of`, `claim_change_of`). Numbers that a document lacks are None and read "?".
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import fields, replace

from pytest_ftcompare.compare.environment_diff import Difference
from pytest_ftcompare.compare.measured_cost import CostComparison
from pytest_ftcompare.compare.sequential_test import ScoreComparison
from pytest_ftcompare.compare.verdict import SHORT_TRAINING, WORST_FIRST, CaseVerdict, VerdictName
from pytest_ftcompare.results.estimate import Estimate
from pytest_ftcompare.results.result import Json

METRIC_NAMES = {"accuracy": "accuracy", "accuracy_ood": "accuracy out of domain"}
UNKNOWN = "?"  # stands for a number that is missing
CHANGED_OUTCOMES = ("worse", "changed", "better")  # of a cost, the gravest first
MEANING: Mapping[str, str] = {
    "worse": "its outcome got worse",
    "changed": "it computes something else than its baseline did; its outcome is not worse",
    "new": "it has no baseline yet",
    "invalid": "it cannot be judged",
}


def counted(count: int, noun: str) -> str:
    """Count a noun: "1 case", "1,204 cases"."""
    return f"{count:,} {noun}{'s' * (count != 1)}"


def number(value: float | None, form: str, scale: float = 1.0) -> str:
    """Format a number, or return `UNKNOWN` for None."""
    return UNKNOWN if value is None else format(scale * value, form)


def amount(value: float | None, unit: str) -> str:
    """Write a value with its unit: "32.5 ms", "18.9 MiB", "1,204"."""
    if value is None:
        return UNKNOWN
    if unit == "s":
        return f"{value:.3g} s" if value >= 1 else f"{1e3 * value:.3g} ms"
    if unit == "B":
        return f"{value / 2**20:,.2f} MiB" if value >= 2**20 else f"{value / 2**10:,.1f} KiB"
    return f"{value:,.3g} J" if unit == "J" else f"{value:,.0f}"


def headline(document: Json) -> str:
    """Sum up a session: "failed: 2 worse, 126 same of 128 cases; 1 changed of 66 claims"."""
    verdicts = verdict_counts(case["verdict"] for case in document["cases"])
    cases = f"{verdicts} of {counted(len(document['cases']), 'case')}"
    parts = [cases if document["cases"] else "no case ran"]
    if claims := [claim["verdict"] for claim in document["claims"]]:
        order = ("changed", "new", "noted", "held", "untested")
        words = ", ".join(f"{claims.count(name)} {name}" for name in order if name in claims)
        parts.append(f"{words} of {counted(len(claims), 'claim')}")
    return f"{'failed' if document['failed'] else 'passed'}: {'; '.join(parts)}"


def case_of(case: Json) -> CaseVerdict:
    """Read the verdict of a document's case."""
    names = {field.name for field in fields(CaseVerdict)}
    known = {name: value for name, value in case.items() if name in names}
    return CaseVerdict.from_dict(known | {"seeds": len(case["seed_results"])})


def verdict_counts(verdicts: Iterable[str], order: Iterable[VerdictName] = WORST_FIRST) -> str:
    """Count verdicts in an order: "1 worse, 2 same"."""
    counts = Counter(verdicts)
    return ", ".join(f"{counts[name]:,} {name}" for name in order if counts[name])


def seeds_trained(verdict: CaseVerdict) -> str:
    """Say how much of a case was trained: "3 seeds", or "short"."""
    return "short" if SHORT_TRAINING in verdict.notes else counted(verdict.seeds, "seed")


def shown_comparisons(verdict: CaseVerdict) -> list[ScoreComparison]:
    """Return the comparisons as reports show them: an identical case has no shift and no error."""
    if not verdict.identical:
        return verdict.comparisons
    return [
        replace(comparison, new=comparison.base, delta=0.0, error=0.0, p=0.5)
        for comparison in verdict.comparisons
    ]


def score_change(comparison: ScoreComparison, *, identical: bool, noise: bool = False) -> str:
    """Compare a score with its baseline, with the standard error and, if asked, the noise.

    "accuracy 91.2% -> 88.9%: -2.3 pt ± 0.6 (p=0.002, 6 seeds)"
    """
    name, base = METRIC_NAMES[comparison.metric], number(comparison.base, ".1%")
    seeds = counted(comparison.seeds, "seed") if comparison.seeds else "short training"
    if identical:
        return f"{name} {base}: identical ({seeds})"
    shift, error = number(comparison.delta, "+.1f", 100), number(comparison.error, ".1f", 100)
    beside = f"noise {number(comparison.noise, '.1f', 100)} pt, " if noise else ""
    return (
        f"{name} {base} -> {number(comparison.new, '.1%')}: {shift} pt ± {error} "
        f"({beside}p={number(comparison.p, '.2g')}, {seeds})"
    )


def cost_change(cost: CostComparison, *, noise: bool = False) -> str:
    """Compare a cost with its baseline: "step 32.5 ms -> 34.9 ms: +7.4% in yardsticks".

    `noise` adds the standard error of a timed or read cost.
    """
    how = {"readings": "", "exact": ", counted"}.get(
        cost.how, f" in {cost.how}" if cost.unit == "s" else f", {cost.how}"
    )
    error = f" ± {100 * cost.error:.1f}" if noise and cost.error else ""
    base, new = amount(cost.base, cost.unit), amount(cost.new, cost.unit)
    return f"{cost.metric} {base} -> {new}: {number(cost.change, '+.1%')}{error}{how}"


def changed_scores(verdict: CaseVerdict) -> list[ScoreComparison]:
    """Return the judged scores that changed; of an undecided case, the open ones too."""
    if not verdict.judge_accuracy:
        return []
    outcomes = ["worse", "better", *(["open"] if verdict.verdict == "undecided" else [])]
    return [
        comparison
        for outcome in outcomes
        for comparison in verdict.comparisons
        if comparison.outcome == outcome
    ]


def changed_costs(verdict: CaseVerdict) -> list[CostComparison]:
    """Return the costs that differ from the baseline's, the gravest first."""
    changed = [cost for cost in verdict.costs if cost.outcome in CHANGED_OUTCOMES]
    return sorted(changed, key=lambda cost: CHANGED_OUTCOMES.index(cost.outcome))


def scores(verdict: CaseVerdict) -> list[str]:
    """Name the scores of a case that has no comparison: "accuracy 82.7%"."""
    return [
        f"{METRIC_NAMES[name]} {number(score, '.1%')}"
        for name, score in verdict.scores.items()
        if name in METRIC_NAMES
    ]


def divergence_lines(verdict: CaseVerdict, most: int = 1) -> Iterator[str]:
    """Name the first divergences of a case, and count those left out."""
    yield from (f"first divergence: {text}" for text in verdict.divergences[:1])
    yield from (f"then: {text}" for text in verdict.divergences[1:most])
    if len(verdict.divergences) > most:
        yield f"and {counted(len(verdict.divergences) - most, 'more divergence')}"


def outcome_changes(verdict: CaseVerdict, *, noise: bool = False) -> Iterator[str]:
    """Name the changed scores and costs, the gravest first; none of an invalid case."""
    if verdict.verdict == "invalid":
        return
    for comparison in changed_scores(verdict):
        yield score_change(comparison, identical=verdict.identical, noise=noise)
    yield from (cost_change(cost, noise=noise) for cost in changed_costs(verdict))


def case_changes(verdict: CaseVerdict, *, noise: bool = False) -> Iterator[str]:
    """Name what differs in a case, the gravest first; its scores where it has no comparison."""
    yield from outcome_changes(verdict, noise=noise)
    yield from divergence_lines(verdict)
    if verdict.verdict == "incomparable":
        yield from verdict.notes[:1]
    elif not verdict.comparisons and verdict.verdict != "invalid":
        yield from scores(verdict)


def meaning(verdict: CaseVerdict) -> str:
    """Say what the verdict on a failed case means."""
    scores_are_worse = any(one.outcome == "worse" for one in verdict.comparisons)
    if verdict.verdict == "worse" and not scores_are_worse:
        return "its cost got worse"
    return MEANING.get(verdict.verdict, "")


def bisection_lines(answer: Json) -> Iterator[str]:
    """Tell a search's answer (`upgrade/answer.py`), a fact a line."""
    yield f"last good: {answer['last_good']}"
    yield f"first bad: {answer['first_bad']}"
    if answer["link"]:
        yield f"changes: {answer['link']}"
    yield f"sign: {answer['sign']}"
    for entry in answer["between"]:
        yield f"between them, {entry} was not settled: it may be the first bad one"
    for entry in answer["out_of_order"]:
        yield f"out of order: {entry}"
    yield from answer["remarks"]
    sure = answer["probability"]
    probability = f", probability {sure:.1%}" if sure is not None and sure < 1 else ""
    sessions = f"{counted(answer['sessions'], 'session')}, {number(answer['seconds'], '.0f')} s"
    entries = f"{answer['tried']:,} of {len(answer['entries']):,} entries"
    yield f"{entries} tried in {sessions}{probability}"


def environment_changes(document: Json) -> list[tuple[str, str, int]]:
    """List the environment's changes in a document once each, the commit last.

    Return (name, "peft 0.20.0 -> 0.21.2", cases). Baselines of different age may hold several
    digests of one file; each edit then counts for its cases.
    """
    counts: Counter[tuple[str, str]] = Counter()
    for change in sorted(document["changes"], key=lambda change: change["name"] == "commit"):
        text = str(Difference(change["name"], change["base"], change["new"]))
        counts[change["name"], text] += change["cases"]
    return [(name, text, cases) for (name, text), cases in counts.items()]


def _claim_outcome(outcome: str, estimate: Estimate) -> str:
    value = UNKNOWN if estimate.value is None else str(estimate)
    return f"{outcome} ({value}, n {estimate.n})"


def claim_change(
    before: tuple[str, Estimate] | None, now: tuple[str, Estimate] | None, note: str = ""
) -> str:
    """Compare a claim's outcome with its baseline's.

    "was reproduced (+3.1 pt ± 0.4, n 16), is contradicted (-2.0 pt ± 0.5, n 16)"
    """
    parts = [f"was {_claim_outcome(*before)}"] if before else []
    parts += [f"is {_claim_outcome(*now)}"] if now else []
    return ", ".join([*parts, *([note] if note else [])])


def claim_change_of(claim: Json) -> str:
    """Compare the outcome of a document's claim with its baseline's."""

    def outcome(record: Json | None) -> tuple[str, Estimate] | None:
        if not record or not record["outcome"]:
            return None
        return record["outcome"], Estimate(**record["estimate"])

    return claim_change(outcome(claim["before"]), outcome(claim), claim["note"])

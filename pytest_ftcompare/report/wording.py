"""The words for what a session found: every format takes its sentences from here.

The terminal and JUnit render the verdicts themselves; Markdown, HTML and GitHub read them back from
the document (`case_of`, `claim_change_of`). Numbers that a document lacks are None and read "?".
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import fields, replace

from pytest_ftcompare.compare.allowances import SessionAllowance, SessionState
from pytest_ftcompare.compare.environment_diff import Difference
from pytest_ftcompare.compare.measured_cost import CostComparison
from pytest_ftcompare.compare.sequential_test import ScoreComparison
from pytest_ftcompare.compare.verdict import SHORT_TRAINING, WORST_FIRST, CaseVerdict, VerdictName
from pytest_ftcompare.results.allowance import Allowance, CaseAllowance
from pytest_ftcompare.results.estimate import Estimate
from pytest_ftcompare.results.result import Json

METRIC_NAMES = {"accuracy": "accuracy", "accuracy_ood": "accuracy out of domain"}
FOR_A_WHILE = "accepted for a while"  # of a case that fails but for its allowances
UNKNOWN = "?"  # stands for a number that is missing
# The states of allowances in a session besides "accepted" and "open", the gravest first.
ALLOWANCE_STATES: Mapping[SessionState, str] = {
    "exceeded": "worse than accepted",
    "expired": "expired",
    "unneeded": "no longer needed",
}
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
    if allowed := sum(case.get("allowed", False) for case in document["cases"]):
        cases += f", {allowed:,} {FOR_A_WHILE}"
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
    yield from allowance_lines(verdict)


def verdict_words(verdict: CaseVerdict) -> str:
    """Name a verdict: "worse", or "worse, accepted for a while"."""
    return f"{verdict.verdict}, {FOR_A_WHILE}" if verdict.allowed else verdict.verdict


def _allowed_size(allowance: Allowance, size: float | str | None, form: str) -> str:
    """Write a limit or a size as reports tell a change: "2 pt", "10 %", or a sentence."""
    if isinstance(size, str):
        return f"'{size}'"
    unit = "pt" if allowance.what in METRIC_NAMES else "%"
    return f"{number(size, form, 100)} {unit}"


def _limit(allowance: Allowance) -> str:
    return _allowed_size(allowance, allowance.at_most, ".4g")


def _origin(allowance: Allowance) -> str:
    # The reason last: some reports cut long sentences.
    return f"owner {allowance.owner}, {allowance.link} ({allowance.reason})"


def allowance_lines(verdict: CaseVerdict) -> Iterator[str]:
    """Say what of a case is not accepted any more, what never was, and what is for a while.

    Allowances of the same origin share a line: "accepted until 2027-01-31: accuracy (1.20 pt of at
    most 2 pt), recipe; owner Ann, https://... (fixed in peft 0.22)"
    """
    beyond = [allowance for allowance in verdict.allowances if allowance.what in verdict.uncovered]
    for allowance in beyond:
        if allowance.state == "exceeded":
            size = _allowed_size(allowance, allowance.size, ".2f")
            limit = f"accepted up to {_limit(allowance)}, is {size}"
            yield f"{allowance.what}: {limit}; {_origin(allowance)}"
    expired = [allowance for allowance in beyond if allowance.state == "expired"]
    for (day, origin), group in _by_origin(expired):
        names = ", ".join(allowance.what for allowance in group)
        yield f"acceptance of {names} expired on {day}; {origin}"
    named = {allowance.what for allowance in beyond if allowance.state in ("exceeded", "expired")}
    if others := [name for name in verdict.uncovered if name not in named]:
        yield f"not accepted: {', '.join(others)}"
    for (day, origin), group in _by_origin(
        [allowance for allowance in verdict.allowances if allowance.state == "covers"]
    ):
        yield f"accepted until {day}: {', '.join(map(_covered, group))}; {origin}"


def _by_origin(
    allowances: Iterable[CaseAllowance],
) -> Iterable[tuple[tuple[str, str], list[CaseAllowance]]]:
    """Group allowances by their last day, and by owner, link and reason."""
    groups: dict[tuple[str, str], list[CaseAllowance]] = {}
    for allowance in allowances:
        groups.setdefault((allowance.expires, _origin(allowance)), []).append(allowance)
    return groups.items()


def _covered(allowance: CaseAllowance) -> str:
    """Name what an allowance covers; a score or a cost with its size and limit."""
    if isinstance(allowance.size, str):
        return allowance.what
    size = _allowed_size(allowance, allowance.size, ".2f")
    return f"{allowance.what} ({size} of at most {_limit(allowance)})"


def allowance_counts(allowances: Sequence[SessionAllowance]) -> str:
    """Count the allowances that mattered; "" where none did.

    "2 known regressions accepted, until 2027-01-31 at the earliest; 1 no longer needed"
    """
    by_state = Counter(allowance.state for allowance in allowances)
    parts = []
    if count := by_state["accepted"]:
        first = min(allowance.expires for allowance in allowances if allowance.state == "accepted")
        earliest = " at the earliest" if count > 1 else ""
        parts.append(f"{counted(count, 'known regression')} accepted, until {first}{earliest}")
    for state, words in ALLOWANCE_STATES.items():
        if count := by_state[state]:
            what = f"{count:,}" if parts else counted(count, "accepted regression")
            parts.append(f"{what} {words}")
    return "; ".join(parts)


def allowance_sentence(allowance: SessionAllowance) -> str:
    """Say what an entry of the accept file did in a session."""
    suite = "" if allowance.suite == "*" else f" of {allowance.suite}"
    subject = f"{allowance.what} of {allowance.case}{suite}"
    if allowance.state == "accepted":
        state = f"accepted until {allowance.expires} in {counted(len(allowance.cases), 'case')}"
    elif allowance.state == "expired":
        state = f"expired on {allowance.expires}"
    elif allowance.state == "exceeded":
        state = f"worse than accepted, up to {_limit(allowance)}"
    elif allowance.state == "unneeded":
        state = "no longer needed, remove the entry"
    else:
        state = "not settled here, or not all of its cases ran"
    return f"{subject}: {state}; {_origin(allowance)}"


def meaning(verdict: CaseVerdict) -> str:
    """Say what the verdict on a failed case means."""
    scores_are_worse = any(comparison.outcome == "worse" for comparison in verdict.comparisons)
    if verdict.verdict == "worse" and not scores_are_worse:
        return "its cost got worse"
    return MEANING.get(verdict.verdict, "")


def allowance_sentences(
    document: Json, states: Collection[str] = ("accepted", *ALLOWANCE_STATES)
) -> list[str]:
    """Return the sentences of a document's allowances in these states."""
    allowances = [SessionAllowance(**entry) for entry in document.get("allowances", ())]
    return [allowance_sentence(allowance) for allowance in allowances if allowance.state in states]


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

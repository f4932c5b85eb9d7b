"""A session as one document of plain JSON data.

The controller makes it at the end of a session; Markdown, HTML, GitHub and the history render it.
`document.schema.json` describes its fields, docs/report-json.md its versions.
"""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from operator import itemgetter
from typing import TYPE_CHECKING, Any

import pytest_ftcompare
from pytest_ftcompare.compare.claims import claim
from pytest_ftcompare.compare.cross_case_audit import budget_notes
from pytest_ftcompare.compare.environment_diff import Difference
from pytest_ftcompare.compare.verdict import SHORT_TRAINING, WORST_FIRST, CaseVerdict
from pytest_ftcompare.report.wording import shown_comparisons
from pytest_ftcompare.results.claim_record import ClaimRecord
from pytest_ftcompare.results.result import Json, Result

if TYPE_CHECKING:  # importing it would load what only a session needs
    from pytest_ftcompare.gate.session import GateSession

SCHEMA = 1
# A header's `ended` of a session in which only tests failed that are no cases and no claims.
OTHER_TESTS_FAILED = "tests other than cases failed: see pytest's output"


@dataclass(frozen=True)
class Header:
    """A session's own fields: `started` in ISO 8601, `options` those of the plugin, as given.

    `ended` says how pytest ended where no case, claim or finding explains a failure.
    """

    started: str
    seconds: float
    command: str
    options: str
    profile: str
    ended: str = ""


def make(session: GateSession, run: Header, results: Mapping[tuple[str, str], Result]) -> Json:
    """Return the document of a session that has ended.

    `results` has this run's result of each case that has one, by suite and id.
    """
    cases = [
        _case(verdict, session, run, results.get((verdict.suite, verdict.id)))
        for verdict in session.verdicts
    ]
    claims = [_claim(verdict, session, run) for verdict in session.claims]
    counts = Counter(verdict.verdict for verdict in session.verdicts)
    findings = [*session.findings, *filter(None, (run.ended,))]
    document: Json = _none_if_not_finite(
        {
            "schema": SCHEMA,
            "version": pytest_ftcompare.__version__,
            "started": run.started,
            "seconds": round(run.seconds, 1),
            "command": run.command,
            "profile": run.profile,
            "update": session.update,
            "failed": bool(findings) or any(test["failed"] for test in [*cases, *claims]),
            "counts": {name: counts[name] for name in WORST_FIRST if counts[name]},
            "findings": findings,
            "shifts": [asdict(shift) for shift in session.session_verdict.shifts],
            "notes": budget_notes(session.summaries),
            "environment": _common([result.environment for result in results.values()]),
            "changes": _changes(session.verdicts),
            "cases": sorted(cases, key=_gravity),
            "allowances": [asdict(allowance) for allowance in session.allowances],
            "claims": sorted(
                claims, key=lambda claim: (not claim["failed"], claim["suite"], claim["name"])
            ),
            "spent": _seconds_spent(session),
            "history": None,
        }
    )
    return document


def _gravity(case: Json) -> tuple[int, str, str]:
    """Sort key: the gravest verdict first, then by suite and id."""
    return WORST_FIRST.index(case["verdict"]), case["suite"], case["id"]


def _case(verdict: CaseVerdict, session: GateSession, run: Header, result: Result | None) -> Json:
    key = verdict.suite, verdict.id
    test = session.test_outcomes[key]
    written = {(new.suite, new.id): old for old, new in session.written}
    baseline = written[key] if key in written else session.compared_baseline(test.device, *key)
    comparisons = [asdict(comparison) for comparison in shown_comparisons(verdict)]
    data = verdict.to_dict() | {"comparisons": comparisons}
    del data["seeds"], data["training_rows"]
    rerun = f"pytest{run.options} '{test.nodeid}'"
    accept = f"pytest{run.options} --update-baselines '{test.nodeid}'"
    return {
        **data,
        **test.identity,
        "identical": verdict.identical,
        "recipe": None if result is None else result.recipe,
        "nodeid": test.nodeid,
        "device": test.device,
        "failed": test.failed,
        "accepted": key in written,
        "allowed": verdict.allowed,
        "seconds": round(test.seconds, 2),
        "parameters": _parameters(result),
        "seed_results": [] if SHORT_TRAINING in verdict.notes else _seed_results(result),
        "baseline": _baseline(baseline),
        "rerun": rerun,
        "accept": "" if verdict.verdict == "invalid" else accept,
    }


def _baseline(result: Result | None) -> Json | None:
    if result is None:
        return None
    return {"seed_results": _seed_results(result), "environment": result.environment}


def _claim(verdict: claim.ClaimVerdict, session: GateSession, run: Header) -> Json:
    record, before = verdict.record, verdict.before
    test = session.test_outcomes[verdict.suite, verdict.name]
    stated = {
        name: getattr(record, name) if record else ""
        for name in ("study", "statement", "source", "statistic")
    }
    return {
        **stated,
        "name": verdict.name,
        "suite": verdict.suite,
        "profile": verdict.profile,
        "verdict": verdict.verdict,
        "failed": test.failed,
        "accepted": verdict in session.written_claims,
        "outcome": record.outcome if record else None,
        "estimate": asdict(record.estimate) if record else None,
        "before": _claim_outcome(before) if before else None,
        "cases": record.cases if record else [],
        "note": verdict.note,
        "seconds": round(test.seconds, 2),
        "nodeid": test.nodeid,
    }


def _claim_outcome(record: ClaimRecord) -> Json:
    return {"outcome": record.outcome, "estimate": asdict(record.estimate)}


def _seconds_spent(session: GateSession) -> Json:
    """Sum the seconds of each suite and each method over workers, the most first."""
    methods: defaultdict[str, float] = defaultdict(float)
    for test in session.test_outcomes.values():
        if test.identity:
            methods[test.identity["method"]] += test.seconds

    def most_first(seconds_by_name: Mapping[str, float]) -> dict[str, float]:
        by_seconds = sorted(seconds_by_name.items(), key=itemgetter(1), reverse=True)
        return {name: round(seconds, 1) for name, seconds in by_seconds}

    return {"suites": most_first(session.suite_seconds), "methods": most_first(methods)}


def _parameters(result: Result | None) -> Json | None:
    structure = result.signature.get("structure", {}) if result is not None else {}
    if "parameters" not in structure:
        return None
    return {"trainable": structure["trainable"], "total": structure["parameters"]}


def _seed_results(result: Result | None) -> list[Json]:
    """Return what the page plots of each seed; rows and digests stay in the result."""
    return [
        {
            "seed": seed_result.seed,
            "metrics": seed_result.metrics,
            "curve": seed_result.trace.curve,
            "first_steps": seed_result.trace.first_steps,
        }
        for seed_result in (result.seed_results if result is not None else [])
    ]


def _common(environments: Sequence[Mapping[str, Any]]) -> Json:
    """Return the entries that are equal in all environments."""
    first = environments[0] if environments else {}
    return {
        name: value
        for name, value in first.items()
        if all(environment.get(name) == value for environment in environments)
    }


def _changes(verdicts: Sequence[CaseVerdict]) -> list[Json]:
    counts: Counter[Difference] = Counter(
        change for verdict in verdicts for change in verdict.changes
    )
    return [asdict(change) | {"cases": count} for change, count in counts.items()]


def _none_if_not_finite(value: Any) -> Any:
    """Replace numbers that JSON cannot hold by None."""
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {name: _none_if_not_finite(entry) for name, entry in value.items()}
    return (
        [_none_if_not_finite(entry) for entry in value]
        if isinstance(value, list | tuple)
        else value
    )

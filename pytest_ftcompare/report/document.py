"""A session as one document of plain JSON data: what its JSON, Markdown, HTML and history are renderings of.

`document.schema.json` beside this file says what is in it, docs/report-json.md how it is versioned.
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
from pytest_ftcompare.compare.cross_case_audit import budgets
from pytest_ftcompare.compare.environment_diff import Difference
from pytest_ftcompare.compare.verdict import SHORT, WORST_FIRST, CaseVerdict
from pytest_ftcompare.report import outcome
from pytest_ftcompare.results.result import Json, Result

if TYPE_CHECKING:  # a session knows pytest
    from pytest_ftcompare.gate.session import GateSession

SCHEMA = 1


@dataclass(frozen=True)
class Header:
    """What a document says of the session besides its cases: `started` in ISO 8601, `options` the plugin's, as given."""

    started: str
    seconds: float
    command: str
    options: str
    profile: str
    ended: str = (
        ""  # how pytest ended, where its cases, claims and findings do not say why it failed
    )


def make(session: GateSession, run: Header, results: Mapping[tuple[str, str], Result]) -> Json:
    """The document of a session that has ended; `results` has this run's, by suite and case, of those that got so far."""
    cases = [_case(one, session, run, results.get((one.suite, one.id))) for one in session.verdicts]
    claims = [_claim(one, session, run) for one in session.claims]
    counted = Counter(one.verdict for one in session.verdicts)
    findings = [*session.findings, *filter(None, (run.ended,))]
    document: Json = _finite(
        {
            "schema": SCHEMA,
            "version": pytest_ftcompare.__version__,
            "started": run.started,
            "seconds": round(run.seconds, 1),
            "command": run.command,
            "profile": run.profile,
            "update": session.update,
            "failed": bool(findings) or any(one["failed"] for one in [*cases, *claims]),
            "counts": {verdict: counted[verdict] for verdict in WORST_FIRST if counted[verdict]},
            "findings": findings,
            "shifts": [asdict(one) for one in session.session_verdict.shifts],
            "notes": budgets(session.summaries),
            "environment": _shared([one.environment for one in results.values()]),
            "changes": _changes(session.verdicts),
            "cases": sorted(
                cases, key=lambda one: (WORST_FIRST.index(one["verdict"]), one["suite"], one["id"])
            ),
            "claims": sorted(
                claims, key=lambda one: (not one["failed"], one["suite"], one["name"])
            ),
            "spent": _spent(session),
            "history": None,
        }
    )
    return document


def _case(verdict: CaseVerdict, session: GateSession, run: Header, result: Result | None) -> Json:
    key = verdict.suite, verdict.id
    ended, written = (
        session.test_outcomes[key],
        {(new.suite, new.id): old for old, new in session.written},
    )
    before = written[key] if key in written else session.baseline_of(ended.device, *key)
    data = verdict.to_dict() | {"comparisons": [asdict(one) for one in outcome.shown(verdict)]}
    del data["seeds"]
    return {
        **data,
        **ended.identity,
        "identical": verdict.identical,
        "recipe": None if result is None else result.recipe,
        "nodeid": ended.nodeid,
        "device": ended.device,
        "failed": ended.failed,
        "accepted": key in written,
        "seconds": round(ended.seconds, 2),
        "parameters": _parameters(result),
        "seed_results": [] if SHORT in verdict.notes else _samples(result),
        "baseline": None
        if before is None
        else {"seed_results": _samples(before), "environment": before.environment},
        "rerun": f"pytest{run.options} '{ended.nodeid}'",
        "accept": ""
        if verdict.verdict == "invalid"
        else f"pytest{run.options} --update-baselines '{ended.nodeid}'",
    }


def _claim(verdict: claim.ClaimVerdict, session: GateSession, run: Header) -> Json:
    record, before = verdict.record, verdict.before
    ended = session.test_outcomes[verdict.suite, verdict.name]
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
        "failed": ended.failed,
        "accepted": verdict in session.written_claims,
        "outcome": record.outcome if record else None,
        "estimate": asdict(record.estimate) if record else None,
        "before": {"outcome": before.outcome, "estimate": asdict(before.estimate)}
        if before
        else None,
        "cases": record.cases if record else [],
        "note": verdict.note,
        "seconds": round(ended.seconds, 2),
        "nodeid": ended.nodeid,
    }


def _spent(session: GateSession) -> Json:
    """Seconds of the tests of each suite and of the cases of each method, summed over workers, the most first."""
    methods: defaultdict[str, float] = defaultdict(float)
    for ended in session.test_outcomes.values():
        if ended.identity:
            methods[ended.identity["method"]] += ended.seconds

    def most_first(spent: Mapping[str, float]) -> dict[str, float]:
        by_seconds = sorted(spent.items(), key=itemgetter(1), reverse=True)
        return {name: round(seconds, 1) for name, seconds in by_seconds}

    return {"suites": most_first(session.spent), "methods": most_first(methods)}


def _parameters(result: Result | None) -> Json | None:
    structure = result.signature.get("structure", {}) if result is not None else {}
    if "parameters" not in structure:
        return None
    return {"trainable": structure["trainable"], "total": structure["parameters"]}


def _samples(result: Result | None) -> list[Json]:
    """What one can plot of each seed; per-example outcomes and digests stay in the results."""
    samples = result.seed_results if result is not None else []
    return [
        {
            "seed": one.seed,
            "metrics": one.metrics,
            "curve": one.trace.curve,
            "first_steps": one.trace.first_steps,
        }
        for one in samples
    ]


def _shared(environments: Sequence[Mapping[str, Any]]) -> Json:
    """The entries that all environments have alike."""
    first = environments[0] if environments else {}
    return {
        name: value
        for name, value in first.items()
        if all(one.get(name) == value for one in environments)
    }


def _changes(verdicts: Sequence[CaseVerdict]) -> list[Json]:
    counted: Counter[Difference] = Counter(change for one in verdicts for change in one.changes)
    return [asdict(change) | {"cases": count} for change, count in counted.items()]


def _finite(value: Any) -> Any:
    """The value with None for what JSON has no number for."""
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {name: _finite(one) for name, one in value.items()}
    return [_finite(one) for one in value] if isinstance(value, list | tuple) else value

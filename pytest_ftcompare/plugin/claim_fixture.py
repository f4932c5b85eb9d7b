"""Claims in pytest: their table, their place at the end of the session, and the fixture `claim` that a test calls."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from pytest_ftcompare.compare.claims.claim import FAILING, Claim, ClaimVerdict, judge
from pytest_ftcompare.compare.claims.relations import TimeRatio, Untestable
from pytest_ftcompare.compare.environment_diff import differences, software_changed
from pytest_ftcompare.compare.same_machine import UNMOVED, UNTIMED
from pytest_ftcompare.gate.case_work import CaseError
from pytest_ftcompare.plugin import options, parametrize
from pytest_ftcompare.plugin.live_display import has_words
from pytest_ftcompare.plugin.options import SETTINGS
from pytest_ftcompare.plugin.worker import TOLD, carry, make_opener, make_run_context
from pytest_ftcompare.report.claims import explain
from pytest_ftcompare.results import baseline_store

MARKER = "ftcompare_claims(claims): the claims of a suite; its test runs once for each."
TRIES = 2  # timings of a claim whose outcome changed, or that were disturbed
TABLES = pytest.StashKey[dict[str, list[str]]]()  # suite -> the names of its claims
REPORT = "ftcompare_claim"  # what it is called on a test report


def claim_of(item: pytest.Item) -> Claim | None:
    """The claim that a test is of, None for another test."""
    callspec = getattr(item, "callspec", None)
    found = callspec.params.get("claim") if callspec else None
    return found if isinstance(found, Claim) else None


def _suite(item: pytest.Item) -> str:
    return parametrize.suite_of(item.path)


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", MARKER)
    config.stash[TABLES] = {}


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    marker = metafunc.definition.get_closest_marker("ftcompare_claims")
    if "claim" not in metafunc.fixturenames or marker is None:
        return
    if (
        len(marker.args) != 1
        or marker.kwargs
        or not all(isinstance(one, Claim) for one in marker.args[0])
    ):
        raise pytest.Collector.CollectError(
            f"the marker ftcompare_claims: expected {MARKER.split(':')[0]}, a list of Claim"
        )
    names = [one.name for one in marker.args[0]]
    if twice := sorted({one for one in names if names.count(one) > 1}):
        raise pytest.Collector.CollectError(
            f"two claims of {metafunc.definition.nodeid} are called {twice[0]}"
        )
    suite = _suite(metafunc.definition)
    metafunc.config.stash[TABLES].setdefault(suite, []).extend(names)
    metafunc.parametrize("claim", marker.args[0], ids=names, indirect=True)


@pytest.hookimpl(tryfirst=True)  # before pytest-benchmark looks which tests have its fixture
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Claims last, when the results that they rest on are there."""
    seen: dict[str, str] = {}
    for item in items:
        if (claim := claim_of(item)) is None:
            continue
        if (other := seen.setdefault(claim.name, item.nodeid)) != item.nodeid:
            raise pytest.UsageError(
                f"{item.nodeid} and {other} have the same baseline, {claim.name}.json: rename one of them"
            )
        timed = isinstance(claim.relation, TimeRatio) and config.pluginmanager.has_plugin(
            "pytest-benchmark"
        )
        if timed and isinstance(item, pytest.Function):
            item.fixturenames = [
                *item.fixturenames,
                "benchmark",
            ]  # so that --benchmark-only and -skip know it
    items.sort(key=lambda item: claim_of(item) is not None)


@pytest.fixture
def claim(request: pytest.FixtureRequest) -> Callable[[], ClaimVerdict]:
    """Call it to test the claim against this run's results; the test fails where its outcome is not its baseline's."""
    if not hasattr(request, "param"):
        pytest.fail(
            f"{request.node.nodeid} has no table: expected @pytest.mark.ftcompare_claims([...])",
            pytrace=False,
        )
    stated: Claim = request.param
    settings = request.config.stash[SETTINGS]

    def check() -> ClaimVerdict:
        told = request.config.stash[TOLD]
        refused = ""
        try:
            verdict = _judge(stated, request)
        except Untestable as error:
            verdict = ClaimVerdict(
                stated.name,
                _suite(request.node),
                settings.profile.name,
                "untested",
                note=str(error),
            )
        except CaseError as error:
            refused = str(error)
            verdict = ClaimVerdict(
                stated.name, _suite(request.node), settings.profile.name, "untested", note=refused
            )
        finally:
            told.done()
        table = request.config.stash[TABLES][verdict.suite]
        carry(request.node, REPORT, json.dumps({"verdict": verdict.to_dict(), "table": table}))
        if refused:  # outside the handler, or pytest would show the exceptions behind it
            pytest.fail(f"{stated.name} cannot be judged: {refused}", pytrace=False)
        if verdict.verdict == "untested":
            pytest.skip(verdict.note)
        if verdict.verdict in FAILING and not verdict.update:
            text = explain(verdict, request.node.nodeid, options.options_as_given(request.config))
            pytest.fail("\n".join(text), pytrace=False)
        return verdict

    return check


def _judge(stated: Claim, request: pytest.FixtureRequest) -> ClaimVerdict:
    """The claim against its baseline; one about time is timed again before it fails."""
    from pytest_ftcompare.gate.claim_evidence import (
        EvidenceFinder,
        accepted_record,
        elsewhere,
        make_record,
    )
    from pytest_ftcompare.gate.run_cache import RunCache
    from pytest_ftcompare.plugin.claim_arms import SuiteTables

    settings, items = request.config.stash[SETTINGS], request.session.items
    _, run_context = make_run_context(request, stated.name)
    evidence = EvidenceFinder(
        settings,
        run_context,
        SuiteTables(Path(request.node.path).parent, settings.profile),
        RunCache(run_context.folder, parametrize.judged(items)),
        {(one.suite, one.id): one for one in map(parametrize.case_of, items) if one is not None},
        parametrize.judged(items),
        make_opener(request.config),
    )
    why, device = evidence.why_untimed(stated)
    if why:
        suite, profile = _suite(request.node), settings.profile.name
        return ClaimVerdict(
            stated.name, suite, profile, "untested", note=f"{UNTIMED}{why}", device=device
        )
    tries = TRIES if isinstance(stated.relation, TimeRatio) else 1
    for left in reversed(range(tries)):
        try:
            found = evidence.find(stated)
        except Untestable:
            if left and run_context.clock is not None:
                continue
            raise
        record = make_record(stated, _suite(request.node), settings, found)
        on = str(found.environment.get("device", baseline_store.FALLBACK))
        before = accepted_record(stated, settings, on)
        update = settings.update or (
            settings.new_only and (before is None or before.statistic != record.statistic)
        )
        verdict = judge(record, before, on, update=update)
        if verdict.verdict != "changed":
            break
    if (why := elsewhere(stated, before, found.environment)) and not update:
        raise Untestable(f"not timed against its baseline: {why}")
    timed = isinstance(stated.relation, TimeRatio)
    return is_excused(verdict) if timed and not settings.strict_times else verdict


def is_excused(verdict: ClaimVerdict) -> ClaimVerdict:
    """A claim about time whose outcome changed although nothing did that could move it: the machine's."""
    before, record = verdict.before, verdict.record
    if verdict.verdict != "changed" or before is None or record is None:
        return verdict
    if software_changed(differences(before.environment, record.environment)):
        return verdict
    return replace(verdict, verdict="noted", note=UNMOVED)


def pytest_report_teststatus(
    report: pytest.TestReport, config: pytest.Config
) -> tuple[str, str, Any] | None:
    """The outcome as the word of a claim."""
    text = getattr(report, REPORT, None)
    record = (
        json.loads(text)["verdict"]["record"]
        if text is not None and report.when == "call"
        else None
    )
    if record is None or hasattr(report, "wasxfail"):
        return None
    letter = "" if has_words(config) else "." if report.passed else "F"
    return (
        report.outcome,
        letter,
        (record["outcome"].upper(), {"green": report.passed, "red": report.failed}),
    )


def stale(
    verdicts: Sequence[ClaimVerdict], tables: Mapping[str, Sequence[str]], folder: Path
) -> list[Path]:
    """The baselines of claims that their suite's table no longer has; only where all of the table ran."""
    found: set[Path] = set()
    for suite, names in tables.items():
        ran = [one for one in verdicts if one.suite == suite]
        if not set(names) <= {one.name for one in ran}:
            continue
        for on, profile in {(one.device, one.profile) for one in ran if one.device}:
            files = baseline_store.path_of_claim(folder, on, profile, "").parent.glob("*.json")
            found |= {one for one in files if one.stem not in names and _suite_of(one) == suite}
    return sorted(found)


def _suite_of(path: Path) -> str:
    try:
        record = baseline_store.read_claim(path, path.stem)
    except baseline_store.BaselineError:
        return ""
    return record.suite if record else ""

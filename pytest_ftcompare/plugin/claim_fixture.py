"""Claims in pytest: their table, their order at the end, and the fixture `claim`.

Also finds claims' stale baselines, for `plugin/__init__.py`.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from pytest_ftcompare.compare.claims.claim import FAILING, Claim, ClaimVerdict, judge
from pytest_ftcompare.compare.claims.relations import ScoreContrast, TimeRatio, Untestable
from pytest_ftcompare.compare.environment_diff import differences, software_changed
from pytest_ftcompare.compare.same_machine import NOTHING_CHANGED, UNTIMED
from pytest_ftcompare.gate.case_work import CaseError
from pytest_ftcompare.plugin import options, parametrize
from pytest_ftcompare.plugin.live_display import has_case_lines
from pytest_ftcompare.plugin.options import SETTINGS
from pytest_ftcompare.plugin.worker import (
    WORKER_STATUS,
    add_to_report,
    make_opener,
    make_run_context,
)
from pytest_ftcompare.report.claims import explain
from pytest_ftcompare.results import baseline_store

MARKER = "ftcompare_claims(claims): the claims of a suite; its test runs once for each."
# Most timings of a claim about time if its outcome changed or a timing was disturbed. Chosen.
# More take longer, and fail less often by chance.
MAX_TIMINGS = 2
CLAIM_NAMES = pytest.StashKey[dict[str, list[str]]]()  # suite -> the names of its claims
REPORT_ATTRIBUTE = "ftcompare_claim"  # of a test report: the claim as JSON


def claim_of(item: pytest.Item) -> Claim | None:
    """Return the test's claim, None for a test without one."""
    callspec = getattr(item, "callspec", None)
    value = callspec.params.get("claim") if callspec else None
    return value if isinstance(value, Claim) else None


def _suite_of_item(item: pytest.Item) -> str:
    return parametrize.suite_name(item.path)


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", MARKER)
    config.stash[CLAIM_NAMES] = {}


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    marker = metafunc.definition.get_closest_marker("ftcompare_claims")
    if "claim" not in metafunc.fixturenames or marker is None:
        return
    if (
        len(marker.args) != 1
        or marker.kwargs
        or not all(isinstance(value, Claim) for value in marker.args[0])
    ):
        raise pytest.Collector.CollectError(
            f"the marker ftcompare_claims: expected {MARKER.split(':')[0]}, a list of Claim"
        )
    names = [stated.name for stated in marker.args[0]]
    if repeated := sorted({name for name in names if names.count(name) > 1}):
        raise pytest.Collector.CollectError(
            f"two claims of {metafunc.definition.nodeid} are called {repeated[0]}"
        )
    suite = _suite_of_item(metafunc.definition)
    metafunc.config.stash[CLAIM_NAMES].setdefault(suite, []).extend(names)
    metafunc.parametrize("claim", marker.args[0], ids=names, indirect=True)


# Before pytest-benchmark looks which tests have its fixture.
@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Move claims to the end: they rest on the results of cases."""
    seen: dict[str, str] = {}
    for item in items:
        if (claim := claim_of(item)) is None:
            continue
        if (other := seen.setdefault(claim.name, item.nodeid)) != item.nodeid:
            raise pytest.UsageError(
                f"{item.nodeid} and {other} have the same baseline, {claim.name}.json: "
                "rename one of them"
            )
        timed = isinstance(claim.relation, TimeRatio) and config.pluginmanager.has_plugin(
            "pytest-benchmark"
        )
        if timed and isinstance(item, pytest.Function):
            # --benchmark-only and --benchmark-skip select tests by this name.
            item.fixturenames = [*item.fixturenames, "benchmark"]
    items.sort(key=lambda item: claim_of(item) is not None)


@pytest.fixture
def claim(request: pytest.FixtureRequest) -> Callable[[], ClaimVerdict]:
    """Return a function that tests the claim on this run's results.

    The test fails if the claim's outcome is not its baseline's.
    """
    if not hasattr(request, "param"):
        pytest.fail(
            f"{request.node.nodeid} has no table: expected @pytest.mark.ftcompare_claims([...])",
            pytrace=False,
        )
    stated: Claim = request.param
    settings = request.config.stash[SETTINGS]

    def check() -> ClaimVerdict:
        status = request.config.stash[WORKER_STATUS]
        refusal = ""
        try:
            verdict = _judge(stated, request)
        except Untestable as error:
            verdict = ClaimVerdict(
                stated.name,
                _suite_of_item(request.node),
                settings.profile.name,
                "untested",
                note=str(error),
            )
        except CaseError as error:
            refusal = str(error)
            verdict = ClaimVerdict(
                stated.name,
                _suite_of_item(request.node),
                settings.profile.name,
                "untested",
                note=refusal,
            )
        finally:
            status.done()
        table = request.config.stash[CLAIM_NAMES][verdict.suite]
        add_to_report(
            request.node,
            REPORT_ATTRIBUTE,
            json.dumps(
                {"verdict": verdict.to_dict(), "table": table, "file": str(request.node.path)}
            ),
        )
        # Outside the handler: pytest would show the chained exceptions.
        if refusal:
            pytest.fail(f"{stated.name} cannot be judged: {refusal}", pytrace=False)
        if verdict.verdict == "untested":
            pytest.skip(verdict.note)
        if verdict.verdict in FAILING and not verdict.update:
            lines = explain(verdict, request.node.nodeid, options.options_as_given(request.config))
            pytest.fail("\n".join(lines), pytrace=False)
        return verdict

    return check


def _judge(stated: Claim, request: pytest.FixtureRequest) -> ClaimVerdict:
    """Judge the claim against its baseline; time a claim about time again before it fails."""
    from pytest_ftcompare.gate.claim_evidence import (
        EvidenceFinder,
        machine_difference,
        make_record,
        read_claim_baseline,
    )
    from pytest_ftcompare.gate.run_cache import RunCache
    from pytest_ftcompare.plugin.claim_arms import SuiteTables

    settings, items = request.config.stash[SETTINGS], request.session.items
    _, run_context = make_run_context(request, stated.name)
    finder = EvidenceFinder(
        settings,
        run_context,
        SuiteTables(Path(request.node.path).parent, settings.profile),
        RunCache(run_context.folder, parametrize.count_judged(items)),
        {
            (case.suite, case.id): case
            for case in map(parametrize.case_of, items)
            if case is not None
        },
        parametrize.count_judged(items),
        make_opener(request.config),
    )
    reason, untimed_device = finder.why_untimed(stated)
    if reason:
        suite, profile = _suite_of_item(request.node), settings.profile.name
        return ClaimVerdict(
            stated.name,
            suite,
            profile,
            "untested",
            note=f"{UNTIMED}{reason}",
            device=untimed_device,
        )
    timings = MAX_TIMINGS if isinstance(stated.relation, TimeRatio) else 1
    for timings_left in reversed(range(timings)):
        try:
            evidence = finder.find(stated)
        except Untestable:
            if timings_left and run_context.clock is not None:
                continue
            raise
        record = make_record(stated, _suite_of_item(request.node), settings, evidence)
        device = str(evidence.environment.get("device", baseline_store.FALLBACK_DEVICE))
        before = read_claim_baseline(stated, settings, device)
        update = settings.update or (
            settings.new_only and (before is None or before.statistic != record.statistic)
        )
        one_seed = isinstance(stated.relation, ScoreContrast) and record.estimate.error is None
        if update and one_seed and not settings.provisional:
            raise CaseError(
                "expected at least two seeds that its cases share for a baseline of the claim, "
                "which needs their noise: update its cases first, or both together, with more "
                "seeds (--ftcompare-seeds)"
            )
        verdict = judge(record, before, device, update=update)
        if verdict.verdict != "changed":
            break
    if (reason := machine_difference(stated, before, evidence.environment)) and not update:
        raise Untestable(f"not timed against its baseline: {reason}")
    timed = isinstance(stated.relation, TimeRatio)
    return excuse_time_change(verdict) if timed and not settings.strict_times else verdict


def excuse_time_change(verdict: ClaimVerdict) -> ClaimVerdict:
    """Return the verdict `noted` instead of `changed` if no software changed.

    The machine then moved the time.
    """
    before, record = verdict.before, verdict.record
    if verdict.verdict != "changed" or before is None or record is None:
        return verdict
    if software_changed(differences(before.environment, record.environment)):
        return verdict
    return replace(verdict, verdict="noted", note=NOTHING_CHANGED)


def pytest_report_teststatus(
    report: pytest.TestReport, config: pytest.Config
) -> tuple[str, str, Any] | None:
    """Return the outcome as the claim's word."""
    text = getattr(report, REPORT_ATTRIBUTE, None)
    record = (
        json.loads(text)["verdict"]["record"]
        if text is not None and report.when == "call"
        else None
    )
    if record is None or hasattr(report, "wasxfail"):
        return None
    letter = "" if has_case_lines(config) else "." if report.passed else "F"
    return (
        report.outcome,
        letter,
        (record["outcome"].upper(), {"green": report.passed, "red": report.failed}),
    )


def stale_claims(
    verdicts: Sequence[ClaimVerdict],
    tables: Mapping[str, Sequence[str]],
    folder: Path,
    alone: Callable[[str], bool],
) -> list[Path]:
    """Return the baselines of claims that their suite's table no longer has.

    Only for suites that ran all claims of their table. `alone` returns whether no other file has
    claims of a suite.
    """
    paths: set[Path] = set()
    for suite, names in tables.items():
        ran = [verdict for verdict in verdicts if verdict.suite == suite]
        if not set(names) <= {verdict.name for verdict in ran}:
            continue
        for device, profile in {
            (verdict.device, verdict.profile) for verdict in ran if verdict.device
        }:
            files = baseline_store.path_of_claim(folder, device, profile, "").parent.glob("*.json")
            gone = {path for path in files if path.stem not in names and _read_suite(path) == suite}
            paths |= gone if gone and alone(suite) else set()
    return sorted(paths)


def _read_suite(path: Path) -> str:
    try:
        record = baseline_store.read_claim(path, path.stem)
    except baseline_store.BaselineError:
        return ""
    return record.suite if record else ""

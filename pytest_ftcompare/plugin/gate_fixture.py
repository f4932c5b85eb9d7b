"""Cases in pytest: the fixture `gate` that suites call, and each case's verdict on the terminal."""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import partial
from typing import Any

import pytest

from pytest_ftcompare.compare.allowances import apply
from pytest_ftcompare.compare.verdict import CaseVerdict
from pytest_ftcompare.gate.case_work import CaseError
from pytest_ftcompare.gate.run_cache import RunCache
from pytest_ftcompare.gate.run_case import CaseRun, run_case
from pytest_ftcompare.gate.session import case_to_text
from pytest_ftcompare.plugin import benchmark_bridge, options, parametrize
from pytest_ftcompare.plugin.live_display import has_case_lines
from pytest_ftcompare.plugin.options import SETTINGS
from pytest_ftcompare.plugin.worker import (
    WORKER_STATUS,
    add_to_report,
    make_opener,
    make_run_context,
)
from pytest_ftcompare.report import junit
from pytest_ftcompare.report.failure import explain
from pytest_ftcompare.results.case import Case

REPORT_ATTRIBUTE = "ftcompare"  # of a test report: the case as JSON


def _refusal(case: Case, sentence: str) -> CaseVerdict:
    return CaseVerdict(
        case.id,
        case.suite,
        "invalid",
        0,
        divergences=[sentence],
        judge_accuracy=case.judge_accuracy,
    )


@pytest.fixture
def gate(request: pytest.FixtureRequest) -> Callable[[], CaseVerdict]:
    """Return a function that trains the case and compares it with its baseline.

    The test fails if the verdict fails.
    """
    if not hasattr(request, "param"):
        pytest.fail(
            f"{request.node.nodeid} has no table: "
            "expected @pytest.mark.ftcompare(methods=..., ...)",
            pytrace=False,
        )
    case: Case = request.param
    settings = request.config.stash[SETTINGS]

    def record(verdict: CaseVerdict, case_run: CaseRun | None = None) -> None:
        add_to_report(request.node, REPORT_ATTRIBUTE, case_to_text(case, verdict, case_run))
        request.node.user_properties.extend(junit.properties(verdict))

    def check() -> CaseVerdict:
        refusal: str | None = None
        benchmark, run_context = make_run_context(request, case.id)
        try:
            judged = parametrize.count_judged(request.session.items)
            run = partial(
                run_case, case, settings, run_context, make_opener(request.config), judged
            )
            case_run = RunCache(run_context.folder, judged).for_gate(
                case, run, timed=case.timed and run_context.clock is not None
            )
        except CaseError as error:
            refusal = str(error)
        except Exception as error:
            record(_refusal(case, f"{case.id} raised {type(error).__name__}: {error}"))
            # Keep the traceback for the author of the code.
            raise
        finally:
            request.config.stash[WORKER_STATUS].done()
        # Outside the handler: pytest would show the chained exceptions.
        if refusal is not None:
            from pytest_ftcompare.measure.out_of_memory import free_memory

            free_memory()
            record(_refusal(case, refusal))
            pytest.fail(refusal, pytrace=False)
        verdict = case_run.verdict
        # A new baseline takes what is: nothing needs to be accepted.
        if not case_run.update:
            verdict = apply(verdict, settings.allowances, settings.today, timed=case.timed)
        record(verdict, case_run)
        for workload, timing in case_run.timings.items():
            assert benchmark is not None
            benchmark_bridge.record(
                benchmark, workload, timing.rounds, timing.calls, case_run.benchmark_info(workload)
            )
        failing = verdict.verdict == "invalid" if case_run.update else verdict.fails
        if failing:
            pytest.fail(
                "\n".join(
                    explain(verdict, request.node.nodeid, options.options_as_given(request.config))
                ),
                pytrace=False,
            )
        return verdict

    return check


def pytest_report_teststatus(
    report: pytest.TestReport, config: pytest.Config
) -> tuple[str, str, Any] | None:
    """Return the verdict as the case's word.

    Its letter is empty if the live display prints a line for the case.
    """
    text = getattr(report, REPORT_ATTRIBUTE, None)
    if text is None or report.when != "call" or hasattr(report, "wasxfail"):
        return None
    verdict = json.loads(text)["verdict"]["verdict"].upper()
    letter = "" if has_case_lines(config) else "." if report.passed else "F"
    return report.outcome, letter, (verdict, {"green": report.passed, "red": report.failed})

"""Cases in pytest: the fixture `gate` that a suite's test calls, and the word that its verdict is on the terminal."""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import partial
from typing import Any

import pytest

from pytest_ftcompare.compare.verdict import FAILING, CaseVerdict
from pytest_ftcompare.gate.case_work import CaseError
from pytest_ftcompare.gate.run_cache import RunCache
from pytest_ftcompare.gate.run_case import CaseRun, run_case
from pytest_ftcompare.gate.session import to_text
from pytest_ftcompare.plugin import benchmark_bridge, options, parametrize
from pytest_ftcompare.plugin.live_display import has_words
from pytest_ftcompare.plugin.options import SETTINGS
from pytest_ftcompare.plugin.worker import TOLD, carry, make_opener, make_run_context
from pytest_ftcompare.report import junit
from pytest_ftcompare.report.failure import explain
from pytest_ftcompare.results.case import Case

REPORT = "ftcompare"  # what it is called on a test report


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
    """Call it to train the case and hold it against its baseline; the test fails where the verdict does."""
    if not hasattr(request, "param"):
        pytest.fail(
            f"{request.node.nodeid} has no table: expected @pytest.mark.ftcompare(methods=..., ...)",
            pytrace=False,
        )
    case: Case = request.param
    settings = request.config.stash[SETTINGS]

    def record(verdict: CaseVerdict, held: CaseRun | None = None) -> None:
        carry(request.node, REPORT, to_text(case, verdict, held))
        request.node.user_properties.extend(junit.properties(verdict))

    def check() -> CaseVerdict:
        refused: str | None = None
        benchmark, run_context = make_run_context(request, case.id)
        try:
            judged = parametrize.judged(request.session.items)
            run = partial(
                run_case, case, settings, run_context, make_opener(request.config), judged
            )
            held = RunCache(run_context.folder, judged).for_gate(
                case, run, timed=case.timed and run_context.clock is not None
            )
        except CaseError as error:
            refused = str(error)
        except Exception as error:
            record(_refusal(case, f"{case.id} raised {type(error).__name__}: {error}"))
            raise  # the traceback is for whoever wrote the code that raised
        finally:
            request.config.stash[TOLD].done()
        if (
            refused is not None
        ):  # outside the handler, or pytest would show the exceptions behind it
            from pytest_ftcompare.measure.out_of_memory import free_memory

            free_memory()
            record(_refusal(case, refused))
            pytest.fail(refused, pytrace=False)
        verdict = held.verdict
        record(verdict, held)
        for what, timing in held.timings.items():
            assert benchmark is not None
            benchmark_bridge.record(benchmark, what, timing.rounds, timing.calls, held.info(what))
        failing = verdict.verdict == "invalid" if held.update else verdict.verdict in FAILING
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
    """The verdict as the word of a case; its letter is left to pytest, or to the live display where there is one."""
    text = getattr(report, REPORT, None)
    if text is None or report.when != "call" or hasattr(report, "wasxfail"):
        return None
    verdict = json.loads(text)["verdict"]["verdict"].upper()
    letter = "" if has_words(config) else "." if report.passed else "F"
    return report.outcome, letter, (verdict, {"green": report.passed, "red": report.failed})

"""Hooks of the controller: collect results from test reports and workers, drive the display."""

from __future__ import annotations

from collections.abc import Generator
from pathlib import Path
from typing import Any

import pytest

from pytest_ftcompare.gate.session import GateSession
from pytest_ftcompare.gate.worker_status import read_total, remove_status
from pytest_ftcompare.plugin import claim_fixture, gate_fixture, stale_baselines
from pytest_ftcompare.plugin.live_display import DISPLAY, make_display
from pytest_ftcompare.plugin.parametrize import suite_name
from pytest_ftcompare.plugin.worker import RUN_FOLDER


class ControllerHooks:
    """Hooks that collect verdicts from test reports, and hide the display while pytest writes."""

    def __init__(self, config: pytest.Config, session: GateSession) -> None:
        self.config, self.session = config, session

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_runtest_logreport(self, report: pytest.TestReport) -> Generator[None]:
        # The session's own report has no duration and no file.
        if report.duration:
            self.session.suite_seconds[suite_name(Path(report.nodeid.partition("::")[0]))] += (
                report.duration
            )
        text = getattr(report, gate_fixture.REPORT_ATTRIBUTE, None)
        display = self.config.stash.get(DISPLAY, None)
        if text is not None and report.when == "call":
            verdict = self.session.add_case(text, report)
            if display is not None:
                display.case_finished(
                    verdict, self.session.test_outcomes[verdict.suite, verdict.id]
                )
        claim_text = getattr(report, claim_fixture.REPORT_ATTRIBUTE, None)
        if claim_text is not None and report.when == "call":
            claim_verdict = self.session.add_claim(claim_text, report)
            if display is not None:
                display.claim_finished(
                    claim_verdict,
                    self.session.test_outcomes[claim_verdict.suite, claim_verdict.name],
                )
        if display is None:
            return (yield)
        with display.paused():
            return (yield)

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_runtest_logstart(self) -> Generator[None]:
        display = self.config.stash.get(DISPLAY, None)
        if display is None:
            return (yield)
        with display.paused():
            return (yield)

    @pytest.hookimpl(optionalhook=True)
    def pytest_xdist_node_collection_finished(self) -> None:
        start_display(self.config)

    def pytest_enter_pdb(self) -> None:
        if (display := self.config.stash.get(DISPLAY, None)) is not None:
            display.suspend(suspended=True)

    def pytest_leave_pdb(self) -> None:
        if (display := self.config.stash.get(DISPLAY, None)) is not None:
            display.suspend(suspended=False)

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        self.session.collection_incomplete |= report.failed

    @pytest.hookimpl(optionalhook=True)
    def pytest_testnodedown(self, node: Any) -> None:
        """Under xdist: take in the worker's suites. A crashed worker sends none."""
        remove_status(self.config.stash[RUN_FOLDER].folder, node.gateway.id)
        stale_baselines.merge(
            self.config.stash[stale_baselines.SUITES],
            getattr(node, "workeroutput", {}).get("ftcompare_suites", {}),
        )

    @pytest.hookimpl(tryfirst=True)
    def pytest_keyboard_interrupt(self, excinfo: pytest.ExceptionInfo[BaseException]) -> None:
        # With -x, pytest and xdist raise subclasses of KeyboardInterrupt. They keep an update.
        self.session.interrupted |= excinfo.type is KeyboardInterrupt or isinstance(
            excinfo.value, pytest.exit.Exception
        )


def start_display(config: pytest.Config) -> None:
    """Start the live display if a case or claim was collected.

    Does nothing in an xdist worker, which has no run folder of its own.
    """
    has_cases = (
        RUN_FOLDER in config.stash
        and DISPLAY not in config.stash
        and read_total(config.stash[RUN_FOLDER].folder) > 0
    )
    if has_cases and (display := make_display(config, config.stash[RUN_FOLDER].folder)) is not None:
        config.stash[DISPLAY] = display

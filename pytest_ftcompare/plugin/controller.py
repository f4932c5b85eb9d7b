"""The controller's ear: takes in what reports and workers carry, and keeps the live lines out of pytest's way."""

from __future__ import annotations

from collections.abc import Generator
from pathlib import Path
from typing import Any

import pytest

from pytest_ftcompare.gate.session import GateSession
from pytest_ftcompare.gate.worker_status import forget, total
from pytest_ftcompare.plugin import claim_fixture, gate_fixture, stale_baselines
from pytest_ftcompare.plugin.live_display import LIVE, make_display
from pytest_ftcompare.plugin.parametrize import suite_of
from pytest_ftcompare.plugin.worker import RUN


class ControllerHooks:
    """Controller side: takes in what reports carry, keeps the live lines out of pytest's way."""

    def __init__(self, config: pytest.Config, session: GateSession) -> None:
        self.config, self.session = config, session

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_runtest_logreport(self, report: pytest.TestReport) -> Generator[None]:
        if report.duration:  # not the report of all cases together, which is of no file
            self.session.spent[suite_of(Path(report.nodeid.partition("::")[0]))] += report.duration
        text = getattr(report, gate_fixture.REPORT, None)
        live = self.config.stash.get(LIVE, None)
        if text is not None and report.when == "call":
            verdict = self.session.add(text, report)
            if live is not None:
                live.finished(verdict, self.session.test_outcomes[verdict.suite, verdict.id])
        claimed = getattr(report, claim_fixture.REPORT, None)
        if claimed is not None and report.when == "call":
            about = self.session.add_claim(claimed, report)
            if live is not None:
                live.claimed(about, self.session.test_outcomes[about.suite, about.name])
        if live is None:
            return (yield)
        with live.paused():
            return (yield)

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_runtest_logstart(self) -> Generator[None]:
        live = self.config.stash.get(LIVE, None)
        if live is None:
            return (yield)
        with live.paused():
            return (yield)

    @pytest.hookimpl(optionalhook=True)
    def pytest_xdist_node_collection_finished(self) -> None:
        show(self.config)

    def pytest_enter_pdb(self) -> None:
        if (live := self.config.stash.get(LIVE, None)) is not None:
            live.hold(held=True)

    def pytest_leave_pdb(self) -> None:
        if (live := self.config.stash.get(LIVE, None)) is not None:
            live.hold(held=False)

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        self.session.half_collected |= report.failed

    @pytest.hookimpl(optionalhook=True)
    def pytest_testnodedown(self, node: Any) -> None:
        """Under xdist: what a worker knows of the suites; one that crashed says nothing, and is at nothing any more."""
        forget(self.config.stash[RUN].folder, node.gateway.id)
        stale_baselines.join(
            self.config.stash[stale_baselines.SUITES],
            getattr(node, "workeroutput", {}).get("ftcompare_suites", {}),
        )

    @pytest.hookimpl(tryfirst=True)
    def pytest_keyboard_interrupt(self, excinfo: pytest.ExceptionInfo[BaseException]) -> None:
        # -x stops with exceptions of pytest's and xdist's own that derive from Ctrl-C's: those do not abandon an update.
        self.session.interrupted |= excinfo.type is KeyboardInterrupt or isinstance(
            excinfo.value, pytest.exit.Exception
        )


def show(config: pytest.Config) -> None:
    """Start the live lines, where there are cases to tell of: on the controller, or where there are no workers."""
    wanted = (
        RUN in config.stash and LIVE not in config.stash and total(config.stash[RUN].folder) > 0
    )
    if wanted and (display := make_display(config, config.stash[RUN].folder)) is not None:
        config.stash[LIVE] = display

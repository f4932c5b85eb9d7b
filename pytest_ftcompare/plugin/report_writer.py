"""Hooks for reports and the history.

Before training, they check that every file can be written. At the end, they write.
"""

from __future__ import annotations

import os
import shlex
import time
from datetime import UTC, datetime

import pytest

from pytest_ftcompare.gate.run_cache import RunCache
from pytest_ftcompare.plugin import options
from pytest_ftcompare.plugin.options import SETTINGS
from pytest_ftcompare.plugin.worker import FINISHED, GATE_SESSION, RUN_FOLDER, WORKER_STATUS
from pytest_ftcompare.report.formats import ReportError, check

GITHUB_VARIABLES = ("GITHUB_STEP_SUMMARY", "GITHUB_ACTIONS")
STARTED = pytest.StashKey[tuple[datetime, float]]()
# What `deliver` yielded: a sentence for each file, and whether it was written.
DELIVERED = pytest.StashKey[list[tuple[str, bool]]]()


# After `plugin/__init__.py` has read the options.
@pytest.hookimpl(trylast=True)
def pytest_configure(config: pytest.Config) -> None:
    if GATE_SESSION not in config.stash or config.option.collectonly:
        return
    settings = config.stash[SETTINGS]
    config.stash[STARTED] = datetime.now(UTC), time.monotonic()
    try:
        check(settings.reports)
        if settings.history is not None:
            from pytest_ftcompare.report import history

            try:
                history.check(settings.history)
            except history.HistoryError as error:
                raise ReportError(f"--ftcompare-history: {error}") from None
    except ReportError as error:
        raise pytest.UsageError(str(error)) from None


# After the baselines are written.
@pytest.hookimpl(trylast=True)
def pytest_sessionfinish(session: pytest.Session) -> None:
    config = session.config
    if GATE_SESSION not in config.stash or STARTED not in config.stash:
        return
    settings, gate_session = config.stash[SETTINGS], config.stash[GATE_SESSION]
    on_github = bool(gate_session.verdicts or gate_session.claims) and any(
        name in os.environ for name in GITHUB_VARIABLES
    )
    if not (settings.reports or settings.history or on_github):
        return
    from pytest_ftcompare.plugin.report_delivery import deliver
    from pytest_ftcompare.report import document

    started, start_time = config.stash[STARTED]
    header = document.Header(
        started.isoformat(timespec="seconds"),
        time.monotonic() - start_time,
        shlex.join(["pytest", *map(str, config.invocation_params.args)]),
        options.options_as_given(config),
        settings.profile.name,
        _ending_text(session),
    )
    content = document.make(
        gate_session, header, RunCache(config.stash[WORKER_STATUS].folder).results()
    )
    resumable = config.stash[RUN_FOLDER].result_count > 0 and not config.stash[FINISHED]
    config.stash[DELIVERED] = [
        *deliver(content, settings.reports, settings.history, os.environ, resumable=resumable)
    ]
    if session.exitstatus == pytest.ExitCode.OK and not all(
        written for _, written in config.stash[DELIVERED]
    ):
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


def _ending_text(session: pytest.Session) -> str:
    """Return how pytest ended, in words; "" if the verdicts say it."""
    from pytest_ftcompare.report import document

    # The status may be a number that another plugin set.
    gate_session, status = session.config.stash[GATE_SESSION], session.exitstatus
    if gate_session.collection_incomplete:
        return "not all files could be collected: see pytest's output"
    if status in (pytest.ExitCode.OK, pytest.ExitCode.NO_TESTS_COLLECTED):
        return ""
    if status != pytest.ExitCode.TESTS_FAILED:
        return "pytest stopped early: not all cases ran"
    verdict_failed = bool(gate_session.findings or gate_session.failure) or any(
        outcome.failed for outcome in gate_session.test_outcomes.values()
    )
    return "" if verdict_failed else document.OTHER_TESTS_FAILED


# Below the summary.
@pytest.hookimpl(trylast=True)
def pytest_terminal_summary(
    terminalreporter: pytest.TerminalReporter, config: pytest.Config
) -> None:
    for sentence, written in config.stash.get(DELIVERED, []):
        terminalreporter.write_line(sentence, red=not written)

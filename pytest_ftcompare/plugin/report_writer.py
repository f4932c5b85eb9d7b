"""Reports and the history in pytest: what can't be written is said before anything trains, the rest is written at the end."""

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
DELIVERED = pytest.StashKey[
    list[tuple[str, bool]]
]()  # a sentence for each thing that was to be written, and whether it was


@pytest.hookimpl(trylast=True)  # when the plugin has read the options
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


@pytest.hookimpl(trylast=True)  # when the accepted baselines are written
def pytest_sessionfinish(session: pytest.Session) -> None:
    config = session.config
    if GATE_SESSION not in config.stash or STARTED not in config.stash:
        return
    settings, run = config.stash[SETTINGS], config.stash[GATE_SESSION]
    on_github = bool(run.verdicts or run.claims) and any(name in os.environ for name in GITHUB_VARIABLES)
    if not (settings.reports or settings.history or on_github):
        return
    from pytest_ftcompare.plugin.report_delivery import deliver
    from pytest_ftcompare.report import document

    started, since = config.stash[STARTED]
    about = document.Header(
        started.isoformat(timespec="seconds"),
        time.monotonic() - since,
        shlex.join(["pytest", *map(str, config.invocation_params.args)]),
        options.options_as_given(config),
        settings.profile.name,
        _ending_text(session),
    )
    made = document.make(run, about, RunCache(config.stash[WORKER_STATUS].folder).results())
    resumable = config.stash[RUN_FOLDER].result_count > 0 and not config.stash[FINISHED]
    config.stash[DELIVERED] = [
        *deliver(made, settings.reports, settings.history, os.environ, resumable=resumable)
    ]
    if session.exitstatus == pytest.ExitCode.OK and not all(
        written for _, written in config.stash[DELIVERED]
    ):
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


def _ending_text(session: pytest.Session) -> str:
    """How pytest ended, in words, unless the cases themselves say it."""
    run, status = (
        session.config.stash[GATE_SESSION],
        session.exitstatus,
    )  # a plugin may have set a number of its own
    if run.collection_incomplete:
        return "not all files could be collected: pytest's own output says why"
    if status in (pytest.ExitCode.OK, pytest.ExitCode.NO_TESTS_COLLECTED):
        return ""
    if status != pytest.ExitCode.TESTS_FAILED:
        return "pytest did not come to its end: not all cases ran"
    told = bool(run.findings or run.failure) or any(
        one.failed for one in run.test_outcomes.values()
    )
    return "" if told else "tests failed that are no cases: pytest's own output says which"


@pytest.hookimpl(trylast=True)  # below the summary
def pytest_terminal_summary(
    terminalreporter: pytest.TerminalReporter, config: pytest.Config
) -> None:
    for sentence, written in config.stash.get(DELIVERED, []):
        terminalreporter.write_line(sentence, red=not written)

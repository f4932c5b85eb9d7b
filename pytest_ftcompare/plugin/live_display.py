"""Show progress while cases train: a line for each worker and a bar for the suites.

On a terminal the lines are redrawn; in a log, a status line appears every minute. With -q, -v, -s,
--pdb, --trace or log_cli, pytest writes other things there and this module adds nothing. The
controller's hooks in `controller.py` call it.
"""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path

import pytest
from rich.console import Console, Group
from rich.live import Live as RichLive
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from pytest_ftcompare.compare.claims.claim import ClaimVerdict
from pytest_ftcompare.compare.verdict import CaseVerdict
from pytest_ftcompare.gate.session import TestOutcome
from pytest_ftcompare.gate.worker_status import REPORT_INTERVAL, TIMING_STATUS, active_statuses
from pytest_ftcompare.plugin.progress import Progress
from pytest_ftcompare.report.wording import seeds_trained
from pytest_ftcompare.report.wrapping import WIDTH, wrapped

# Seconds between two status lines in a log, chosen. A higher value writes fewer lines.
LOG_INTERVAL = 60.0
BAR_WIDTH = 24  # columns; narrower on a narrow terminal


def _uncapture(reporter: pytest.TerminalReporter) -> ExitStack:
    """Let the reporter write to its own descriptor until the returned stack is closed.

    pytest captures by pointing descriptor 1 at a file while a test runs, which is when the display
    draws. Between collection and the first test, it is the terminal.
    """
    stack, terminal = ExitStack(), reporter._tw
    captured = terminal._file
    captured.flush()
    try:
        duplicate = os.fdopen(
            os.dup(captured.fileno()),
            "w",
            buffering=1,
            encoding=captured.encoding,
            errors=captured.errors,
        )
    except OSError:
        # No descriptor, so pytest does not capture it by one.
        return stack
    stack.enter_context(duplicate)
    terminal._file = duplicate
    stack.callback(setattr, terminal, "_file", captured)
    return stack


class Display:
    """A display of progress, drawn by its own thread.

    The controller's hooks call it when a case or claim ends.
    """

    interval = REPORT_INTERVAL
    case_lines = False  # whether each case gets a line instead of a letter

    def __init__(self, reporter: pytest.TerminalReporter, progress: Progress) -> None:
        self.reporter, self.progress = reporter, progress
        self._uncaptured = _uncapture(reporter)
        self._lock = threading.RLock()
        self._stopping = threading.Event()
        self._can_draw = True  # until drawing fails
        self._suspended = False  # while the user debugs
        self._last_lines: list[list[str]] = []
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self) -> None:
        while self._can_draw and not self._stopping.wait(self.interval):
            self.refresh()

    def refresh(self) -> None:
        """Draw the workers' lines.

        Do nothing while the user debugs, or while a worker times and no line changed: drawing
        disturbs times.
        """
        with self._lock:
            lines = active_statuses(self.progress.folder)
            timing = lines == self._last_lines and any(
                TIMING_STATUS in words for _, *words in lines
            )
            if not (self._suspended or timing):
                self._safely(partial(self.draw, lines))
                self._last_lines = lines

    def _safely(self, draw: Callable[[], None]) -> None:
        """Call `draw`; after an error, stop drawing instead of ending the session."""
        try:
            if self._can_draw:
                draw()
        except (OSError, ValueError):
            # The terminal is gone or lacks a character.
            self._can_draw = False

    def suspend(self, *, suspended: bool) -> None:
        """Stop or resume drawing, around a debugger."""
        with self._lock:
            self._suspended = suspended
            self._safely(self.clear)

    def draw(self, lines: list[list[str]]) -> None:
        """Show the workers' lines."""

    def clear(self) -> None:
        """Remove the lines from the screen."""

    def print_line(self, word: str, text: str, *, failed: bool) -> None:
        """Print a line that stays."""

    @contextmanager
    def paused(self) -> Iterator[None]:
        """Remove the lines while pytest writes."""
        with self._lock:
            self._safely(self.clear)
            self._last_lines = []
            yield

    def case_finished(self, verdict: CaseVerdict, outcome: TestOutcome) -> None:
        """Count a case that ended and print its line."""
        self._print_outcome(verdict.verdict, verdict.id, f"{seeds_trained(verdict)}, ", outcome)

    def claim_finished(self, verdict: ClaimVerdict, outcome: TestOutcome) -> None:
        """Count a claim that ended and print its line."""
        self._print_outcome(
            verdict.record.outcome if verdict.record else verdict.verdict, verdict.name, "", outcome
        )

    def _print_outcome(self, word: str, name: str, details: str, outcome: TestOutcome) -> None:
        with self._lock:
            self.progress.add(outcome.seconds, failed=outcome.failed)
            self._safely(self.clear)
            self.print_line(
                word, f"{name}  ({details}{outcome.seconds:.1f} s)", failed=outcome.failed
            )

    def stop(self) -> None:
        """End the thread and give the screen and the descriptor back to pytest."""
        self._stopping.set()
        self._thread.join()
        with self._lock:
            self._safely(self.clear)
            self._uncaptured.close()


def _columns(descriptor: int) -> int:
    """Return a terminal's width, `WIDTH` if it has none.

    rich would ask descriptors that pytest captures.
    """
    return os.get_terminal_size(descriptor).columns or WIDTH


class TerminalDisplay(Display):
    """A line for each worker and a progress bar, redrawn on a terminal."""

    case_lines = True
    _live: RichLive | None = None

    def draw(self, lines: list[list[str]]) -> None:
        if not lines:
            self.clear()
            return
        if self._live is None:
            terminal = self.reporter._tw
            if terminal.width_of_current_line:
                terminal.line()
            console = Console(
                file=terminal._file,
                width=_columns(terminal._file.fileno()),
                force_terminal=True,
                no_color=not terminal.hasmarkup,
                highlight=False,
            )
            self._live = RichLive(
                console=console,
                transient=True,
                auto_refresh=False,
                redirect_stdout=False,
                redirect_stderr=False,
            )
            self._live.start()
        width = self._live.console.width
        self._live.update(
            Group(self._worker_table(lines, width), self._progress_row(width)), refresh=True
        )

    def _worker_table(self, lines: list[list[str]], width: int) -> Table:
        """Return the workers' lines; on a narrow terminal, names are cut first."""
        table = Table.grid(padding=(0, 2, 0, 0))
        table.add_column(no_wrap=True, overflow="ellipsis", max_width=max(width // 2 - 4, 14))
        table.add_column(no_wrap=True, overflow="crop")
        for case, *words in lines:
            table.add_row(Text(f"  {case}", style="dim"), Text("  ".join(words), style="dim"))
        return table

    def _progress_row(self, width: int) -> Table:
        table = Table.grid(padding=(0, 1, 0, 0))
        bar = ProgressBar(
            total=1.0, completed=self.progress.share, width=min(BAR_WIDTH, max(width // 5, 4))
        )
        table.add_row(
            Text(" "), bar, Text(str(self.progress), style="dim", no_wrap=True, overflow="crop")
        )
        return table

    def clear(self) -> None:
        if self._live is not None:
            self._live.stop()
            self._live = None

    def print_line(self, word: str, text: str, *, failed: bool) -> None:
        self.reporter.ensure_newline()
        self.reporter.write(f"  {word:12}", red=failed, green=not failed)
        self.reporter.write_line(f" {text}")


class LogDisplay(Display):
    """A status line every minute, for a log."""

    interval = LOG_INTERVAL

    def draw(self, lines: list[list[str]]) -> None:
        if not lines:
            return
        workers = "; ".join(" ".join(line) for line in lines)
        # End a line of pytest's letters.
        if self.reporter._tw.width_of_current_line:
            self.reporter._tw.line()
        for line in wrapped(f"ftcompare: {self.progress}. Running: {workers}"):
            self.reporter.write_line(line)


DISPLAY = pytest.StashKey[Display]()


def make_display(config: pytest.Config, folder: Path) -> Display | None:
    """Return the display for the kind of output.

    None if -q, -v, -s, --pdb, --trace or log_cli make pytest write other things there.
    """
    reporter = config.pluginmanager.getplugin("terminalreporter")
    debugging = config.getoption("usepdb", False) or config.getoption("trace", False)
    other_output = (
        config.option.verbose != 0
        or config.getoption("capture", "fd") == "no"
        or _logs_live(config)
    )
    if reporter is None or debugging or other_output:
        return None
    progress = Progress(folder, workers=len(config.getoption("tx", None) or [1]))
    is_terminal = sys.__stdout__ and reporter.isatty and os.environ.get("TERM", "dumb") != "dumb"
    return TerminalDisplay(reporter, progress) if is_terminal else LogDisplay(reporter, progress)


def _logs_live(config: pytest.Config) -> bool:
    return config.pluginmanager.hasplugin("logging") and bool(config.getini("log_cli"))


def has_case_lines(config: pytest.Config) -> bool:
    """Return whether the display prints a line for each case: pytest's letter is then left out."""
    return DISPLAY in config.stash and config.stash[DISPLAY].case_lines

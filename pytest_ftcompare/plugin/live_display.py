"""Progress while cases train, below what pytest has written: a line for each process, one for the suites.

On a terminal that moves its cursor the lines are drawn anew; elsewhere, in a log, a plain line comes now and then. With -q, -v,
-s, --pdb, --trace or log_cli pytest says something else, and nothing is added.
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

LOG_INTERVAL = 60.0  # seconds between two plain lines
BAR_WIDTH = 24  # columns


def _uncapture(reporter: pytest.TerminalReporter) -> ExitStack:
    """Let the reporter write to a descriptor of its own until this is closed.

    pytest captures by turning descriptor 1 to a file while a test runs, which is when there is something to draw. Now, between
    collecting and the first test, it is the terminal's.
    """
    stack, terminal = ExitStack(), reporter._tw
    usual = terminal._file
    usual.flush()
    try:
        own = os.fdopen(
            os.dup(usual.fileno()), "w", buffering=1, encoding=usual.encoding, errors=usual.errors
        )
    except OSError:  # no file of the operating system: nobody captures it by its descriptor
        return stack
    stack.enter_context(own)
    terminal._file = own
    stack.callback(setattr, terminal, "_file", usual)
    return stack


class Display:
    """The controller's side: told of what ends, it draws from a thread of its own."""

    interval = REPORT_INTERVAL
    case_lines = False  # whether a case gets a line of its own instead of a letter

    def __init__(self, reporter: pytest.TerminalReporter, progress: Progress) -> None:
        self.reporter, self.progress = reporter, progress
        self._uncaptured = _uncapture(reporter)
        self._lock = threading.RLock()
        self._stopping = threading.Event()
        self._can_draw = True  # until the screen turns out not to
        self._suspended = False  # somebody debugs: the screen is theirs
        self._last_lines: list[list[str]] = []
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self) -> None:
        while self._can_draw and not self._stopping.wait(self.interval):
            self.refresh()

    def refresh(self) -> None:
        """Draw what the processes are at, unless nothing may move: somebody debugs, or times as the last lines say."""
        with self._lock:
            lines = active_statuses(self.progress.folder)
            still = lines == self._last_lines and any(TIMING_STATUS in words for _, *words in lines)
            if not (self._suspended or still):
                self._safely(partial(self.draw, lines))
                self._last_lines = lines

    def _safely(self, draw: Callable[[], None]) -> None:
        """What only shows must not end a session: a screen that cannot show it is shown no more."""
        try:
            if self._can_draw:
                draw()
        except (OSError, ValueError):  # gone, or without the characters
            self._can_draw = False

    def suspend(self, *, suspended: bool) -> None:
        """Leave the screen alone for as long as somebody debugs."""
        with self._lock:
            self._suspended = suspended
            self._safely(self.clear)

    def draw(self, lines: list[list[str]]) -> None:
        """Show what the processes are at."""

    def clear(self) -> None:
        """Leave the screen to pytest."""

    def print_line(self, word: str, text: str, *, bad: bool) -> None:
        """Show a line that stays."""

    @contextmanager
    def paused(self) -> Iterator[None]:
        """No line of ours on the screen while pytest writes."""
        with self._lock:
            self._safely(self.clear)
            self._last_lines = []
            yield

    def case_finished(self, verdict: CaseVerdict, ended: TestOutcome) -> None:
        """A case has ended."""
        self._print_outcome(verdict.verdict, verdict.id, f"{seeds_trained(verdict)}, ", ended)

    def claim_finished(self, verdict: ClaimVerdict, ended: TestOutcome) -> None:
        """A claim has been judged."""
        self._print_outcome(
            verdict.record.outcome if verdict.record else verdict.verdict, verdict.name, "", ended
        )

    def _print_outcome(self, word: str, name: str, how: str, ended: TestOutcome) -> None:
        with self._lock:
            self.progress.add(ended.seconds, failed=ended.failed)
            self._safely(self.clear)
            self.print_line(word, f"{name}  ({how}{ended.seconds:.1f} s)", bad=ended.failed)

    def stop(self) -> None:
        self._stopping.set()
        self._thread.join()
        with self._lock:
            self._safely(self.clear)
            self._uncaptured.close()


def _columns(descriptor: int) -> int:
    """How wide a terminal is, WIDTH where it does not know; rich would ask descriptors that are captured."""
    return os.get_terminal_size(descriptor).columns or WIDTH


class TerminalDisplay(Display):
    """On a terminal: one line for each process that trains, and the suites' progress."""

    words = True
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
        self._live.update(Group(self._worker_table(lines, width), self._progress_row(width)), refresh=True)

    def _worker_table(self, lines: list[list[str]], width: int) -> Table:
        """What the processes are at; where it is too narrow, names lose their ends first."""
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

    def stay(self, word: str, text: str, *, bad: bool) -> None:
        self.reporter.ensure_newline()
        self.reporter.write(f"  {word:12}", red=bad, green=not bad)
        self.reporter.write_line(f" {text}")


class LogDisplay(Display):
    """In a log: a line now and then, so that who follows it knows that the run lives and how far it is."""

    every = LOG_INTERVAL

    def draw(self, lines: list[list[str]]) -> None:
        if not lines:
            return
        at = "; ".join(" ".join(one) for one in lines)
        if self.reporter._tw.width_of_current_line:  # letters of tests
            self.reporter._tw.line()
        for line in wrapped(f"ftcompare: {self.progress}. At work: {at}"):
            self.reporter.write_line(line)


DISPLAY = pytest.StashKey[Display]()


def make_display(config: pytest.Config, folder: Path) -> Display | None:
    """Lines for the kind of output there is, unless -q, -v, -s, --pdb, --trace or log_cli ask pytest for something else."""
    reporter = config.pluginmanager.getplugin("terminalreporter")
    debugs = config.getoption("usepdb", False) or config.getoption("trace", False)
    talks = config.option.verbose != 0 or config.getoption("capture", "fd") == "no" or _logs_live(config)
    if reporter is None or debugs or talks:
        return None
    progress = Progress(folder, workers=len(config.getoption("tx", None) or [1]))
    moves = sys.__stdout__ and reporter.isatty and os.environ.get("TERM", "dumb") != "dumb"
    return TerminalDisplay(reporter, progress) if moves else LogDisplay(reporter, progress)


def _logs_live(config: pytest.Config) -> bool:
    return config.pluginmanager.hasplugin("logging") and bool(config.getini("log_cli"))


def has_case_lines(config: pytest.Config) -> bool:
    """Whether cases and claims have lines of their own, so that pytest's letters would be said twice."""
    return DISPLAY in config.stash and config.stash[DISPLAY].case_lines

"""Progress while cases train: workers write small files, the controller draws one line per case under pytest's output.

Drawn only where stdout is a terminal; elsewhere pytest's own dots and words are all there is.
"""

from __future__ import annotations

import json
import os
import shutil
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from rich.console import Console
from rich.live import Live as RichLive
from rich.text import Text

from pytest_ftcompare.compare.claim import FAILING as CHANGED
from pytest_ftcompare.compare.claim import Judgement as ClaimJudgement
from pytest_ftcompare.compare.verdict import FAILING, Judgement

EVERY = 0.2  # seconds between two reports of a worker, and between two drawings


class Told:
    """A worker's side: what it is training, as a file in the run's folder."""

    def __init__(self, folder: Path, name: str, *, owner: bool) -> None:
        self.folder, self.owner = folder, owner
        self._file = folder / f"{name}.json"
        self._last = 0.0

    def about(self, case: str) -> Callable[[str], None]:
        """A function that tells how far the case is, from time to time."""

        def say(text: str) -> None:
            now = time.monotonic()
            if "  step " in text and now - self._last < EVERY:  # they follow each other fast: not each is written
                return
            self._last = now
            self._write({"case": case, "text": text})

        say("loading")
        return say

    def _write(self, data: dict[str, str]) -> None:
        part = self._file.with_suffix(".part")
        part.write_text(json.dumps(data))
        os.replace(part, self._file)

    def done(self) -> None:
        self._file.unlink(missing_ok=True)

    def close(self) -> None:
        if self.owner:
            shutil.rmtree(self.folder, ignore_errors=True)


TOLD = pytest.StashKey[Told]()


def make_told(config: pytest.Config) -> Told:
    """The controller makes the run's folder; a worker finds its name in what the controller sent."""
    workerinput = getattr(config, "workerinput", None)
    if workerinput is None:
        return Told(Path(tempfile.mkdtemp(prefix="ftcompare-")), "main", owner=True)
    return Told(Path(workerinput["ftcompare_folder"]), workerinput["workerid"], owner=False)


class Live:
    """The controller's side: one line for each case that trains now, drawn below what pytest has written."""

    def __init__(self, reporter: pytest.TerminalReporter, folder: Path) -> None:
        self.reporter, self.folder = reporter, folder
        terminal = reporter._tw
        self.console = Console(file=terminal._file, force_terminal=True, no_color=not terminal.hasmarkup, highlight=False)
        self._lock = threading.RLock()
        self._stopping = threading.Event()
        self._live: RichLive | None = None
        self._thread = threading.Thread(target=self._draw, daemon=True)
        self._thread.start()

    def _lines(self) -> Text:
        lines = []
        for file in sorted(self.folder.glob("*.json")):
            try:
                data = json.loads(file.read_text())
            except (OSError, ValueError):
                continue
            lines.append(f"  {data['case']}  {data['text']}"[: self.console.width - 1])
        return Text("\n".join(lines), style="dim")

    def _draw(self) -> None:
        while not self._stopping.wait(EVERY):
            with self._lock:
                lines = self._lines()
                if not lines.plain:
                    self._clear()
                    continue
                if self._live is None:
                    if self.reporter._tw.width_of_current_line:
                        self.reporter.ensure_newline()
                    self._live = RichLive(
                        console=self.console,
                        transient=True,
                        auto_refresh=False,
                        redirect_stdout=False,
                        redirect_stderr=False,
                    )
                    self._live.start()
                self._live.update(lines, refresh=True)

    @contextmanager
    def paused(self) -> Iterator[None]:
        """No line of ours on the screen while pytest writes."""
        with self._lock:
            self._clear()
            yield

    def _clear(self) -> None:
        if self._live is not None:
            self._live.stop()
            self._live = None

    def finished(self, judgement: Judgement, seconds: float) -> None:
        """A line that stays: the case, its verdict, what it took."""
        with self._lock:
            self._clear()
            bad = judgement.verdict in FAILING
            seeds = f"{judgement.seeds} seed{'s' * (judgement.seeds != 1)}"
            self.reporter.ensure_newline()
            self.reporter.write(f"  {judgement.verdict:12}", red=bad, green=not bad)
            self.reporter.write_line(f" {judgement.id}  ({seeds}, {seconds:.1f} s)")

    def claimed(self, judgement: ClaimJudgement, seconds: float) -> None:
        """A line that stays: the claim and its outcome."""
        with self._lock:
            self._clear()
            bad = judgement.verdict in CHANGED and not judgement.update
            self.reporter.ensure_newline()
            outcome = judgement.record.outcome if judgement.record else judgement.verdict
            self.reporter.write(f"  {outcome:12}", red=bad, green=not bad)
            self.reporter.write_line(f" {judgement.name}  ({seconds:.1f} s)")

    def stop(self) -> None:
        self._stopping.set()
        self._thread.join()
        with self._lock:
            self._clear()


LIVE = pytest.StashKey[Live]()


def make_live(config: pytest.Config, folder: Path) -> Live | None:
    """Live lines on a terminal that moves its cursor, unless -q, -v or -s ask pytest for something else."""
    reporter = config.pluginmanager.getplugin("terminalreporter")
    capture = config.getoption("capture", "fd")
    if reporter is None or config.option.usepdb or config.option.collectonly or config.option.verbose != 0 or capture == "no":
        return None
    if not sys.__stdout__ or not reporter.isatty or os.environ.get("TERM", "dumb") == "dumb":
        return None
    return Live(reporter, folder)

"""The live display on a terminal, status lines in a log, and neither with -q, -v or -s."""

import io
import os
import pty
import re
import subprocess
import sys

import pytest
from _pytest._io import TerminalWriter
from make_results import make_result
from recorded import RecordedSuite

from pytest_ftcompare.compare.verdict import without_baseline
from pytest_ftcompare.gate.session import TestOutcome
from pytest_ftcompare.gate.worker_status import (
    REPORT_INTERVAL,
    WorkerStatus,
    active_statuses,
    format_duration,
)
from pytest_ftcompare.plugin import live_display
from pytest_ftcompare.plugin.progress import Progress

# Seconds between two draws of the display's thread: here the test itself draws.
NEVER = 3600.0
CASE = "full-pocket_sst-opt-0.4m-n2-epochs=2"


def on_a_terminal(*arguments, columns=80, **environ):
    """Run pytest on a terminal of `columns`; return everything that it wrote."""
    ours, theirs = pty.openpty()
    os.set_blocking(ours, True)
    subprocess.run(["stty", "-F", os.ttyname(theirs), "cols", str(columns)], check=True)
    plugin = (
        "-p",
        "pytest_ftcompare.plugin",
        "-p",
        "drawn",
        "-p",
        "no:cacheprovider",
        "--benchmark-disable",
    )
    environ = {
        **{name: value for name, value in os.environ.items() if name != "COLUMNS"},
        "TERM": "xterm-256color",
        **environ,
    }
    process = subprocess.Popen(
        [sys.executable, "-m", "pytest", *plugin, *arguments],
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        env=environ,
    )
    os.close(theirs)
    written = b""
    while True:
        try:
            part = os.read(ours, 65536)
        except OSError:
            # The other end is closed.
            break
        written += part
    process.wait()
    os.close(ours)
    return written.decode()


@pytest.fixture
def recorded(pytester):
    """A suite of one case that trains nothing."""
    run = RecordedSuite(pytester)
    run.suite(methods=("full",), options={"epochs": 2}, judge_accuracy=False)
    return run


def test_a_case_that_trains_has_a_line(shell):
    text = on_a_terminal()
    assert re.search(r"full-pocket_sst-opt-0.4m-n2-e\S*\s+\S*(loading|inspecting)", text)
    assert re.search(rf"new .*{CASE}  \(1 seed, \d", text)


@pytest.mark.parametrize("workers", [(), ("-n1",)], ids=["without xdist", "n1"])
def test_each_worker_has_a_line_and_the_suites_have_one(recorded, workers):
    text = on_a_terminal(*workers)
    assert re.search(r"full-pocket_sst-opt-0.4m-n2-e\S*\s+\S*(loading|inspecting)", text)
    assert "0 of 1 done" in text
    assert re.search(rf"new .*{CASE}  \(1 seed, \d", text)  # the line that stays


@pytest.mark.parametrize("option", ["-q", "-v", "-s"])
def test_there_is_no_display_with_options_that_change_pytests_output(recorded, option):
    assert "of 1 done" not in on_a_terminal(option)


@pytest.mark.parametrize("columns", [0, 40, 300])
def test_no_line_is_wider_than_the_terminal(recorded, columns):
    text = on_a_terminal(columns=columns)
    frames = re.findall(r"\x1b\[2m  full[^\n]*", text)
    assert frames
    assert max(len(re.sub(r"\x1b\[[\d;?]*[A-Za-z]|\r", "", frame)) for frame in frames) <= (
        columns or 80
    )
    assert ("full-pocket_s…" in text) is (columns == 40)


def test_a_terminal_that_lacks_a_character_gets_no_lines_and_the_session_goes_on(recorded):
    text = on_a_terminal(PYTHONIOENCODING="ascii")
    assert "1 case: 1 new." in text
    assert "Error" not in text


def test_there_is_no_display_without_cases(shell):
    shell.pytester.makepyfile(
        test_quick="import threading\ndef test_other(): assert threading.active_count() == 1"
    )
    assert shell.pytester.runpytest_subprocess("-p", "pytest_ftcompare.plugin").ret == 0


class Reporter:
    """The part of pytest's reporter that the display uses."""

    def __init__(self):
        self._tw = TerminalWriter(io.StringIO())

    def write_line(self, line):
        self._tw._file.write(f"{line}\n")


def ended(seconds, *, failed=False):
    return TestOutcome("node", seconds, failed)


def test_a_log_gets_a_status_line(tmp_path, monkeypatch):
    monkeypatch.setattr(live_display.LogDisplay, "interval", NEVER)
    reporter, status = Reporter(), WorkerStatus(tmp_path, "gw0")
    display = live_display.LogDisplay(
        reporter, Progress(tmp_path, workers=2, clock=iter([0.0, 42.0]).__next__)
    )
    status.write_total(5)
    # Letters of tests without cases.
    reporter._tw.write("..")
    display.case_finished(without_baseline(make_result([0.5])), ended(120.0))
    display.case_finished(without_baseline(make_result([0.5])), ended(60.0, failed=True))
    status.reporter("lora-cola")("seed 1  evaluating")
    display.draw(active_statuses(tmp_path))
    status.done()
    # No worker is active: nothing to print.
    display.draw(active_statuses(tmp_path))
    display.stop()
    assert reporter._tw._file.getvalue() == (
        "..\nftcompare: 2 of 5 done, 1 failed; 42 s, about 2 min left. Running:\n"
        "  lora-cola seed 1 evaluating\n"
    )


def test_the_screen_does_not_change_while_a_worker_times(tmp_path, monkeypatch):
    drawn = []
    monkeypatch.setattr(live_display.LogDisplay, "interval", NEVER)
    monkeypatch.setattr(live_display.LogDisplay, "draw", lambda self, lines: drawn.append(lines))
    WorkerStatus(tmp_path, "gw0").reporter("case")("timing")
    display = live_display.LogDisplay(Reporter(), Progress(tmp_path, workers=1))
    for _ in range(3):
        display.refresh()
    assert drawn == [timing := [["case", "timing"]]]
    WorkerStatus(tmp_path, "gw0").reporter("case")("seed 1  evaluating")
    for _ in range(2):
        display.refresh()
    display.stop()
    assert drawn == [timing, *[[["case", "seed 1", "evaluating"]]] * 2]


def test_fast_steps_are_not_all_written(tmp_path):
    status = WorkerStatus(
        tmp_path,
        "gw0",
        clock=iter(
            [
                10.0,
                10.0 + REPORT_INTERVAL / 2,
                10.0 + 2 * REPORT_INTERVAL,
                10.0 + 2 * REPORT_INTERVAL,
            ]
        ).__next__,
    )
    say = status.reporter("case")
    say("seed 0  step 1/40  loss 0.7")
    assert active_statuses(tmp_path) == [["case", "loading"]]
    say("seed 0  step 2/40  loss 0.6")
    assert active_statuses(tmp_path) == [["case", "seed 0", "step 2/40", "loss 0.6"]]
    say("seed 0  evaluating")
    assert active_statuses(tmp_path) == [["case", "seed 0", "evaluating"]]


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0.4, "0 s"), (89, "89 s"), (90, "2 min"), (5400, "1 h 30 min"), (36060, "10 h 01 min")],
)
def test_durations_are_short(seconds, text):
    assert format_duration(seconds) == text

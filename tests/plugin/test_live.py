"""Live lines on a terminal, plain ones in a log, none where pytest was asked for something else."""

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
from pytest_ftcompare.gate.worker_status import REPORT_INTERVAL, WorkerStatus, active_statuses, format_duration
from pytest_ftcompare.plugin import live_display
from pytest_ftcompare.plugin.progress import Progress

NEVER = (
    3600.0  # seconds between two looks of the display's own thread: the test itself makes it look
)
CASE = "full-pocket_sst-opt-0.4m-n2-epochs=2"


def on_a_terminal(*arguments, columns=80, **environ):
    """Run pytest on a terminal of so many columns; all that it wrote there."""
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
        except OSError:  # its other end is closed
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
def test_a_line_for_each_process_and_one_for_the_suites(recorded, workers):
    text = on_a_terminal(*workers)
    assert re.search(r"full-pocket_sst-opt-0.4m-n2-e\S*\s+\S*(loading|inspecting)", text)
    assert "0 of 1 done" in text
    assert re.search(rf"new .*{CASE}  \(1 seed, \d", text)  # the line that stays


@pytest.mark.parametrize("option", ["-q", "-v", "-s"])
def test_no_lines_where_pytest_was_asked_for_something_else(recorded, option):
    assert "of 1 done" not in on_a_terminal(option)


@pytest.mark.parametrize("columns", [0, 40, 300])
def test_no_line_is_wider_than_the_terminal(recorded, columns):
    text = on_a_terminal(columns=columns)
    frames = re.findall(r"\x1b\[2m  full[^\n]*", text)
    assert frames
    assert max(len(re.sub(r"\x1b\[[\d;?]*[A-Za-z]|\r", "", one)) for one in frames) <= (
        columns or 80
    )
    assert ("full-pocket_s…" in text) is (columns == 40)


def test_a_terminal_without_the_characters_gets_no_lines_and_ends_no_session(recorded):
    text = on_a_terminal(PYTHONIOENCODING="ascii")
    assert "1 case: 1 new." in text
    assert "Error" not in text


def test_no_lines_where_there_are_no_cases(shell):
    shell.pytester.makepyfile(
        test_quick="import threading\ndef test_other(): assert threading.active_count() == 1"
    )
    assert shell.pytester.runpytest_subprocess("-p", "pytest_ftcompare.plugin").ret == 0


class Reporter:
    """What the display needs of pytest's."""

    def __init__(self):
        self._tw = TerminalWriter(io.StringIO())

    def write_line(self, line):
        self._tw._file.write(f"{line}\n")


def ended(seconds, *, failed=False):
    return TestOutcome("node", seconds, failed)


def test_a_log_gets_a_plain_line_now_and_then(tmp_path, monkeypatch):
    monkeypatch.setattr(live_display.LogDisplay, "interval", NEVER)
    reporter, told = Reporter(), WorkerStatus(tmp_path, "gw0")
    plain = live_display.LogDisplay(
        reporter, Progress(tmp_path, workers=2, clock=iter([0.0, 42.0]).__next__)
    )
    told.write_total(5)
    reporter._tw.write("..")  # of tests that are no cases
    plain.case_finished(without_baseline(make_result([0.5])), ended(120.0))
    plain.case_finished(without_baseline(make_result([0.5])), ended(60.0, failed=True))
    told.reporter("lora-cola")("seed 1  evaluating")
    plain.draw(active_statuses(tmp_path))
    told.done()
    plain.draw(active_statuses(tmp_path))  # nobody is at work: nothing to say
    plain.stop()
    said = reporter._tw._file.getvalue()
    assert (
        said
        == "..\nftcompare: 2 of 5 done, 1 failed; 42 s, about 2 min left. Running:\n  lora-cola seed 1 evaluating\n"
    )


def test_nothing_moves_on_the_screen_while_somebody_times(tmp_path, monkeypatch):
    drawn = []
    monkeypatch.setattr(live_display.LogDisplay, "interval", NEVER)
    monkeypatch.setattr(live_display.LogDisplay, "draw", lambda self, lines: drawn.append(lines))
    WorkerStatus(tmp_path, "gw0").reporter("case")("timing")
    plain = live_display.LogDisplay(Reporter(), Progress(tmp_path, workers=1))
    for _ in range(3):
        plain.refresh()
    assert drawn == [timing := [["case", "timing"]]]
    WorkerStatus(tmp_path, "gw0").reporter("case")("seed 1  evaluating")
    for _ in range(2):
        plain.refresh()
    plain.stop()
    assert drawn == [timing, *[[["case", "seed 1", "evaluating"]]] * 2]


def test_steps_that_follow_each_other_fast_are_not_each_written(tmp_path):
    told = WorkerStatus(
        tmp_path,
        "gw0",
        clock=iter([10.0, 10.0 + REPORT_INTERVAL / 2, 10.0 + 2 * REPORT_INTERVAL, 10.0 + 2 * REPORT_INTERVAL]).__next__,
    )
    say = told.reporter("case")
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
def test_durations_are_as_long_as_a_reader_wants(seconds, text):
    assert format_duration(seconds) == text

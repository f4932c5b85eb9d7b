"""Times beside a reference: stand-ins for its processes have times that the test chooses."""

import itertools
import json
import sys
from pathlib import Path

import pytest
from weather import TICK

from pytest_ftcompare.gate import reference_timing, timing
from pytest_ftcompare.gate.remote import RemoteError
from pytest_ftcompare.gate.timing_processes import TimingProcesses
from pytest_ftcompare.measure import gpu_readings
from pytest_ftcompare.measure.cpu_contention import CpuAccounting, RoundTime

METRICS = ("step", "evaluation", "inference")


@pytest.fixture
def beside_it(shell, monkeypatch):
    """A function that runs the suite beside a reference.

    The reference takes `share` of this environment's time; its second process takes `again` as
    much.
    """
    shell.update()
    monkeypatch.setattr(reference_timing, "_CHECKED_REFERENCES", set())
    monkeypatch.setattr(reference_timing, "_NOISY", {})

    def run(
        *options,
        share=1.0,
        again=1.0,
        confirmed=True,
        changes=None,
        dies="",
        waited=0.0,
        named=sys.executable,
    ):
        processes = []

        class Process:
            def __init__(self, python):
                self.pieces = METRICS
                # The first of this environment takes its time; a fresh one may not confirm it.
                is_first = None not in processes
                self.seconds = TICK if not python and (is_first or confirmed) else TICK * share
                self.seconds *= again if len(processes) % 3 == 2 else 1.0
                self.name = f"process {len(processes)}"
                processes.append(python)

            def __enter__(self):
                return self

            def __exit__(self, *_):
                pass

            def close(self):
                pass

            def prepare(self, case, config, root):
                (self.file,) = (file for file in shell.files() if file.stem == case.id)

            def probe(self):
                return json.loads(self.file.read_text())["probe"] | (changes or {})

            def round(self, piece):
                if dies:
                    raise RemoteError(dies)
                return RoundTime(self.seconds, waited * self.seconds, self.seconds)

        monkeypatch.setattr(reference_timing, "RemoteProcess", Process)
        kept = TimingProcesses(Process)
        monkeypatch.setattr(reference_timing, "TIMING_PROCESSES", kept)
        reference = (f"--ftcompare-reference={named}", "--ftcompare-cache-dir=cache")
        result = shell.run(*options, *reference, timed=True)
        return result, processes

    return run


@pytest.fixture
def windows(monkeypatch):
    """The cases whose window this process takes, in the order of the windows."""
    cases, take_window = [], timing.take_window

    def take(prepared, run_context):
        cases.append(prepared.case.method)
        return take_window(prepared, run_context)

    monkeypatch.setattr(timing, "take_window", take)
    return cases


def text(result):
    return " ".join(result.stdout.str().split())


def test_the_same_times_are_the_same_on_any_machine(beside_it):
    result, processes = beside_it()
    assert result.ret == 0
    # The reference, this environment, and the reference once more against itself.
    assert processes == [Path(sys.executable), None, Path(sys.executable)]


def test_this_process_takes_no_window_and_the_benchmarks_are_the_rounds_beside_it(
    beside_it, windows, shell
):
    windows.clear()
    result, _ = beside_it("--benchmark-json=benchmarks.json")
    assert (result.ret, windows) == (0, [])
    benchmarks = json.loads((shell.pytester.path / "benchmarks.json").read_text())["benchmarks"]
    assert sorted(benchmark["group"] for benchmark in benchmarks) == sorted(METRICS)
    assert {benchmark["stats"]["median"] for benchmark in benchmarks} == {TICK}


def test_a_slower_step_is_worse_if_a_second_pair_of_processes_shows_it(beside_it):
    result, processes = beside_it(share=0.9)
    assert result.ret == 1
    assert processes[-1] is None  # a fresh process of this environment
    assert "+11.1% in seconds side by side" in text(result)


def test_a_slower_step_that_a_second_pair_does_not_show_is_not_judged(beside_it):
    result, _ = beside_it(share=0.9, confirmed=False)
    assert result.ret == 0


@pytest.mark.parametrize(
    ("how", "sentence"),
    [
        (
            {"again": 1.1},
            "timed against itself differs by +10.0% in step: try again on a quieter machine",
        ),
        ({"changes": {"loss": 9.0}}, "does not compute what the baseline does"),
        (
            {"waited": 0.05},
            "every window beside it was disturbed: other processes had this worker's cores for 5%",
        ),
        (
            {"dies": "it ended with status -9 at 'round'"},
            "no reference: it ended with status -9 at 'round'",
        ),
    ],
)
@pytest.mark.parametrize("options", [(), ("--ftcompare-full",)])
def test_an_invalid_reference_compares_no_time_and_gives_the_reason(
    beside_it, windows, how, sentence, options
):
    windows.clear()
    result, _ = beside_it(*options, share=0.5, **how)
    # Times that are not compared are shown only if everything is asked for.
    assert (result.ret, windows) == (0, ["full"] if options else [])
    assert sentence in text(result)


def test_the_waits_of_the_process_that_awaits_the_rounds_disturb_nothing(beside_it, monkeypatch):
    seconds = itertools.count()

    def account():
        now = next(seconds)
        return CpuAccounting(now, now / 2, 0.0)

    monkeypatch.setattr(gpu_readings, "cpu_accounting", account)
    result, _ = beside_it(share=0.9)
    assert result.ret == 1
    assert "+11.1% in seconds side by side" in text(result)


def test_a_noisy_machine_is_tried_again_after_a_minute(beside_it, shell, monkeypatch):
    shell.suite(methods=("full", "bitfit"))
    shell.update()
    for pause, tried in ((1e9, 1), (0.0, 2)):
        monkeypatch.setattr(reference_timing, "REMEASURE_AFTER", pause)
        reference_timing._NOISY.clear()
        result, processes = beside_it(share=0.5, again=1.1)
        assert result.ret == 0
        assert "Not compared in 2 cases" in text(result)
        # Each try is the reference, this environment, and the reference against itself.
        assert len(processes) == 3 * tried


def test_an_unchanged_environment_is_the_reference_that_a_baseline_asks_for(beside_it):
    result, processes = beside_it(named="auto")
    assert result.ret == 0
    assert processes == [Path(sys.executable), None, Path(sys.executable)]
    assert "no reference" not in text(result)


def test_a_reference_that_no_baseline_can_give_is_told_once(beside_it, shell):
    shell.suite(methods=("full", "bitfit"))
    shell.update()
    shell.edit(r'"distributions": "\w+",', "")
    result, processes = beside_it(named="auto")
    assert (result.ret, processes) == (0, [])
    sentence = (
        "Not compared in 2 cases: evaluation, inference, step (no reference: its baseline was made "
        "before baselines recorded their distributions: update the baseline, or name an "
        "interpreter with --ftcompare-reference=PYTHON)"
    )
    assert text(result).count("no reference") == 1
    assert sentence in text(result)


def test_a_folder_that_can_hold_no_environment_ends_the_session_before_anything_runs(shell):
    (shell.pytester.path / "cache").touch()
    result = shell.run("--ftcompare-reference=auto", "--ftcompare-cache-dir=cache/below")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(
        ["*--ftcompare-reference: expected a folder for the cache, got */cache/below (*"]
    )

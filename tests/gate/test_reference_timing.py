"""Which processes time a case beside a reference."""

import math
import random
from contextlib import contextmanager, nullcontext
from functools import partial
from pathlib import Path
from types import SimpleNamespace

import pytest

from pytest_ftcompare.compare.measured_cost import is_suspicious, side_by_side
from pytest_ftcompare.gate import reference_timing
from pytest_ftcompare.gate.reference_timing import (
    MAX_LENGTH,
    MAX_SUSPECTED_LENGTH,
    ReferenceTiming,
)
from pytest_ftcompare.gate.remote import RemoteError
from pytest_ftcompare.measure import reference_rounds
from pytest_ftcompare.measure.cpu_contention import RoundTime
from pytest_ftcompare.measure.reference_rounds import MIN_ROUNDS, rounds
from pytest_ftcompare.results.cost_metrics import STEP


@pytest.mark.parametrize(("device", "keep"), [("cpu", True), ("cuda", False)])
def test_no_process_keeps_a_model_on_a_gpu(monkeypatch, device, keep):
    asked = []

    class Processes:
        @contextmanager
        def process_of(self, python, *, keep):
            asked.append((python, keep))
            yield None
            raise AssertionError

    def prepare(timing, remote):
        raise RemoteError("it ended")

    monkeypatch.setattr(reference_timing, "TIMING_PROCESSES", Processes())
    monkeypatch.setattr(ReferenceTiming, "_prepare", prepare)
    timing = ReferenceTiming(
        SimpleNamespace(
            config=SimpleNamespace(device=device),
            method=SimpleNamespace(trains=False, mergeable=True),
        ),
        None,
        SimpleNamespace(report_status=lambda text: None, clock=lambda: 0.0),
        SimpleNamespace(reference=SimpleNamespace(python_for=lambda *_: Path("python"))),
    )
    refused = timing.compare_times()
    assert refused.refusal == "no reference: it ended"
    # It says so of each piece of work that the method has.
    metrics = [comparison.metric for comparison in refused.comparisons]
    assert metrics == ["evaluation", "inference", "merged inference"]
    assert all(math.isnan(comparison.new) for comparison in refused.comparisons)
    assert asked == [(Path("python"), keep), (None, keep)]


def test_a_worker_lets_others_time_when_it_has_prepared_a_process():
    done = []
    timing = ReferenceTiming(
        SimpleNamespace(case="case", config="config"),
        None,
        SimpleNamespace(pause=lambda: done.append("pause")),
        SimpleNamespace(root=Path()),
    )
    timing._prepare(SimpleNamespace(prepare=lambda *_: done.append("prepare")))
    assert done == ["prepare", "pause"]


@pytest.fixture(autouse=True)
def no_collection(monkeypatch):
    """Simulated rounds need no collection of the garbage, which takes long."""
    monkeypatch.setattr(reference_rounds, "no_collection", nullcontext)


class NoisySide:
    """A process whose step takes 30 ms, but for its own `effect` and each round's `noise`.

    Both are logarithms. The rounds move a clock, which both sides share.
    """

    pieces = ("step",)

    def __init__(self, clock, effect, noise):
        self.clock, self.effect, self.noise = clock, effect, noise

    def round(self, piece):
        seconds = 0.03 * math.exp(self.effect + self.noise())
        self.clock[0] += seconds
        return RoundTime(seconds)


def take_rounds(rng, noise, loss=0.0, *, suspected=False):
    """Return rounds of two processes, of which this environment's loses time; and their seconds."""
    clock = [0.0]
    reference = NoisySide(clock, rng.gauss(0, STEP.between), noise)
    here = NoisySide(clock, rng.gauss(0, STEP.between) + math.log1p(loss), noise)
    timing = ReferenceTiming(None, None, SimpleNamespace(window=1.5), None)
    go_on = partial(timing._wants_more_rounds, suspected=suspected)
    return rounds(reference, here, lambda: clock[0], go_on, lambda: None).pairs, clock[0]


def judge(rng, noise, loss):
    """Return the outcome of a step, with a second pair of processes on suspicion; and seconds."""
    pairs, seconds = take_rounds(rng, noise, loss)
    taken = [pairs["step"]]
    if asked := is_suspicious(side_by_side({"step": taken})[0]):
        pairs, more = take_rounds(rng, noise, loss, suspected=True)
        taken.append(pairs["step"])
        seconds += more
    return side_by_side({"step": taken})[0].outcome, seconds, asked


def steady(rng):
    return lambda: rng.gauss(0, 0.004)


def disturbed(rng):
    """A round's noise beside busy neighbours: 2 %, and in a tenth of the rounds 15 %."""
    return lambda: rng.gauss(0, 0.15 if rng.random() < 0.1 else 0.02)


def test_rounds_end_when_they_are_precise():
    rng = random.Random(0)
    lengths = [len(take_rounds(rng, steady(rng))[0]["step"]) for _ in range(20)]
    assert min(lengths) == MIN_ROUNDS and max(lengths) < 2 * MIN_ROUNDS


def test_the_pair_that_confirms_a_change_takes_long_rounds(monkeypatch):
    asked = []
    monkeypatch.setattr(ReferenceTiming, "_start", lambda _, python: nullcontext(python))
    monkeypatch.setattr(
        ReferenceTiming,
        "_time_in_turn",
        lambda _, *sides, **options: asked.append((sides, options)),
    )
    ReferenceTiming(None, None, None, None)._time_fresh_processes(Path("python"))
    assert asked == [((Path("python"), None), {"suspected": True})]


def noisy(rng):
    """Too noisy for the rounds to become precise."""
    return lambda: rng.gauss(0, 0.2)


def test_noisy_rounds_end_after_some_windows_and_suspected_ones_later():
    rng = random.Random(1)
    lengths = [take_rounds(rng, noisy(rng), suspected=suspected)[1] for suspected in (False, True)]
    assert lengths == [
        pytest.approx(windows * 1.5, abs=0.4) for windows in (MAX_LENGTH, MAX_SUSPECTED_LENGTH)
    ]


def test_rounds_that_show_a_change_go_on():
    rng = random.Random(2)
    assert take_rounds(rng, noisy(rng), loss=1.0)[1] > 2 * MAX_LENGTH * 1.5


@pytest.mark.parametrize("noise", [steady, disturbed])
def test_a_step_that_is_five_percent_slower_is_found_and_nothing_else(noise):
    rng = random.Random(3)
    slower = [judge(rng, noise(rng), 0.05)[0] for _ in range(100)]
    equal = [judge(rng, noise(rng), 0.0)[0] for _ in range(100)]
    assert slower.count("worse") >= 90
    assert not {"worse", "better"} & set(equal)
    assert equal.count("open") <= 10

"""The noise of timed windows is estimated within a process and between processes."""

import math
import random

import pytest

from pytest_ftcompare.results.cost_metrics import ENERGY, INFERENCE, STEP
from scripts.gpu.timing_noise import TIMING_NOISE, TOGETHER, noise


def window(process, step, energy=None, disturbed=""):
    """Return a window whose time in seconds, which must not count, is absurd."""
    readings = {} if energy is None else {ENERGY.name: energy}
    times = {STEP.name: [1e9, step, 1e9], INFERENCE.name: [1e9, 1e9, step]}
    return {"process": process, "times": times, "readings": readings, "disturbed": disturbed}


def units_of(methods, together=None):
    units = {name: {"windows": {name: windows}} for name, windows in methods.items()}
    if together:
        units[f"{TOGETHER}{', '.join(together)}"] = {"windows": together}
    return units


def by_metric(units):
    return {entry.metric: entry for entry in noise(units)}


def test_noise_within_and_between_processes_is_found_again():
    draw = random.Random(1)
    methods = {}
    for method in range(200):
        windows = methods[f"method {method}"] = []
        for process in range(3):
            shift = draw.gauss(math.log(1 + method), 0.02)
            windows += [window(process, math.exp(draw.gauss(shift, 0.01))) for _ in range(2)]
    entry = by_metric(units_of(methods))[STEP]
    assert entry.windows == 1200
    assert entry.within == pytest.approx(0.01, rel=0.1)
    assert entry.between == pytest.approx(0.02, rel=0.1)
    assert entry.together is None


def test_a_metric_is_read_in_its_own_yardsticks_and_units():
    entries = by_metric(units_of({"lora": [window("a", 1.0, 5.0), window("a", 1.1, 5.5)]}))
    assert entries.keys() == {STEP, INFERENCE, ENERGY}
    expected = math.log(1.1) / math.sqrt(2)
    assert all(entry.within == pytest.approx(expected) for entry in entries.values())
    assert all(entry.between is None for entry in entries.values())


def test_disturbed_windows_do_not_count_and_are_told():
    windows = [window("a", 1.0), window("a", 9.0, disturbed="the GPU was throttled")]
    units = units_of({"lora": windows})
    assert by_metric(units)[STEP].windows == 1 and by_metric(units)[STEP].within is None
    assert TIMING_NOISE.tables(units)[1].rows == [("1", "the GPU was throttled")]


def test_readings_together_are_compared_with_those_alone():
    alone = {"lora": [window("a", 1.0), window("b", 4.0)], "oft": [window("c", 3.0)]}
    entry = by_metric(units_of(alone, {"lora": [window("d", 2.2)]}))[STEP]
    assert entry.together == pytest.approx(1.1)

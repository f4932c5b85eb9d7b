"""Whether a reading may be judged, by replayed states of the card before and after it."""

import os
from types import SimpleNamespace

import pytest
from fake_nvml import GIB, LOST, NOT_SUPPORTED, UUID, install_card

from pytest_ftcompare.measure import nvml
from pytest_ftcompare.measure.gpu_state import (
    REASONS,
    THROTTLE_REASONS,
    GpuState,
    disturbed,
    joules,
)
from pytest_ftcompare.measure.nvml import open_gpu

HERE = {os.getpid(): GIB}
SECOND = 10**9  # in nanoseconds, as NVML counts slowdowns


def between(monkeypatch, seconds=10.0, **readings):
    """Return what disturbed a reading; lists are the card's values before and after it."""
    install_card(monkeypatch, **{"processes": HERE} | readings)
    moments = iter([100.0, 100.0 + seconds])
    monkeypatch.setattr(nvml, "time", SimpleNamespace(monotonic=moments.__next__))
    gpu = open_gpu(UUID)
    before = gpu.state()
    return disturbed(before, gpu.state())


def test_a_reading_of_a_healthy_card_is_not_disturbed(monkeypatch):
    assert between(monkeypatch) == ""


def test_a_card_without_readings_is_not_disturbed():
    assert disturbed(GpuState(0.0), GpuState(1.0)) == ""


@pytest.mark.parametrize(
    ("bit", "word"), [item for item in REASONS.items() if item[1] in THROTTLE_REASONS]
)
@pytest.mark.parametrize("when", ["before", "after"])
def test_a_throttle_at_either_end_is_reported(monkeypatch, bit, word, when):
    masks = [bit, 0] if when == "before" else [0, bit]
    assert (
        between(monkeypatch, CurrentClocksEventReasons=masks) == f"the GPU was throttled ({word})"
    )


def test_a_throttle_from_heat_is_reported_with_every_reason(monkeypatch):
    said = between(
        monkeypatch, **{"ClockInfo 1": [1980, 990], "CurrentClocksEventReasons": [0, 0x8 | 0x40]}
    )
    assert said == "the GPU was throttled (hw slowdown, hw thermal)"


@pytest.mark.parametrize(
    "bit", [bit for bit, word in REASONS.items() if word not in THROTTLE_REASONS]
)
def test_a_card_at_rest_or_at_the_clocks_that_its_owner_chose_is_not_disturbed(monkeypatch, bit):
    assert between(monkeypatch, CurrentClocksEventReasons=bit) == ""


def test_a_throttle_between_the_states_is_reported_from_its_counter(monkeypatch):
    counted = [{74: 5 * SECOND, 75: 3 * SECOND}, {74: 5 * SECOND, 75: 4 * SECOND}]
    assert between(monkeypatch, FieldValues=counted) == "the GPU was throttled (sw thermal)"


def test_a_throttle_of_less_than_1_percent_of_the_time_passes(monkeypatch):
    def counted(share):
        return [{75: SECOND}, {75: SECOND + int(share * 10 * SECOND)}]

    assert between(monkeypatch, FieldValues=counted(0.009)) == ""
    assert between(monkeypatch, FieldValues=counted(0.011)) == "the GPU was throttled (sw thermal)"


def test_a_throttle_counter_that_restarts_or_appears_later_is_ignored(monkeypatch):
    assert between(monkeypatch, FieldValues=[{75: 9 * SECOND}, {75: 2 * SECOND}]) == ""
    assert between(monkeypatch, FieldValues=[{}, {75: 9 * SECOND}]) == ""


def test_a_constant_low_power_limit_is_left_to_the_comparison(monkeypatch):
    assert between(monkeypatch, PowerManagementLimit=350_000) == ""


def test_a_power_limit_lowered_during_the_reading_is_reported(monkeypatch):
    said = between(monkeypatch, PowerManagementLimit=[700_000, 500_000])
    assert said == "the GPU's power limit went from 700.0 W to 500.0 W"


def test_new_memory_errors_are_reported_and_old_ones_are_not(monkeypatch):
    assert (
        between(monkeypatch, **{"TotalEccErrors 1 0": [1, 3]})
        == "the GPU's uncorrected memory errors went from 1 to 3"
    )
    assert between(monkeypatch, **{"TotalEccErrors 1 0": [3, 3]}) == ""
    assert between(monkeypatch, **{"TotalEccErrors 1 0": [3, 0]}) == ""


@pytest.mark.parametrize(
    "running", [[HERE, HERE | {77: GIB}], [HERE | {77: GIB}, HERE]], ids=["appears", "goes"]
)
def test_another_process_at_either_end_is_reported(monkeypatch, running):
    assert between(monkeypatch, processes=running) == "another process used the GPU (pid 77)"


def test_several_other_processes_are_named_in_order(monkeypatch):
    running = [HERE | {90: GIB, 77: GIB}, HERE | {77: GIB, 12: GIB}]
    assert (
        between(monkeypatch, processes=running)
        == "another process used the GPU (pid 12, pid 77, pid 90)"
    )


def test_a_new_process_is_reported_where_process_ids_mean_nothing(monkeypatch):
    host = {2**21: GIB}
    said = between(monkeypatch, processes=[host, host | {2**21 + 1: GIB}])
    assert said == "another process came to the GPU (1 before, 2 after)"
    assert between(monkeypatch, processes=host) == ""
    assert between(monkeypatch, processes=[NOT_SUPPORTED, NOT_SUPPORTED, host]) == ""


def test_a_sibling_worker_that_comes_is_not_reported(monkeypatch):
    monkeypatch.setattr(nvml, "is_of_session", lambda pid, _: pid in (os.getpid(), 77))
    assert between(monkeypatch, processes=[HERE, HERE | {77: GIB}]) == ""


def test_a_gpu_lost_during_the_reading_is_all_that_is_reported(monkeypatch):
    said = between(
        monkeypatch, PowerManagementLimit=[350_000, LOST], CurrentClocksEventReasons=[0x40, LOST]
    )
    assert said == "the GPU is lost"


def test_several_disturbances_are_all_reported(monkeypatch):
    said = between(
        monkeypatch, PowerManagementLimit=[700_000, 350_000], CurrentClocksEventReasons=0x40
    )
    assert (
        said
        == "the GPU was throttled (hw thermal); the GPU's power limit went from 700.0 W to 350.0 W"
    )


@pytest.mark.parametrize(
    ("before", "after", "spent"),
    [
        (1_000, 3_500, 2.5),
        (1_000, 1_000, 0.0),
        (9_000, 100, None),
        (None, 100, None),
        (100, None, None),
    ],
    ids=["counted", "nothing spent", "the counter started anew", "none before", "none after"],
)
def test_energy_is_the_counters_difference_or_unknown(before, after, spent):
    assert joules(before, after) == spent

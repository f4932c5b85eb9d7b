"""Readings of a timed window: on a GPU that fakes of torch and NVML play, and on a CPU."""

import itertools
import os
from types import SimpleNamespace

import pytest
import torch
from fake_nvml import GIB, LOST, NOT_SUPPORTED, UUID, install_card

from pytest_ftcompare.measure import gpu_readings
from pytest_ftcompare.measure.cpu_contention import CpuAccounting
from pytest_ftcompare.measure.gpu_readings import take_readings
from pytest_ftcompare.measure.timer import Workload

MINE = {os.getpid(): 3 * GIB}


class Cuda:
    """A fake of torch.cuda: the allocator's peaks since the last reset, by the calls since."""

    def __init__(self, monkeypatch):
        self.peak, self.uuid = 0, UUID
        monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
        for name in ("empty_cache", "synchronize"):
            monkeypatch.setattr(torch.cuda, name, lambda: None)
        monkeypatch.setattr(torch.cuda, "reset_peak_memory_stats", self.reset)
        monkeypatch.setattr(torch.cuda, "max_memory_allocated", lambda: self.peak)
        monkeypatch.setattr(torch.cuda, "max_memory_reserved", lambda: self.peak + 1)
        monkeypatch.setattr(torch.cuda, "current_device", lambda: 0)
        monkeypatch.setattr(torch.cuda, "get_device_properties", lambda _: self)
        monkeypatch.setattr(gpu_readings, "ENERGY_SECONDS", 0.0)
        monkeypatch.setattr(
            gpu_readings, "time", SimpleNamespace(perf_counter=itertools.count().__next__)
        )
        # By default, time passes and no thread waits, however busy this machine is.
        clock = itertools.count()
        monkeypatch.setattr(
            gpu_readings, "cpu_accounting", lambda: CpuAccounting(float(next(clock)), 0.0, 0.0)
        )

    def reset(self):
        self.peak = 0

    def uses(self, count):
        def call():
            self.peak = max(self.peak, count)

        return Workload(call)


@pytest.fixture
def cuda(monkeypatch):
    return Cuda(monkeypatch)


def pieces(cuda):
    return {
        "step": cuda.uses(5 * GIB),
        "evaluation": cuda.uses(2 * GIB),
        "inference": cuda.uses(9 * GIB),
    }


def test_each_phase_has_its_own_peak_by_the_allocator_and_by_the_driver(cuda, monkeypatch):
    install_card(monkeypatch, processes=MINE)
    found = take_readings("cuda", pieces(cuda), 16, lambda watch: None)
    assert found.values["allocated bytes, training"] == 5 * GIB
    assert found.values["reserved bytes, training"] == 5 * GIB + 1
    assert found.values["allocated bytes, evaluation"] == 2 * GIB
    assert (
        found.values["process bytes, training"]
        == found.values["process bytes, evaluation"]
        == 3 * GIB
    )
    assert found.disturbed == ""


def test_a_spike_between_two_samples_is_in_the_allocators_peak(cuda, monkeypatch):
    install_card(monkeypatch, processes=MINE)
    found = take_readings("cuda", {"step": cuda.uses(40 * GIB)}, 16, lambda watch: None)
    assert found.values["process bytes, training"] == 3 * GIB
    assert found.values["allocated bytes, training"] == 40 * GIB


def test_energy_is_given_for_a_thousand_examples(cuda, monkeypatch):
    monkeypatch.setattr(gpu_readings, "ENERGY_SECONDS", 5.0)
    steps = []
    install_card(
        monkeypatch, processes=MINE, TotalEnergyConsumption=lambda: 1000 * len(steps)
    )  # one joule per step
    found = take_readings(
        "cuda", {"step": Workload(lambda: steps.append(1))}, 16, lambda watch: None
    )
    assert found.values["joules per 1000 examples"] == pytest.approx(1000 / 16)
    assert (
        len(steps) == 1 + 1 + 5
    )  # one makes ready for each reading of memory, one is read, five last a second each


def test_the_stored_state_is_the_cards_and_names_no_process(cuda, monkeypatch):
    install_card(monkeypatch, processes=MINE)
    found = take_readings("cuda", pieces(cuda), 16, lambda watch: None)
    assert found.device_state["power_limit"] == 700.0
    assert set(found.device_state) == set(gpu_readings.STATE_FIELDS)


def test_a_card_that_is_throttled_during_the_window_disturbs_it(cuda, monkeypatch):
    install_card(monkeypatch, processes=MINE, CurrentClocksEventReasons=[0, 0x40])
    assert (
        take_readings("cuda", pieces(cuda), 16, lambda watch: None).disturbed
        == "the GPU was throttled (hw thermal)"
    )


def test_a_throttle_that_comes_and_goes_between_two_rounds_disturbs_the_window(cuda, monkeypatch):
    install_card(monkeypatch, processes=MINE, CurrentClocksEventReasons=[0, 0, 0x40, 0])
    found = take_readings(
        "cuda", {"evaluation": cuda.uses(GIB)}, 16, lambda watch: [watch() for _ in range(4)]
    )
    assert found.disturbed == "the GPU was throttled (hw thermal)"


def test_a_host_that_lost_its_cores_disturbs_a_gpus_window(cuda, monkeypatch):
    install_card(monkeypatch, processes=MINE)
    accounts = iter(
        [CpuAccounting(0.0, 0.0, 0.0), CpuAccounting(0.0, 0.0, 0.0), CpuAccounting(10.0, 4.0, 0.0)]
    )
    monkeypatch.setattr(gpu_readings, "cpu_accounting", lambda: next(accounts))
    assert (
        "had this worker's cores for 40%"
        in take_readings("cuda", pieces(cuda), 16, lambda watch: None).disturbed
    )


def test_an_energy_counter_that_stands_still_is_not_a_reading(cuda, monkeypatch):
    install_card(monkeypatch, processes=MINE)
    assert (
        "joules per 1000 examples"
        in take_readings("cuda", pieces(cuda), 16, lambda watch: None).unavailable
    )


def test_a_card_that_falls_off_the_bus_is_reported_without_a_crash(cuda, monkeypatch):
    install_card(
        monkeypatch,
        processes=[MINE, LOST],
        TotalEnergyConsumption=LOST,
        CurrentClocksEventReasons=[0, LOST],
    )
    found = take_readings("cuda", pieces(cuda), 16, lambda watch: None)
    assert found.disturbed == "the GPU is lost"
    assert "joules per 1000 examples" in found.unavailable


def test_a_container_that_hides_processes_has_no_process_memory(cuda, monkeypatch):
    install_card(monkeypatch, processes={})
    found = take_readings("cuda", pieces(cuda), 16, lambda watch: None)
    assert (
        found.unavailable["process bytes, training"]
        == "the driver does not report this process's memory"
    )
    assert found.values["allocated bytes, training"] == 5 * GIB


def test_an_old_card_without_an_energy_counter_is_reported(cuda, monkeypatch):
    install_card(monkeypatch, processes=MINE, TotalEnergyConsumption=NOT_SUPPORTED)
    found = take_readings("cuda", pieces(cuda), 16, lambda watch: None)
    assert (
        found.unavailable["joules per 1000 examples"]
        == "the GPU has no energy counter, or is a slice of one"
    )


def test_without_a_driver_the_allocators_numbers_are_still_there(cuda, monkeypatch):
    from pytest_ftcompare.measure.nvml import Unavailable

    monkeypatch.setattr(gpu_readings, "open_gpu", lambda _: Unavailable("no NVIDIA driver"))
    found = take_readings("cuda", pieces(cuda), 16, lambda watch: None)
    assert found.values["allocated bytes, evaluation"] == 2 * GIB
    assert set(found.unavailable.values()) == {"no NVIDIA driver"}
    assert set(found.unavailable) == {
        "process bytes, training",
        "process bytes, evaluation",
        "joules per 1000 examples",
    }


def test_a_method_that_does_not_train_has_no_memory_or_energy_of_training(cuda, monkeypatch):
    install_card(monkeypatch, processes=MINE)
    found = take_readings("cuda", {"evaluation": cuda.uses(GIB)}, 0, lambda watch: None)
    assert not [
        name
        for name in (*found.values, *found.unavailable)
        if "training" in name or "joules" in name
    ]


def test_a_slice_is_opened_by_the_name_that_the_worker_was_given(cuda, monkeypatch):
    opened = []
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "MIG-90443af0")
    monkeypatch.setattr(
        gpu_readings, "open_gpu", lambda name: opened.append(name) or gpu_readings.Unavailable("x")
    )
    take_readings("cuda", {}, 0, lambda watch: None)
    assert opened == ["MIG-90443af0"]


def test_on_a_cpu_the_window_runs_and_only_its_core_is_looked_at(monkeypatch):
    accounts = iter([CpuAccounting(0.0, 0.0, 0.0), CpuAccounting(10.0, 5.0, 0.0)])
    monkeypatch.setattr(gpu_readings, "cpu_accounting", lambda: next(accounts))
    ran = []
    found = take_readings("cpu", {}, 16, lambda watch: ran.append(1))
    assert ran == [1]
    assert (found.values, found.unavailable) == ({}, {})
    assert found.disturbed == "other processes had this worker's cores for 50% of the time"

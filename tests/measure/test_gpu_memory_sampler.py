"""The memory sampler's thread ends with the work, and when the GPU is lost."""

import threading

import pytest
from fake_nvml import GIB, LOST, NOT_SUPPORTED, UUID, install_card

from pytest_ftcompare.measure import gpu_memory_sampler as module
from pytest_ftcompare.measure.gpu_memory_sampler import GpuMemorySampler
from pytest_ftcompare.measure.nvml import open_gpu

PID = 77
NEVER = 3600.0  # seconds between samples: only those at the start and the end are taken
GUARD = 300  # seconds after which a thread is taken to hang


@pytest.fixture(autouse=True)
def patient(monkeypatch):
    """Wait longer: on a busy machine, a thread may get no core for a while."""
    monkeypatch.setattr(module, "JOIN_TIMEOUT", GUARD)


def told(used):
    return {PID: used}


def running():
    return [one for one in threading.enumerate() if one.name == "gpu memory sampler"]


def test_the_peak_is_the_highest_sample_and_the_thread_ends_with_the_work(monkeypatch):
    reached = threading.Event()
    levels = iter([told(1 * GIB), told(5 * GIB), told(2 * GIB)])

    def reading():
        level = next(levels, None)
        if level is None:
            reached.set()
        return level or told(2 * GIB)

    install_card(monkeypatch, processes=reading)
    with GpuMemorySampler(open_gpu(UUID), PID, interval=0.001) as sampler:
        assert reached.wait(GUARD)
    assert sampler.peak == 5 * GIB
    assert sampler.samples >= 4
    assert sampler.failed == ""
    assert not running()


def test_the_shortest_work_has_a_sample_at_its_start_and_at_its_end(monkeypatch):
    install_card(monkeypatch, processes=[told(3 * GIB), told(1 * GIB)])
    with GpuMemorySampler(open_gpu(UUID), PID, interval=NEVER) as sampler:
        assert (sampler.samples, sampler.peak) == (1, 3 * GIB)
    assert (sampler.samples, sampler.peak) == (2, 3 * GIB)


def test_a_spike_between_two_samples_is_not_in_the_peak(monkeypatch):
    card = install_card(monkeypatch, processes=told(GIB))
    with GpuMemorySampler(open_gpu(UUID), PID, interval=NEVER) as sampler:
        card["processes"] = told(9 * GIB)
        card["processes"] = told(2 * GIB)
    assert sampler.peak == 2 * GIB


def test_a_process_that_comes_to_the_device_later_is_sampled_from_then_on(monkeypatch):
    card = install_card(monkeypatch, processes={})
    with GpuMemorySampler(open_gpu(UUID), PID, interval=NEVER) as sampler:
        card["processes"] = told(GIB)
    assert (sampler.samples, sampler.peak, sampler.failed) == (1, GIB, "")


def test_a_gpu_that_falls_off_ends_the_sampling_and_keeps_what_was_seen(monkeypatch):
    install_card(monkeypatch, processes=[told(4 * GIB), told(4 * GIB), LOST])
    with GpuMemorySampler(open_gpu(UUID), PID, interval=0.001) as sampler:
        sampler._thread.join(GUARD)
        assert not running()
    assert (sampler.peak, sampler.failed) == (4 * GIB, "the GPU is lost")


@pytest.mark.parametrize(
    "reading",
    [NOT_SUPPORTED, {4242: GIB}, {PID: 2**64 - 1}],
    ids=["WSL", "container", "virtual machine"],
)
def test_memory_that_is_never_reported_has_no_peak_and_a_reason(monkeypatch, reading):
    install_card(monkeypatch, processes=reading)
    with GpuMemorySampler(open_gpu(UUID), PID, interval=0.001) as sampler:
        pass
    assert (sampler.peak, sampler.samples) == (None, 0)
    assert sampler.failed == "the driver does not report this process's memory"
    assert not running()


def test_works_own_error_passes_through_and_the_thread_ends(monkeypatch):
    install_card(monkeypatch, processes=told(GIB))
    with pytest.raises(ZeroDivisionError), GpuMemorySampler(open_gpu(UUID), PID):
        raise ZeroDivisionError
    assert not running()


def test_a_driver_that_hangs_does_not_hang_the_run(monkeypatch):
    asked, answer = threading.Event(), threading.Event()

    def hang():
        if threading.current_thread().name == "gpu memory sampler":
            asked.set()
            answer.wait()
        return told(GIB)

    install_card(monkeypatch, processes=hang)
    monkeypatch.setattr(module, "JOIN_TIMEOUT", 0.05)
    try:
        with GpuMemorySampler(open_gpu(UUID), PID, interval=0.001) as sampler:
            assert asked.wait(GUARD)
        assert (sampler.peak, sampler.failed) == (GIB, "the driver does not answer")
    finally:
        answer.set()
        sampler._thread.join(GUARD)

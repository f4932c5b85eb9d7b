"""Readings of a GPU, and reasons for unavailable ones, on each kind of machine."""

import os
import sys

import pynvml
import pytest
from fake_nvml import (
    GIB,
    LOST,
    NO_PERMISSION,
    NOT_SUPPORTED,
    SLICE,
    UUID,
    Code,
    FakeNvml,
    h200,
    install,
    install_card,
)

from pytest_ftcompare.measure import nvml
from pytest_ftcompare.measure.nvml import Unavailable, count, open_gpu

PLAIN = (
    "sm_clock",
    "max_sm_clock",
    "memory_clock",
    "reasons",
    "power_limit",
    "default_power_limit",
    "temperature",
)
ALL = (*PLAIN, "ecc_errors", "performance_state", "processes", "others")


def test_a_healthy_card_answers_every_query(monkeypatch):
    install_card(monkeypatch, processes={os.getpid(): 3 * GIB}, FieldValues={74: 12, 75: 7})
    state = open_gpu(UUID).state()
    assert [getattr(state, name) for name in ALL] == [
        1980,
        1980,
        3201,
        (),
        700.0,
        700.0,
        41,
        0,
        0,
        1,
        (),
    ]
    assert (state.driver, state.lost, state.throttled_ns) == (
        "575.57.08",
        False,
        {"sw power cap": 12, "sw thermal": 7},
    )


def test_the_bit_mask_of_reasons_is_put_into_words(monkeypatch):
    install_card(monkeypatch, CurrentClocksEventReasons=0x1 | 0x4 | 0x20 | 0x80 | 1 << 40)
    assert open_gpu(UUID).state().reasons == (
        "idle",
        "sw power cap",
        "sw thermal",
        "hw power brake",
    )


@pytest.mark.parametrize("name", [UUID, f"GPU-{UUID}", "0"])
def test_a_gpu_is_opened_by_its_uuid_with_or_without_prefix_and_by_its_index(monkeypatch, name):
    install_card(monkeypatch, MemoryInfo=(1 * GIB, 2 * GIB))
    assert open_gpu(name).memory() == (1 * GIB, 2 * GIB)


@pytest.mark.parametrize("name", ["7", "GPU-no-such", "no-such"])
def test_a_gpu_that_the_driver_does_not_know_is_unavailable(monkeypatch, name):
    install(monkeypatch, FakeNvml())
    assert open_gpu(name) == Unavailable(f"the driver knows no GPU {name}")


def test_without_a_driver_nothing_is_read(monkeypatch):
    def refuse(name):
        raise OSError(f"{name}: cannot open shared object file")

    install(monkeypatch, None)
    monkeypatch.setattr(pynvml, "CDLL", refuse)  # as on a laptop, an AMD or an Apple machine
    assert open_gpu(UUID) == Unavailable("no NVIDIA driver")
    assert count() is None


def test_without_the_package_nothing_is_read(monkeypatch):
    monkeypatch.setitem(sys.modules, "pynvml", None)
    assert open_gpu(UUID) == Unavailable("nvidia-ml-py is not installed")
    assert count() is None


@pytest.mark.parametrize(
    ("code", "reason"),
    [
        (pynvml.NVML_ERROR_DRIVER_NOT_LOADED, "no NVIDIA driver"),
        (
            pynvml.NVML_ERROR_LIB_RM_VERSION_MISMATCH,
            "the NVIDIA driver was updated under its library: restart the machine",
        ),
        (pynvml.NVML_ERROR_NO_PERMISSION, "no permission to read the GPU"),
        (pynvml.NVML_ERROR_GPU_IS_LOST, "the GPU is lost"),
        (pynvml.NVML_ERROR_TIMEOUT, "NVML answers Timeout (error 10)"),
        (pynvml.NVML_ERROR_UNKNOWN, "NVML answers Unknown (error 999)"),
        (777, "NVML answers NVMLError (error 777)"),
    ],
)
def test_an_unavailable_gpu_has_a_reason(monkeypatch, code, reason):
    install(monkeypatch, FakeNvml(init=code))
    assert open_gpu(UUID) == Unavailable(reason)
    install_card(monkeypatch, open=Code(code))
    assert open_gpu(UUID) == Unavailable(reason)


@pytest.mark.parametrize("error", [NOT_SUPPORTED, NO_PERMISSION, Code(pynvml.NVML_ERROR_UNKNOWN)])
@pytest.mark.parametrize(
    ("question", "name"),
    [
        ("ClockInfo 1", "sm_clock"),
        ("MaxClockInfo 1", "max_sm_clock"),
        ("ClockInfo 2", "memory_clock"),
        ("PowerManagementLimit", "power_limit"),
        ("PowerManagementDefaultLimit", "default_power_limit"),
        ("Temperature 0", "temperature"),
        ("TotalEccErrors 1 0", "ecc_errors"),
        ("PerformanceState", "performance_state"),
        ("processes", "processes"),
    ],
)
def test_an_unavailable_reading_is_none_and_the_rest_is_read(monkeypatch, question, name, error):
    install_card(monkeypatch, **{"processes": {os.getpid(): GIB}, question: error})
    state = open_gpu(UUID).state()
    silent = {one for one in ALL if getattr(state, one) is None}
    assert silent == ({"processes", "others"} if name == "processes" else {name})
    assert not state.lost


def test_a_card_that_counts_no_slowdowns_has_none(monkeypatch):
    install_card(monkeypatch, FieldValues={74: 5})
    assert open_gpu(UUID).state().throttled_ns == {"sw power cap": 5}
    install_card(monkeypatch, FieldValues=NOT_SUPPORTED)
    assert open_gpu(UUID).state().throttled_ns == {}


def test_a_driver_before_535_has_reasons_and_processes_under_old_names(monkeypatch):
    lacks = {"nvmlDeviceGetCurrentClocksEventReasons", "nvmlDeviceGetComputeRunningProcesses_v3"}
    card = h200(CurrentClocksThrottleReasons=0x40, processes={os.getpid(): GIB})
    install(monkeypatch, FakeNvml({f"GPU-{UUID}": card}, lacks=frozenset(lacks)))
    gpu = open_gpu(UUID)
    assert gpu.state().reasons == ("hw thermal",)
    assert gpu.used_by(os.getpid()) == GIB


def test_a_library_with_few_functions_gives_few_readings(monkeypatch):
    known = {"nvmlInitWithFlags", "nvmlDeviceGetHandleByUUID"}
    every = {name for name in dir(pynvml) if name.startswith("nvml")} | {
        f"nvmlDeviceGetComputeRunningProcesses_v{number}" for number in (2, 3)
    }
    install(monkeypatch, FakeNvml(lacks=frozenset(every - known)))
    gpu = open_gpu(UUID)
    assert [getattr(gpu.state(), name) for name in ALL] == [None] * len(ALL)
    assert (gpu.memory(), gpu.energy_mj(), gpu.used_by(1)) == (None, None, None)


def test_a_package_without_a_question_leaves_its_answer_out(monkeypatch):
    install_card(monkeypatch, CurrentClocksThrottleReasons=0x8)
    monkeypatch.delattr(pynvml, "nvmlDeviceGetCurrentClocksEventReasons")
    assert open_gpu(UUID).state().reasons == ("hw slowdown",)


def test_a_gpu_that_falls_off_is_lost_and_reports_nothing_more(monkeypatch):
    card = install_card(monkeypatch)
    gpu = open_gpu(UUID)
    assert not gpu.state().lost
    card.update(dict.fromkeys(card, LOST))
    state = gpu.state()
    assert state.lost
    assert [getattr(state, name) for name in ALL] == [None] * len(ALL)


def test_a_gpu_once_lost_stays_lost_whatever_is_answered_after(monkeypatch):
    install_card(monkeypatch, **{"ClockInfo 1": [LOST, 1980], "PerformanceState": NOT_SUPPORTED})
    gpu = open_gpu(UUID)
    assert gpu.state().lost
    assert gpu.state().lost


def test_energy_is_counted_in_millijoules_and_older_cards_have_no_counter(monkeypatch):
    install_card(monkeypatch, TotalEnergyConsumption=[5000, 7500])
    gpu = open_gpu(UUID)
    assert (gpu.energy_mj(), gpu.energy_mj()) == (5000, 7500)
    install_card(monkeypatch, TotalEnergyConsumption=NOT_SUPPORTED)
    assert open_gpu(UUID).energy_mj() is None


@pytest.mark.parametrize("used", [0, 2**64 - 1], ids=["zero", "not available"])
def test_a_process_without_reported_memory_uses_an_unknown_amount(monkeypatch, used):
    install_card(monkeypatch, processes={os.getpid(): used})  # a container, Windows' drivers, WSL
    gpu = open_gpu(UUID)
    assert gpu.used_by(os.getpid()) is None
    assert gpu.state().others == ()


def test_another_process_is_found_and_its_memory_is_not_counted(monkeypatch):
    install_card(monkeypatch, processes={4242: 9 * GIB, os.getpid(): 3 * GIB})
    gpu = open_gpu(UUID)
    assert gpu.used_by(os.getpid()) == 3 * GIB
    assert (gpu.state().processes, gpu.state().others) == (2, (4242,))


def test_a_container_with_the_hosts_process_ids_hides_other_processes(monkeypatch):
    install_card(monkeypatch, processes={2**21: 9 * GIB})
    gpu = open_gpu(UUID)
    assert gpu.used_by(os.getpid()) is None
    assert (gpu.state().processes, gpu.state().others) == (1, None)


def test_sibling_workers_are_not_other_processes(monkeypatch):
    install_card(monkeypatch, processes={4242: GIB, 4243: GIB, os.getpid(): GIB})
    monkeypatch.setattr(nvml, "is_of_session", lambda pid, _: pid in (os.getpid(), 4242))
    assert open_gpu(UUID).state().others == (4243,)


def test_memory_of_other_processes_is_known_if_this_session_is_listed(monkeypatch):
    install_card(monkeypatch, processes={4243: GIB, os.getpid(): 2 * GIB})
    assert open_gpu(UUID).used_by_others() == GIB
    # The ids of another namespace: this process and its siblings cannot be told apart.
    install_card(monkeypatch, processes={2**21: GIB, 2**21 + 1: 2 * GIB})
    assert open_gpu(UUID).used_by_others() == 0


def split(**changes):
    """A card of two slices: a slice tells its memory and processes, its card the rest."""
    own = {"MemoryInfo": (1 * GIB, 18 * GIB), "processes": {os.getpid(): GIB}}
    return {
        f"GPU-{UUID}": h200(MigMode=(1, 1), processes=NO_PERMISSION),
        f"MIG-{SLICE}": own | changes,
    }


@pytest.mark.parametrize("name", [SLICE, f"MIG-{SLICE}"])
def test_a_slice_has_its_own_memory_and_processes_and_its_cards_clocks(monkeypatch, name):
    lacks = frozenset({"nvmlDeviceGetComputeRunningProcesses_v2"})
    install(monkeypatch, FakeNvml(split(), slice_of={f"MIG-{SLICE}": f"GPU-{UUID}"}, lacks=lacks))
    gpu = open_gpu(name)
    state = gpu.state()
    assert (gpu.memory(), gpu.used_by(os.getpid())) == ((1 * GIB, 18 * GIB), GIB)
    assert (state.sm_clock, state.power_limit, state.others) == (1980, 700.0, ())


def test_a_slice_has_no_energy_for_its_cards_counter_adds_up_all_slices(monkeypatch):
    install(
        monkeypatch,
        FakeNvml(split(TotalEnergyConsumption=5), slice_of={f"MIG-{SLICE}": f"GPU-{UUID}"}),
    )
    assert open_gpu(SLICE).energy_mj() is None


def test_a_slice_with_an_unreachable_card_still_reports_its_memory(monkeypatch):
    install(monkeypatch, FakeNvml(split()))
    gpu = open_gpu(SLICE)
    assert gpu.memory() == (1 * GIB, 18 * GIB)
    assert [getattr(gpu.state(), name) for name in PLAIN] == [None] * len(PLAIN)


def test_a_split_card_without_its_slice_is_unavailable(monkeypatch):
    install(monkeypatch, FakeNvml(split()))
    opened = open_gpu(UUID)
    assert isinstance(opened, Unavailable)
    assert opened.reason.startswith(f"MIG: GPU-{UUID} is split")


def test_the_drivers_version_is_part_of_an_environment_and_its_lack_too(monkeypatch):
    install_card(monkeypatch)
    assert nvml.driver() == "575.57.08"
    install(monkeypatch, FakeNvml(init=pynvml.NVML_ERROR_LIBRARY_NOT_FOUND))
    assert nvml.driver() == "no NVIDIA driver"

"""Which of the caller's GPUs a worker takes, and how many workers are suggested."""

import sys

import pytest
from fake_nvml import GIB, LOST, NOT_SUPPORTED, SLICE, UUID, FakeNvml, h200, install

from pytest_ftcompare.measure.gpu_assignment import (
    bind_gpu,
    count_gpus,
    free_gpu_memory,
    gpu_for_worker,
    suggested_workers,
    visible_gpus,
)

NAME = "CUDA_VISIBLE_DEVICES"


def machine(monkeypatch, count):
    """Replace the number of GPUs."""
    return install(monkeypatch, FakeNvml({f"GPU-{number}": h200() for number in range(count)}))


@pytest.mark.parametrize(
    ("value", "devices"),
    [
        ("0,1,2,3", ["0", "1", "2", "3"]),
        ("2", ["2"]),
        ("3,1", ["3", "1"]),
        (" 1 , +2x", ["1", "2"]),  # CUDA reads the number at the start
        ("", []),
        ("-1", []),
        ("none", []),
        ("NoDevFiles", []),
        ("0,-1,1", ["0"]),
        ("1,4,2", ["1"]),
        ("4", []),
        ("0,,1", ["0"]),
        ("0,1,0", []),
        ("01,1", []),
        ("GPU-2f1c,GPU-90aa", ["GPU-2f1c", "GPU-90aa"]),
        ("GPU-2f1c,1", ["GPU-2f1c"]),
        ("1,GPU-2f1c", ["1"]),
        ("GPU-2f1c,GPU-2f1c", []),
        (f"MIG-{SLICE},MIG-7", [f"MIG-{SLICE}", "MIG-7"]),
        (f"MIG-{SLICE},GPU-2f1c", [f"MIG-{SLICE}"]),
        (f"MIG-GPU-{UUID}/3/0", [f"MIG-GPU-{UUID}/3/0"]),
    ],
)
def test_the_callers_devices_are_read_as_cuda_reads_them(value, devices):
    assert visible_gpus({NAME: value}, lambda: 4) == devices


def test_unset_means_all_gpus_of_the_machine():
    assert visible_gpus({}, lambda: 3) == ["0", "1", "2"]


@pytest.mark.parametrize(
    "environ", [{}, {NAME: "0,1"}, {NAME: f"GPU-{UUID}"}], ids=["unset", "indices", "uuid"]
)
def test_a_machine_without_gpus_has_none_whatever_is_named(environ):
    assert visible_gpus(environ, lambda: 0) == []


def test_workers_take_turns_and_share_when_they_are_more_than_gpus():
    assert [gpu_for_worker(worker, ["2", "5", "7"]) for worker in range(5)] == [
        "2",
        "5",
        "7",
        "2",
        "5",
    ]


def test_a_worker_sees_only_its_own_of_the_callers_gpus(monkeypatch):
    machine(monkeypatch, 8)
    environ = {NAME: "6,2", "HOME": "/root"}
    assert bind_gpu(1, environ) == "2"
    assert environ == {NAME: "2", "HOME": "/root"}


def test_a_worker_takes_its_own_of_all_gpus_without_the_callers_choice(monkeypatch):
    machine(monkeypatch, 4)
    environ = {}
    assert bind_gpu(6, environ) == "2"
    assert environ == {NAME: "2"}


@pytest.mark.parametrize("environ", [{}, {NAME: "0,1"}, {NAME: ""}])
def test_nothing_is_set_on_a_machine_without_nvidia(monkeypatch, tmp_path, environ):
    monkeypatch.setattr(count_gpus, "__defaults__", (tmp_path,))
    monkeypatch.setitem(sys.modules, "pynvml", None)
    before = dict(environ)
    assert bind_gpu(0, environ) is None
    assert environ == before


def test_nothing_is_set_where_the_caller_forbids_all_gpus(monkeypatch):
    machine(monkeypatch, 2)
    environ = {NAME: "-1"}
    assert bind_gpu(0, environ) is None
    assert environ == {NAME: "-1"}


def test_gpus_are_counted_by_the_driver(monkeypatch, tmp_path):
    machine(monkeypatch, 2)
    (tmp_path / "nvidia0").touch()
    assert count_gpus(tmp_path) == 2


def test_without_nvml_the_device_files_are_counted(monkeypatch, tmp_path):
    monkeypatch.setitem(sys.modules, "pynvml", None)
    for name in ("nvidia0", "nvidia1", "nvidia10", "nvidiactl", "nvidia-uvm", "sda"):
        (tmp_path / name).touch()
    assert count_gpus(tmp_path) == 3


def test_a_lost_gpu_is_left_to_no_worker_while_another_is_there(monkeypatch):
    cards = {"GPU-a": h200(MemoryInfo=LOST), "GPU-b": h200()}
    install(monkeypatch, FakeNvml(cards))
    environ = {}
    assert bind_gpu(0, environ) == "GPU-b"
    environ = {NAME: "0"}
    assert bind_gpu(0, environ) == "0"


def test_free_memory_is_read_by_index_or_uuid(monkeypatch):
    cards = {
        "GPU-a": h200(MemoryInfo=(10 * GIB, 80 * GIB)),
        "GPU-b": h200(MemoryInfo=NOT_SUPPORTED),
        f"MIG-{SLICE}": {"MemoryInfo": (2 * GIB, 18 * GIB)},
    }
    install(monkeypatch, FakeNvml(cards))
    assert free_gpu_memory(["0", "GPU-b", "GPU-gone", f"MIG-{SLICE}"]) == [70 * GIB, 16 * GIB]


@pytest.mark.parametrize(
    ("given", "workers"),
    [
        ((8, 64, [], 4, 1), 8),  # the cores
        ((8, 14, [], 4, 1), 3),  # the host's memory
        ((64, 999, [80], 4, 20), 4),  # one GPU
        ((64, 999, [80, 80], 4, 20), 8),  # two alike
        (
            (64, 999, [80, 40], 4, 20),
            5,
        ),  # workers 1 and 3 fill the second, a sixth would overflow it
        (
            (64, 999, [40, 80], 4, 20),
            4,
        ),  # workers 0 and 2 fill the first, a fifth would overflow it
        ((64, 999, [80, 10], 4, 20), 1),  # worker 1 would not fit
        ((64, 999, [10, 80], 4, 20), 1),  # never none
        ((0, 0, [], 4, 1), 1),
    ],
)
def test_as_many_workers_are_suggested_as_cores_and_memory_allow(given, workers):
    assert suggested_workers(*given) == workers


@pytest.mark.parametrize("gpus", [[80, 40], [40, 80], [30, 70, 50], [55]])
def test_the_suggested_workers_fit_where_they_are_put_and_one_more_would_not(gpus):
    def fits(workers):
        return all(
            len(range(index, workers, len(gpus))) * 20 <= free for index, free in enumerate(gpus)
        )

    workers = suggested_workers(64, 999, gpus, 1, 20)
    assert fits(workers)
    assert not fits(workers + 1)

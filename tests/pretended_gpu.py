"""Pretend that this machine has GPUs: torch, the package and NVML all see them.

`environment(scenario)` gives the variables with which a command sees the GPUs, its workers and
fresh processes too: sitecustomize.py calls `install` in each. A test can install them in its own
process, with monkeypatch. Tensors are those of tests/pretended_device.py, and NVML is
tests/measure/fake_nvml.py. `SCENARIOS` names what can be wrong with the GPUs. Torch's GPU is
"pretend" instead of "cuda", and the driver's UUIDs name the GPUs, as on a real machine.
"""

from __future__ import annotations

import itertools
import os
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from pynvml import NVML_ERROR_LIBRARY_NOT_FOUND

from pytest_ftcompare.measure.host import SESSION_VARIABLE
from tests.measure.fake_nvml import GIB, LOST, SLICE, FakeNvml, h200

ROOT = Path(__file__).parents[1]
SITE = ROOT / "tests" / "pretended_gpu_site"
SCENARIO_VARIABLE = "FTCOMPARE_PRETENDED_GPU"
# Bytes of a process's CUDA context in NVML's readings; chosen.
CONTEXT_BYTES = GIB // 4


@dataclass(frozen=True)
class Scenario:
    """Pretended GPUs: their number, their bytes, what NVML reads, and when torch loses one.

    `readings` changes the readings of every card (see `fake_nvml.h200`). `during` changes them
    while a test runs whose name holds a key: a list has a value for each state of the card that is
    read, "others" lists other processes' ids. `nvml` changes the fake library. The allocator has
    `allocatable` bytes, by default all. In the test whose name holds `fails_in`, the GPU raises
    `error` after `fail_after` operations, and then at every operation of the process; `lost` says
    whether NVML reports it. `torch_sees` is false if torch, built for `built_for`, sees no GPU.
    """

    cards: int = 1
    memory: int = 140 * GIB
    readings: dict[str, Any] = field(default_factory=dict)
    during: dict[str, dict[str, list[Any]]] = field(default_factory=dict)
    nvml: dict[str, Any] = field(default_factory=dict)
    allocatable: int | None = None
    fails_in: str = ""
    fail_after: int = 2000
    error: str = "CUDA error: unspecified launch failure"
    lost: bool = False
    torch_sees: bool = True
    built_for: str | None = "13.0"


# The clock event reason "hw thermal" (nvml.h).
HW_THERMAL = 0x40
SCENARIOS: dict[str, Callable[[], Scenario]] = {
    "healthy": Scenario,
    "two cards": lambda: Scenario(cards=2),
    # Each disturbs the first window of a case.
    "another process": lambda: Scenario(during={"icl": {"others": [(), (4242,), ()]}}),
    "counted ecc": lambda: Scenario(during={"icl": {"TotalEccErrors 1 0": [0, 2]}}),
    "hot": lambda: Scenario(during={"icl": {"CurrentClocksEventReasons": [0, HW_THERMAL, 0]}}),
    "power limit": lambda: Scenario(during={"icl": {"PowerManagementLimit": [700_000, 500_000]}}),
    "no nvml": lambda: Scenario(nvml={"init": NVML_ERROR_LIBRARY_NOT_FOUND}),
    "split": lambda: Scenario(readings={"MigMode": (1, 1)}),
    "slice": lambda: Scenario(nvml={"slice_of": {f"MIG-{SLICE}": f"GPU-{uuid(0)}"}}),
    "lost": lambda: Scenario(fails_in="bitfit", lost=True),
    "illegal access": lambda: Scenario(
        fails_in="bitfit", error="CUDA error: an illegal memory access was encountered\nadvice"
    ),
    # Raised by torch: github.com/vllm-project/vllm/issues/5222.
    "raised ecc": lambda: Scenario(
        fails_in="bitfit", error="CUDA error: uncorrectable ECC error encountered"
    ),
    "full": lambda: Scenario(allocatable=2**20),
    # Room for CUDA's context and about 1 MiB of tensors.
    "small": lambda: Scenario(memory=int(0.5e9) + 2**20),
    "old driver": lambda: Scenario(torch_sees=False, nvml={"cuda": 12080}),
}


def environment(scenario: str = "healthy", **variables: str) -> dict[str, str]:
    """Return the environment of a command that sees the scenario's GPUs."""
    path = os.pathsep.join([str(SITE), str(ROOT)])
    return {**os.environ, "PYTHONPATH": path, SCENARIO_VARIABLE: scenario, **variables}


def uuid(card: int) -> str:
    """Return the UUID of a card, without its prefix."""
    return f"2f1c5a7e-0000-4000-8000-{card:012x}"


class _Card:
    """The readings of one card; `process_bytes` is None once its GPU is lost."""

    def __init__(
        self, number: int, scenario: Scenario, process_bytes: Callable[[], int | None]
    ) -> None:
        self._number, self._scenario, self._process_bytes = number, scenario, process_bytes
        self._states: Counter[str] = Counter()

    def readings(self) -> dict[str, Any]:
        usual = h200(
            MemoryInfo=self._memory,
            processes=self._processes,
            TotalEnergyConsumption=_energy,
            PerformanceState=self._end_of_state,
            **self._scenario.readings,
        )
        changed = {question for changes in self._scenario.during.values() for question in changes}
        return usual | {
            question: partial(self._now, question, usual[question])
            for question in changed - {"others"}
        }

    def _now(self, question: str, usual: Any) -> Any:
        """Return the value for the running test and the state that is being read."""
        for name, changes in self._scenario.during.items():
            if question in changes and name in _running_test():
                values = changes[question]
                return values[min(self._states[name], len(values) - 1)]
        return usual

    def _end_of_state(self) -> int:
        """Count a state of the card; of what `during` changes, nothing is read after this."""
        for name in self._scenario.during:
            self._states[name] += name in _running_test()
        return 0

    def _processes(self) -> dict[int, int]:
        visible = os.environ.get("CUDA_VISIBLE_DEVICES", "0") in (str(self._number), f"MIG-{SLICE}")
        own = {os.getpid(): self._process_bytes() or 0} if visible else {}
        if own and SESSION_VARIABLE in os.environ:
            # The worker that started this process has the card, too.
            own[os.getppid()] = CONTEXT_BYTES
        return own | dict.fromkeys(self._now("others", ()), GIB)

    def _memory(self) -> Any:
        lost = self._scenario.lost and self._process_bytes() is None
        return LOST if lost else (GIB, self._scenario.memory)


def _running_test() -> str:
    return os.environ.get("PYTEST_CURRENT_TEST", "")


def _nvml(scenario: Scenario, process_bytes: Callable[[], int | None]) -> FakeNvml:
    """Return NVIDIA's library; a card lists this process if it is visible to it."""
    cards = {
        f"GPU-{uuid(number)}": _Card(number, scenario, process_bytes).readings()
        for number in range(scenario.cards)
    }
    library = FakeNvml(cards)
    for name, value in scenario.nvml.items():
        setattr(library, name, value)
    for name, card in library.slice_of.items():
        # Of a slice, NVML gives memory and processes.
        library.cards[name] = {
            question: library.cards[card][question] for question in ("MemoryInfo", "processes")
        }
        library.cards[card]["MigMode"] = (1, 1)
    return library


# Millijoules of the energy counter at its readings.
_ENERGY = itertools.count(1_000_000, 100_000)


def _energy() -> int:
    """Return the next reading of an energy counter that moves with each."""
    return next(_ENERGY)


def _shorten_windows(put: Callable[..., None]) -> None:
    """Give windows few rounds, small yardsticks and a short reading of energy: they are no test."""
    from pytest_ftcompare.measure import gpu_readings, timer, yardstick

    timer.ROUNDS = timer.WARM_UP_CALLS = 2
    sizes = {"ROWS": 2, "LENGTH": 2, "WIDTH": 32, "SMALL_OPERATIONS": 2, "TRAFFIC": 2**16}
    for name, size in sizes.items():
        put(yardstick, name, size)
    put(gpu_readings, "ENERGY_SECONDS", 0.05)


def install(scenario: Scenario | None = None, put: Callable[..., None] = setattr) -> Any:
    """Install a scenario's GPUs, by default the environment's; return the device, to be entered.

    `put` replaces an attribute: for the rest of the process, or monkeypatch's for a test.
    """
    import pynvml
    import torch

    from pytest_ftcompare.measure import gpu_assignment
    from tests import pretended_device

    gpus = scenario or SCENARIOS[os.environ[SCENARIO_VARIABLE]]()

    def properties(device: object = None) -> SimpleNamespace:
        # A worker is bound to its GPU after this call.
        visible = os.environ.get("CUDA_VISIBLE_DEVICES", "0").split(",")[0]
        number = int(visible) if visible.isdigit() else 0
        return SimpleNamespace(uuid=uuid(number), total_memory=gpus.memory)

    class Device(pretended_device.PretendedDevice):
        """The scenario's device, which is lost some operations after the start of a test."""

        def count_operation(self) -> None:
            if self.fail_after is None and gpus.fails_in and gpus.fails_in in _running_test():
                self.fail_after = self.operations + gpus.fail_after
            super().count_operation()

    device = Device(error=gpus.error)

    def process_bytes() -> int | None:
        lost = device.fail_after is not None and device.operations > device.fail_after
        return None if lost else CONTEXT_BYTES + pretended_device.MEMORY.allocated

    module = torch.get_device_module(pretended_device.DEVICE)
    put(pretended_device.MEMORY, "capacity", gpus.allocatable or gpus.memory)
    put(module, "get_device_properties", properties)
    put(module, "is_available", lambda: gpus.torch_sees)
    put(torch.version, "cuda", gpus.built_for)
    put(gpu_assignment, "GPU_TYPE", pretended_device.NAME)
    put(pynvml, "nvmlLib", _nvml(gpus, process_bytes))
    put(pynvml, "_nvmlGetFunctionPointer_cache", {})
    _shorten_windows(put)
    return device

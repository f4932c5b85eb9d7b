"""Pretend that this machine has GPUs: torch, the package and NVML all see them.

`environment(scenario)` gives the variables with which a command sees the GPUs, its workers and
fresh processes too: sitecustomize.py calls `install` in each. Tensors are those of
tests/pretended_device.py, and NVML is tests/measure/fake_nvml.py. `SCENARIOS` names what can be
wrong with the GPUs. Torch's GPU is "pretend" instead of "cuda", and the driver's UUIDs name the
GPUs, as on a real machine.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from tests.measure.fake_nvml import GIB

ROOT = Path(__file__).parents[1]
SITE = ROOT / "tests" / "pretended_gpu_site"
SCENARIO_VARIABLE = "FTCOMPARE_PRETENDED_GPU"
# Bytes of a process's CUDA context in NVML's readings; chosen.
CONTEXT_BYTES = GIB // 4


@dataclass(frozen=True)
class Scenario:
    """Pretended GPUs: their number, their bytes, what NVML reads, and when torch loses one.

    `readings` changes the readings of every card (see `fake_nvml.h200`). `nvml` changes the fake
    library. `fail_after` operations, a process's GPU is lost.
    """

    cards: int = 1
    memory: int = 140 * GIB
    readings: dict[str, Any] = field(default_factory=dict)
    nvml: dict[str, Any] = field(default_factory=dict)
    fail_after: int | None = None


SCENARIOS: dict[str, Callable[[], Scenario]] = {
    "healthy": Scenario,
    "two cards": lambda: Scenario(cards=2),
}


def environment(scenario: str = "healthy", **variables: str) -> dict[str, str]:
    """Return the environment of a command that sees the scenario's GPUs."""
    path = os.pathsep.join([str(SITE), str(ROOT)])
    return {**os.environ, "PYTHONPATH": path, SCENARIO_VARIABLE: scenario, **variables}


def uuid(card: int) -> str:
    """Return the UUID of a card, without its prefix."""
    return f"2f1c5a7e-0000-4000-8000-{card:012x}"


def _install_nvml(scenario: Scenario, process_bytes: Callable[[], int]) -> None:
    """Replace NVIDIA's library in pynvml; each card lists this process if it is visible to it."""
    import pynvml

    from tests.measure.fake_nvml import FakeNvml, h200

    def card(number: int) -> dict[str, Any]:
        def processes() -> dict[int, int]:
            visible = os.environ.get("CUDA_VISIBLE_DEVICES", "0") == str(number)
            return {os.getpid(): process_bytes()} if visible else {}

        memory = (GIB, scenario.memory)
        return h200(
            **{"MemoryInfo": memory, "processes": processes, **_energy(), **scenario.readings}
        )

    library = FakeNvml({f"GPU-{uuid(number)}": card(number) for number in range(scenario.cards)})
    for name, value in scenario.nvml.items():
        setattr(library, name, value)
    pynvml.nvmlLib = library
    pynvml._nvmlGetFunctionPointer_cache = {}


def _energy() -> dict[str, Any]:
    """Return an energy counter that grows by 300 W."""
    return {"TotalEnergyConsumption": lambda: int(300_000 * time.monotonic())}


def install() -> None:
    """Install the GPUs of the scenario in the environment, for the rest of this process."""
    import torch

    from pytest_ftcompare.measure import gpu_assignment
    from tests import pretended_device

    scenario = SCENARIOS[os.environ[SCENARIO_VARIABLE]]()

    def properties(device: object = None) -> SimpleNamespace:
        # A worker is bound to its GPU after this call.
        visible = int(os.environ.get("CUDA_VISIBLE_DEVICES", "0").split(",")[0])
        return SimpleNamespace(uuid=uuid(visible), total_memory=scenario.memory)

    pretended_device.MEMORY.capacity = scenario.memory
    torch.get_device_module(pretended_device.DEVICE).get_device_properties = properties
    gpu_assignment.GPU_TYPE = pretended_device.NAME
    _install_nvml(scenario, lambda: CONTEXT_BYTES + pretended_device.MEMORY.allocated)
    pretended_device.PretendedDevice(scenario.fail_after).__enter__()

"""A fake of NVIDIA's C library for the real pynvml: it replays readings and NVML's error codes.

A reading is a value, `Code(error)`, a function that returns one, or a list that is replayed and
ends with its last value.
"""

from __future__ import annotations

import ctypes
from dataclasses import dataclass, field
from typing import Any

import pynvml

GIB = 2**30
UUID = "2f1c5a7e-0000-4000-8000-00000000beef"
SLICE = "90443af0-2fe6-57fb-86fe-54186d5a6581"


@dataclass(frozen=True)
class Code:
    """One of nvml.h's return codes."""

    value: int


LOST = Code(pynvml.NVML_ERROR_GPU_IS_LOST)
NO_PERMISSION = Code(pynvml.NVML_ERROR_NO_PERMISSION)
NOT_SUPPORTED = Code(pynvml.NVML_ERROR_NOT_SUPPORTED)


def h200(**changes):
    """Return the readings of a healthy H200 at work, by query without "nvmlDeviceGet"."""
    return {
        "ClockInfo 1": 1980,
        "MaxClockInfo 1": 1980,
        "ClockInfo 2": 3201,
        "CurrentClocksEventReasons": 0,
        "CurrentClocksThrottleReasons": 0,
        "PowerManagementLimit": 700_000,
        "PowerManagementDefaultLimit": 700_000,
        "Temperature 0": 41,
        "TotalEccErrors 1 0": 0,
        "PerformanceState": 0,
        "TotalEnergyConsumption": 1_000_000,
        "MigMode": (0, 0),
        "MemoryInfo": (8 * GIB, 140 * GIB),
        "processes": {},
        "FieldValues": {},
    } | changes


@dataclass
class FakeNvml:
    """Cards and slices by UUID, each a dict of readings.

    `lacks` names the functions that this driver's library does not export.
    """

    cards: dict[str, dict[str, Any]] = field(default_factory=lambda: {f"GPU-{UUID}": h200()})
    slice_of: dict[str, str] = field(default_factory=dict)  # UUID of a slice -> its card's
    init: int = pynvml.NVML_SUCCESS
    cuda: int = 13000  # the newest CUDA that the driver supports
    lacks: frozenset[str] = frozenset()

    def __getattr__(self, name):
        if not name.startswith("nvml") or name in self.lacks:
            raise AttributeError(name)
        special = {
            "nvmlInitWithFlags": lambda flags: self.init,
            "nvmlSystemGetDriverVersion": self._driver,
            "nvmlSystemGetCudaDriverVersion_v2": self._cuda,
            "nvmlDeviceGetCount_v2": self._count,
            "nvmlDeviceGetHandleByIndex_v2": lambda index, out: self._handle(index.value, out),
            "nvmlDeviceGetHandleByUUID": self._by_uuid,
            "nvmlDeviceGetDeviceHandleFromMigDeviceHandle": self._parent,
            "nvmlDeviceGetComputeRunningProcesses_v2": self._processes,
            "nvmlDeviceGetComputeRunningProcesses_v3": self._processes,
            "nvmlDeviceGetFieldValues": self._fields,
            "nvmlDeviceGetMemoryInfo": self._memory,
            "nvmlDeviceGetMigMode": self._mig,
            "nvmlDeviceGetUUID": self._uuid,
        }
        return special.get(name) or (
            lambda handle, *rest: self._scalar(name.removeprefix("nvmlDeviceGet"), handle, *rest)
        )

    def _reading(self, handle, question):
        """(return code, value) of the card behind a handle."""
        number = ctypes.cast(handle, ctypes.c_void_p).value
        card = list(self.cards.values())[number - 1]
        found = card.get(question, NOT_SUPPORTED)
        if isinstance(found, list):
            found = found.pop(0) if len(found) > 1 else found[0]
        if callable(found):
            found = found()
        return (found.value, None) if isinstance(found, Code) else (pynvml.NVML_SUCCESS, found)

    def _handle(self, index, out):
        if not 0 <= index < len(self.cards):
            return pynvml.NVML_ERROR_INVALID_ARGUMENT
        code, _ = (
            self._reading(index + 1, "open")
            if "open" in list(self.cards.values())[index]
            else (0, None)
        )
        ctypes.cast(out, ctypes.POINTER(ctypes.c_void_p))[0] = index + 1
        return code

    def _by_uuid(self, uuid, out):
        names = list(self.cards)
        name = uuid.value.decode()
        return (
            self._handle(names.index(name), out) if name in names else pynvml.NVML_ERROR_NOT_FOUND
        )

    def _uuid(self, handle, buffer, length):
        name = list(self.cards)[ctypes.cast(handle, ctypes.c_void_p).value - 1]
        buffer.value = name.encode()
        return pynvml.NVML_SUCCESS

    def _parent(self, handle, out):
        name = list(self.cards)[ctypes.cast(handle, ctypes.c_void_p).value - 1]
        if name not in self.slice_of:
            return pynvml.NVML_ERROR_NO_PERMISSION
        return self._handle(list(self.cards).index(self.slice_of[name]), out)

    def _driver(self, buffer, length):
        buffer.value = b"575.57.08"
        return pynvml.NVML_SUCCESS

    def _cuda(self, out):
        out._obj.value = self.cuda
        return pynvml.NVML_SUCCESS

    def _count(self, out):
        out._obj.value = len([one for one in self.cards if one.startswith("GPU-")])
        return pynvml.NVML_SUCCESS

    def _scalar(self, question, handle, *rest):
        *asked, out = rest
        code, value = self._reading(
            handle, " ".join([question, *(str(one.value) for one in asked)])
        )
        out._obj.value = value or 0
        return code

    def _processes(self, handle, count, array):
        """Without an array, return how many there are; a pid's bytes may be -1: unavailable."""
        if array is None:
            code, self._running = self._reading(handle, "processes")
            count._obj.value = len(self._running or {})
            return pynvml.NVML_ERROR_INSUFFICIENT_SIZE if self._running else code
        for place, (pid, used) in enumerate(self._running.items()):
            array[place].pid, array[place].usedGpuMemory = pid, used
        count._obj.value = len(self._running)
        return pynvml.NVML_SUCCESS

    def _fields(self, handle, count, values):
        code, known = self._reading(handle, "FieldValues")
        for one in values._obj:
            one.nvmlReturn = (
                pynvml.NVML_SUCCESS
                if one.fieldId in (known or {})
                else pynvml.NVML_ERROR_NOT_SUPPORTED
            )
            one.value.ullVal = (known or {}).get(one.fieldId, 2**63)
        return code

    def _memory(self, handle, out):
        code, value = self._reading(handle, "MemoryInfo")
        out._obj.used, out._obj.total = value or (0, 0)
        return code

    def _mig(self, handle, current, pending):
        code, value = self._reading(handle, "MigMode")
        current._obj.value, pending._obj.value = value or (0, 0)
        return code


def install(monkeypatch, fake):
    """Replace the library that pynvml loaded by the fake."""
    monkeypatch.setattr(pynvml, "nvmlLib", fake)
    monkeypatch.setattr(pynvml, "_nvmlGetFunctionPointer_cache", {})
    monkeypatch.delenv("PYTEST_XDIST_WORKER", raising=False)
    return fake


def install_card(monkeypatch, **changes):
    """Install a healthy H200 with changes; return its readings, which a test may change."""
    fake = install(monkeypatch, FakeNvml({f"GPU-{UUID}": h200(**changes)}))
    return fake.cards[f"GPU-{UUID}"]

"""Read an NVIDIA GPU's state through NVML; the only file that imports pynvml.

Nothing here raises because a machine lacks something. Without the package, the driver or the GPU,
functions return an `Unavailable` with its reason. A value that the card, the container or a MIG
slice does not give is None. NVML ignores CUDA_VISIBLE_DEVICES, so a GPU is opened by its UUID.
"""

from __future__ import annotations

import os
import time
from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

from pytest_ftcompare.measure.gpu_state import GpuState, disturbed, joules, reason_words
from pytest_ftcompare.measure.host import is_of_session

__all__ = ["Gpu", "GpuState", "Unavailable", "count", "disturbed", "joules", "open_gpu"]


LOST, NO_DRIVER = "the GPU is lost", "no NVIDIA driver"


@dataclass(frozen=True)
class Unavailable:
    """A GPU that cannot be read; `reason` is a clause that states why."""

    reason: str


def _reason(nvml: Any, error: Any) -> str:
    reasons = {
        nvml.NVML_ERROR_LIBRARY_NOT_FOUND: NO_DRIVER,
        nvml.NVML_ERROR_DRIVER_NOT_LOADED: NO_DRIVER,
        nvml.NVML_ERROR_LIB_RM_VERSION_MISMATCH: (
            "the NVIDIA driver was updated under its library: restart the machine"
        ),
        nvml.NVML_ERROR_NO_PERMISSION: "no permission to read the GPU",
        nvml.NVML_ERROR_GPU_IS_LOST: LOST,
    }
    name = type(error).__name__.removeprefix("NVMLError_")
    return reasons.get(error.value, f"NVML answers {name} (error {error.value})")


def _start() -> Any:
    """Import pynvml and start NVML, which may be repeated; return pynvml or the reason."""
    try:
        import pynvml  # type: ignore[import-untyped]
    except ImportError:
        return Unavailable("nvidia-ml-py is not installed")
    try:
        pynvml.nvmlInit()
    except pynvml.NVMLError as error:
        return Unavailable(_reason(pynvml, error))
    return pynvml


def count() -> int | None:
    """Return how many GPUs the driver shows this process; None if NVML is unavailable."""
    nvml = _start()
    if isinstance(nvml, Unavailable):
        return None
    try:
        return int(nvml.nvmlDeviceGetCount())
    except nvml.NVMLError:
        return None


def driver() -> str:
    """Return the driver's version, or why it cannot be read."""
    nvml = _start()
    if isinstance(nvml, Unavailable):
        return nvml.reason
    try:
        return str(nvml.nvmlSystemGetDriverVersion())
    except nvml.NVMLError as error:
        return _reason(nvml, error)


def cuda_version() -> tuple[int, int] | None:
    """Return the newest CUDA that the driver supports; None if it cannot be read."""
    nvml = _start()
    if isinstance(nvml, Unavailable):
        return None
    try:
        # 12080 is CUDA 12.8.
        version = int(nvml.nvmlSystemGetCudaDriverVersion_v2())
    except nvml.NVMLError:
        return None
    return version // 1000, version % 1000 // 10


def open_gpu(uuid: str) -> Gpu | Unavailable:
    """Open the GPU or MIG slice with a UUID from torch's device properties or CUDA_VISIBLE_DEVICES.

    The prefix "GPU-" or "MIG-" may be missing. `uuid` may also be an index in bus order, as in
    nvidia-smi, and as in CUDA with CUDA_DEVICE_ORDER=PCI_BUS_ID.
    """
    nvml = _start()
    if isinstance(nvml, Unavailable):
        return nvml
    prefixed = uuid.isdigit() or uuid.startswith(("GPU-", "MIG-"))
    for name in [uuid] if prefixed else [f"GPU-{uuid}", f"MIG-{uuid}"]:
        try:
            handle = (
                nvml.nvmlDeviceGetHandleByIndex(int(name))
                if name.isdigit()
                else nvml.nvmlDeviceGetHandleByUUID(name)
            )
        except nvml.NVMLError as error:
            if error.value in (nvml.NVML_ERROR_NOT_FOUND, nvml.NVML_ERROR_INVALID_ARGUMENT):
                continue
            return Unavailable(_reason(nvml, error))
        gpu = Gpu(nvml, handle, is_slice=name.startswith("MIG-"))
        if gpu.is_split():
            return Unavailable(
                f"MIG: {name} is split, and which slice this process has is unknown: "
                "name it in CUDA_VISIBLE_DEVICES"
            )
        return gpu
    return Unavailable(f"the driver knows no GPU {uuid}")


def uuid(name: str) -> str | None:
    """Return the UUID of the GPU with an index or UUID, None if NVML does not give it."""
    gpu = open_gpu(name)
    return None if isinstance(gpu, Unavailable) else gpu.uuid()


def is_lost(name: str) -> bool:
    """Return whether the GPU of `open_gpu`'s names has fallen off the bus."""
    gpu = open_gpu(name)
    if isinstance(gpu, Unavailable):
        return gpu.reason == LOST
    gpu.memory()
    return gpu.lost


class Gpu:
    """One GPU or MIG slice, made by `open_gpu`; `lost` is true once it has fallen off the bus."""

    def __init__(self, nvml: Any, handle: Any, is_slice: bool) -> None:
        self._nvml, self._handle, self._is_slice = nvml, handle, is_slice
        self.lost = False
        # A slice has its own memory and processes, but its card's clocks, power and temperature.
        self._card = (
            self._query("nvmlDeviceGetDeviceHandleFromMigDeviceHandle", handle)
            if is_slice
            else handle
        )

    def _query(self, name: str, *arguments: Any) -> Any:
        """Call an NVML function; None if the driver or the package lacks it or it fails."""
        function = getattr(self._nvml, name, None)
        if function is None or None in arguments:
            return None
        try:
            return function(*arguments)
        except self._nvml.NVMLError as error:
            self.lost = self.lost or error.value == self._nvml.NVML_ERROR_GPU_IS_LOST
            return None

    def uuid(self) -> str | None:
        """Return the GPU's UUID with its prefix, which CUDA_VISIBLE_DEVICES takes."""
        name = self._query("nvmlDeviceGetUUID", self._handle)
        return None if name is None else str(name)

    def is_split(self) -> bool:
        """Return whether MIG divides this card."""
        return (
            not self._is_slice and (self._query("nvmlDeviceGetMigMode", self._card) or [0])[0] == 1
        )

    def energy_mj(self) -> int | None:
        """Return millijoules since the driver started.

        None before Volta, and for a slice, because the card's counter adds up all slices.
        """
        return (
            None
            if self._is_slice
            else self._query("nvmlDeviceGetTotalEnergyConsumption", self._card)
        )

    def memory(self) -> tuple[int, int] | None:
        """Return (used, total) bytes; used includes all processes and the driver's reserve."""
        info = self._query("nvmlDeviceGetMemoryInfo", self._handle)
        return None if info is None else (int(info.used), int(info.total))

    def used_by(self, pid: int) -> int | None:
        """Return the bytes that a process uses; None if the driver does not report it.

        That also happens if `pid` belongs to another namespace than the driver's. Some drivers
        report 0 inside containers, which stands for unknown: a process on the device uses more.
        """
        used = [process.usedGpuMemory for process in self._processes() or () if process.pid == pid]
        return None if None in used else sum(used) or None

    def used_by_others(self) -> int:
        """Return the bytes of processes that are not this session's.

        0 unless the driver lists a process of this session: it may list the ids of another
        namespace, which do not tell them apart.
        """
        used = {process.pid: process.usedGpuMemory or 0 for process in self._processes() or ()}
        others = _other_pids(used)
        return 0 if others is None else sum(used[pid] for pid in others)

    def state(self) -> GpuState:
        """Return the GPU's state now.

        `others` excludes this session's processes, because they pause during a timed window.
        """
        nvml, card = self._nvml, self._card
        running = self._processes()
        pids = None if running is None else {process.pid for process in running}
        bits = self._query("nvmlDeviceGetCurrentClocksEventReasons", card)
        if bits is None:  # drivers before 535
            bits = self._query("nvmlDeviceGetCurrentClocksThrottleReasons", card)
        return GpuState(
            taken_at=time.monotonic(),
            driver=self._query("nvmlSystemGetDriverVersion"),
            sm_clock=self._query("nvmlDeviceGetClockInfo", card, nvml.NVML_CLOCK_SM),
            max_sm_clock=self._query("nvmlDeviceGetMaxClockInfo", card, nvml.NVML_CLOCK_SM),
            memory_clock=self._query("nvmlDeviceGetClockInfo", card, nvml.NVML_CLOCK_MEM),
            reasons=None if bits is None else reason_words(bits),
            throttled_ns=self._throttled_ns(),
            power_limit=_watts(self._query("nvmlDeviceGetPowerManagementLimit", card)),
            default_power_limit=_watts(
                self._query("nvmlDeviceGetPowerManagementDefaultLimit", card)
            ),
            temperature=self._query("nvmlDeviceGetTemperature", card, nvml.NVML_TEMPERATURE_GPU),
            ecc_errors=self._query(
                "nvmlDeviceGetTotalEccErrors",
                card,
                nvml.NVML_MEMORY_ERROR_TYPE_UNCORRECTED,
                nvml.NVML_VOLATILE_ECC,
            ),
            performance_state=self._query("nvmlDeviceGetPerformanceState", card),
            processes=None if pids is None else len(pids),
            others=None if pids is None else _other_pids(pids),
            # Last, because any query above may have set it.
            lost=self.lost,
        )

    def _processes(self) -> list[Any] | None:
        processes: list[Any] | None = self._query(
            "nvmlDeviceGetComputeRunningProcesses_v3", self._handle
        )
        if processes is None:  # drivers before 510
            processes = self._query("nvmlDeviceGetComputeRunningProcesses_v2", self._handle)
        return processes

    def _throttled_ns(self) -> dict[str, int]:
        # Only these two field ids are the same in every version of the package; the ids of the
        # hardware's counters differ.
        nvml = self._nvml
        words = {
            nvml.NVML_FI_DEV_PERF_POLICY_POWER: "sw power cap",
            nvml.NVML_FI_DEV_PERF_POLICY_THERMAL: "sw thermal",
        }
        values = self._query("nvmlDeviceGetFieldValues", self._card, list(words)) or ()
        return {
            words[field.fieldId]: field.value.ullVal
            for field in values
            if field.nvmlReturn == nvml.NVML_SUCCESS
        }


def _other_pids(pids: Collection[int]) -> tuple[int, ...] | None:
    """Return the ids of processes that are not this session's; None if none of them is."""
    others = tuple(sorted(pid for pid in pids if not is_of_session(pid, os.environ)))
    return None if len(others) == len(pids) else others


def _watts(milliwatts: int | None) -> float | None:
    return None if milliwatts is None else milliwatts / 1000

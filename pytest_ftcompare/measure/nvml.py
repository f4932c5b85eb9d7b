"""What an NVIDIA GPU says about itself, through NVML: the only file that imports pynvml.

Nothing here raises for what a machine lacks. No package, no driver or an unknown GPU is an `Unread` with its reason; a value
that a card, a container or a slice of a card does not give is None. NVML knows nothing of CUDA_VISIBLE_DEVICES: a GPU is
opened by its UUID.
"""

from __future__ import annotations

import os
import time
from dataclasses import dataclass
from typing import Any

from pytest_ftcompare.measure.gpu_state import GpuState, disturbed, joules, reason_words
from pytest_ftcompare.measure.host import sibling_pids

__all__ = ["Gpu", "GpuState", "Unavailable", "count", "disturbed", "joules", "open_gpu"]


@dataclass(frozen=True)
class Unavailable:
    """Nothing can be read from a GPU; `reason` is a clause that says why."""

    reason: str


def _why(nvml: Any, error: Any) -> str:
    reasons = {
        nvml.NVML_ERROR_LIBRARY_NOT_FOUND: "no NVIDIA driver",
        nvml.NVML_ERROR_DRIVER_NOT_LOADED: "no NVIDIA driver",
        nvml.NVML_ERROR_LIB_RM_VERSION_MISMATCH: "the NVIDIA driver was updated under its library: restart the machine",
        nvml.NVML_ERROR_NO_PERMISSION: "no permission to read the GPU",
        nvml.NVML_ERROR_GPU_IS_LOST: "the GPU is lost",
    }
    name = type(error).__name__.removeprefix("NVMLError_")
    return reasons.get(error.value, f"NVML answers {name} (error {error.value})")


def _start() -> Any:
    """The module pynvml, ready for questions, or Unread. Starting NVML again costs nothing: it counts."""
    try:
        import pynvml  # type: ignore[import-untyped]
    except ImportError:
        return Unavailable("nvidia-ml-py is not installed")
    try:
        pynvml.nvmlInit()
    except pynvml.NVMLError as error:
        return Unavailable(_why(pynvml, error))
    return pynvml


def count() -> int | None:
    """How many GPUs the driver shows this process; None where NVML cannot be read."""
    nvml = _start()
    if isinstance(nvml, Unavailable):
        return None
    try:
        return int(nvml.nvmlDeviceGetCount())
    except nvml.NVMLError:
        return None


def driver() -> str:
    """The driver's version, or why it cannot be read."""
    nvml = _start()
    if isinstance(nvml, Unavailable):
        return nvml.reason
    try:
        return str(nvml.nvmlSystemGetDriverVersion())
    except nvml.NVMLError as error:
        return _why(nvml, error)


def open_gpu(uuid: str) -> Gpu | Unavailable:
    """The GPU, or the slice of one (MIG), that `torch.cuda.get_device_properties(i).uuid` or CUDA_VISIBLE_DEVICES names.

    With or without its "GPU-" or "MIG-"; an index counts in the order of the bus, as nvidia-smi does and CUDA does under
    CUDA_DEVICE_ORDER=PCI_BUS_ID.
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
            return Unavailable(_why(nvml, error))
        gpu = Gpu(nvml, handle, is_slice=name.startswith("MIG-"))
        if gpu.is_split():
            return Unavailable(
                f"MIG: {name} is split, and which slice this process has is not said: name it in CUDA_VISIBLE_DEVICES"
            )
        return gpu
    return Unavailable(f"the driver knows no GPU {uuid}")


class Gpu:
    """One GPU or one slice of it; made by `open_gpu`. `lost` once it has fallen off the bus."""

    def __init__(self, nvml: Any, handle: Any, is_slice: bool) -> None:
        self._nvml, self._handle, self._is_slice = nvml, handle, is_slice
        self.lost = False
        # Memory and processes are a slice's own; clocks, power and temperature only its card has.
        self._card = (
            self._ask("nvmlDeviceGetDeviceHandleFromMigDeviceHandle", handle)
            if is_slice
            else handle
        )

    def _ask(self, question: str, *arguments: Any) -> Any:
        """NVML's answer; None where there is none, which also covers a driver or a package without the question."""
        function = getattr(self._nvml, question, None)
        if function is None or None in arguments:
            return None
        try:
            return function(*arguments)
        except self._nvml.NVMLError as error:
            self.lost = self.lost or error.value == self._nvml.NVML_ERROR_GPU_IS_LOST
            return None

    def is_split(self) -> bool:
        """Whether this is a card that MIG divides."""
        return not self._is_slice and (self._ask("nvmlDeviceGetMigMode", self._card) or [0])[0] == 1

    def energy_mj(self) -> int | None:
        """Millijoules since the driver started; None before Volta, and for a slice: the card's counter adds up all slices."""
        return (
            None if self._is_slice else self._ask("nvmlDeviceGetTotalEnergyConsumption", self._card)
        )

    def memory(self) -> tuple[int, int] | None:
        """Bytes used by all processes and reserved by the driver, and bytes in total."""
        found = self._ask("nvmlDeviceGetMemoryInfo", self._handle)
        return None if found is None else (int(found.used), int(found.total))

    def used_by(self, pid: int) -> int | None:
        """Bytes that a process uses; None where that is not said, or its id is of another namespace than the driver's.

        A process on the device uses more than 0: that is what some drivers say to containers that they cannot tell.
        """
        found = [one.usedGpuMemory for one in self._processes() or () if one.pid == pid]
        return None if None in found else sum(found) or None

    def state(self) -> GpuState:
        """How the GPU is now. This run's other workers are none of the `others`: they pause while one of them is timed."""
        nvml, card = self._nvml, self._card
        running = self._processes()
        pids = None if running is None else {one.pid for one in running}
        mine = {os.getpid(), *sibling_pids(os.environ)}
        bits = self._ask("nvmlDeviceGetCurrentClocksEventReasons", card)
        if bits is None:  # drivers before 535
            bits = self._ask("nvmlDeviceGetCurrentClocksThrottleReasons", card)
        return GpuState(
            taken=time.monotonic(),
            driver=self._ask("nvmlSystemGetDriverVersion"),
            sm_clock=self._ask("nvmlDeviceGetClockInfo", card, nvml.NVML_CLOCK_SM),
            max_sm_clock=self._ask("nvmlDeviceGetMaxClockInfo", card, nvml.NVML_CLOCK_SM),
            memory_clock=self._ask("nvmlDeviceGetClockInfo", card, nvml.NVML_CLOCK_MEM),
            reasons=None if bits is None else reason_words(bits),
            slowed=self._slowed(),
            power_limit=_watts(self._ask("nvmlDeviceGetPowerManagementLimit", card)),
            default_power_limit=_watts(self._ask("nvmlDeviceGetPowerManagementDefaultLimit", card)),
            temperature=self._ask("nvmlDeviceGetTemperature", card, nvml.NVML_TEMPERATURE_GPU),
            ecc_errors=self._ask(
                "nvmlDeviceGetTotalEccErrors",
                card,
                nvml.NVML_MEMORY_ERROR_TYPE_UNCORRECTED,
                nvml.NVML_VOLATILE_ECC,
            ),
            performance_state=self._ask("nvmlDeviceGetPerformanceState", card),
            processes=None if pids is None else len(pids),
            others=None if pids is None or not pids & mine else tuple(sorted(pids - mine)),
            lost=self.lost,  # last: any question above may have found it out
        )

    def _processes(self) -> list[Any] | None:
        found: list[Any] | None = self._ask("nvmlDeviceGetComputeRunningProcesses_v3", self._handle)
        if found is None:  # drivers before 510
            found = self._ask("nvmlDeviceGetComputeRunningProcesses_v2", self._handle)
        return found

    def _slowed(self) -> dict[str, int]:
        # The two counters whose numbers are the same in every version of the package; those of the hardware's are not.
        nvml = self._nvml
        words = {
            nvml.NVML_FI_DEV_PERF_POLICY_POWER: "sw power cap",
            nvml.NVML_FI_DEV_PERF_POLICY_THERMAL: "sw thermal",
        }
        values = self._ask("nvmlDeviceGetFieldValues", self._card, list(words)) or ()
        return {
            words[one.fieldId]: one.value.ullVal
            for one in values
            if one.nvmlReturn == nvml.NVML_SUCCESS
        }


def _watts(milliwatts: int | None) -> float | None:
    return None if milliwatts is None else milliwatts / 1000

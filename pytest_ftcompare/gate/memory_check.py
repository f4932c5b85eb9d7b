"""Refuse a case before training if one update of it does not fit the GPU.

`torch_case.py` calls it. The rule of thumb of `resource_estimate.py` chooses the cases to plan; the
plan (measure/plan) counts their tensors exactly, from the model's configuration alone.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import torch

from pytest_ftcompare.gate.resource_estimate import LIBRARY_BYTES, update_bytes
from pytest_ftcompare.measure import nvml
from pytest_ftcompare.measure.gpu_readings import gpu_name
from pytest_ftcompare.training.memory_error import size_text

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pytest_ftcompare.measure.step_counts import PeakMemory
    from pytest_ftcompare.training.prepare import PreparedCase

# Share of the GPU's memory from which the rule of thumb has a case planned; chosen, because the
# rule is too low for long rows. Raising it saves the seconds of plans, and finds fewer cases.
PLANNED_SHARE = 1 / 3
# Share by which a plan may exceed the memory before its case is refused; chosen, because no plan
# was compared with a GPU's allocator yet. Raising it lets more cases run out of memory in training.
PLAN_MARGIN = 0.1
# Bytes of a parameter in a model's files, if their number is not known; chosen. Raising it plans
# fewer cases.
FILE_BYTES = 2


def check_memory(prepared: PreparedCase, parameters: Mapping[str, float]) -> str:
    """Return why one update of the case does not fit its GPU, "" if it does or cannot be planned.

    `parameters` has the numbers of models' parameters, as far as the profile knows them.
    """
    if prepared.config.device == "cpu":
        return ""
    module = torch.get_device_module(prepared.config.device)
    total = int(module.get_device_properties(module.current_device()).total_memory)
    known = parameters.get(prepared.case.model) or _file_bytes(prepared) / FILE_BYTES
    if update_bytes(type(prepared.method), known) < PLANNED_SHARE * total:
        return ""
    # Imported here: few cases are planned, and no result depends on a plan.
    from pytest_ftcompare.measure.plan.plan import plan_case, without_weights

    try:
        peak = plan_case(without_weights(prepared)).peak
    # A method may use any library. What cannot be planned is trained.
    except Exception:
        peak = None
    if peak is None:
        return ""
    return _refusal(peak, total, _used_by_others(prepared.config.device))


def _file_bytes(prepared: PreparedCase) -> int:
    folder = prepared.interface.path
    return sum(file.stat().st_size for file in folder.glob("*") if file.is_file())


def _used_by_others(device: str) -> int:
    gpu = nvml.open_gpu(gpu_name(device, os.environ))
    return 0 if isinstance(gpu, nvml.Unavailable) else gpu.used_by_others()


def _refusal(peak: PeakMemory, total: int, others: int) -> str:
    needed = peak.peak + LIBRARY_BYTES
    if needed <= (total - others) * (1 + PLAN_MARGIN):
        return ""
    parts = ", ".join(
        f"{name} {size_text(getattr(peak, name))}"
        for name in ("weights", "gradients", "optimizer", "activations")
    )
    held = f", of which other processes hold {size_text(others)}" if others else ""
    advice = (
        "use more micro_batches, gradient_checkpointing=True or a smaller batch_size in the "
        "case's options"
        if needed - peak.activations <= total - others
        else "it needs a larger GPU, or a method that trains fewer parameters"
    )
    return (
        f"not trained: its update needs {size_text(needed)} ({parts}, "
        f"libraries {size_text(LIBRARY_BYTES)}), the GPU has {size_text(total)}{held}: {advice}"
    )

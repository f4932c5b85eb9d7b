"""Identify the GPU and the versions that a record belongs to, or say why there is no GPU."""

from __future__ import annotations

import hashlib
import os
import warnings
from dataclasses import asdict, dataclass
from importlib.metadata import PackageNotFoundError, version
from typing import Any

import torch

from pytest_ftcompare.measure import gpu_absence, gpu_assignment, nvml
from pytest_ftcompare.measure.environment import device_name

PACKAGES = ("torch", "transformers", "peft", "bitsandbytes")


@dataclass(frozen=True)
class Card:
    """A GPU: its name as folders have it, a digest of its UUID, and its memory in bytes."""

    name: str
    digest: str
    memory: int

    def as_json(self) -> dict[str, Any]:
        return asdict(self)


def why_no_gpu() -> str:
    """Return why torch can use no GPU, in one sentence; "" if it can."""
    with warnings.catch_warnings():
        # torch warns of an old driver, which the sentence says.
        warnings.simplefilter("ignore")
        if torch.get_device_module(gpu_assignment.GPU_TYPE).is_available():
            return ""
        reason = gpu_absence.why_no_gpu(os.environ)
    return (
        f"expected a GPU that torch can use, there is none here: {reason}; or rehearse without one "
        "with `make gpu REHEARSE=1`"
    )


def identify() -> tuple[Card, dict[str, str]]:
    """Return the GPU that torch uses first, and the versions. This starts CUDA in the process."""
    device = gpu_assignment.GPU_TYPE
    properties = torch.get_device_module(device).get_device_properties(0)
    digest = hashlib.sha256(str(properties.uuid).encode()).hexdigest()[:12]
    card = Card(device_name(device), digest, int(properties.total_memory))
    return card, {name: _version(name) for name in PACKAGES} | {
        "cuda": torch.version.cuda or "none",
        "driver": nvml.driver(),
    }


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "not installed"

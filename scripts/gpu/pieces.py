"""The pieces of `make gpu`, in order."""

from __future__ import annotations

from scripts.gpu.cost_faults import COST_FAULTS
from scripts.gpu.determinism import DETERMINISM
from scripts.gpu.nvml_readings import NVML_READINGS
from scripts.gpu.plan_check import PLAN_CHECK
from scripts.gpu.sessions import POCKET, REAL
from scripts.gpu.smoke import SMOKE
from scripts.gpu.timing_noise import TIMING_NOISE

PIECES = {
    piece.name: piece
    for piece in (
        *(SMOKE, NVML_READINGS, DETERMINISM, TIMING_NOISE),
        *(COST_FAULTS, PLAN_CHECK, POCKET, REAL),
    )
}

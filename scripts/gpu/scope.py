"""What `make gpu` measures: cases, windows, suites. A rehearsal makes it smaller."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from pytest_ftcompare.gate.profiles import POCKET, PROFILES
from pytest_ftcompare.measure import gpu_assignment
from pytest_ftcompare.methods import NAMES
from pytest_ftcompare.results.case import Case
from pytest_ftcompare.training.config import TrainingConfig
from pytest_ftcompare.training.prepare import PreparedCase, prepare

ROOT = Path(__file__).parents[2]
StartMethod = Literal["spawn", "fork"]
HUB_VARIABLE = "FTCOMPARE_HUB"
# Seconds after which a piece begins no other unit, chosen: a unit takes at most a minute, so that
# a piece ends within eight. Raising it measures more in one call.
PIECE_SECONDS = 7 * 60.0
# Seconds after which a piece that has not ended is killed; it goes on at the next call.
KILL_SECONDS = 8 * 60.0
# Layers and width of LLaMA-shaped models with random weights, by name; chosen, 0.1 to 1.3 billion
# parameters: less than, as deep as and deeper than what the plan traces whole.
PLANNED_SHAPES: Mapping[str, tuple[int, int]] = {
    "8 layers of 768": (8, 768),
    "16 layers of 1024": (16, 1024),
    "24 layers of 2048": (24, 2048),
}


def _real_hub() -> Path | None:
    folder = os.environ.get(HUB_VARIABLE)
    return Path(folder) if folder else None


@dataclass(frozen=True)
class Scope:
    """What is measured.

    - Cases: `methods` on `task` with `model`, `shots` rows per class and each method's `options`;
      a model outside the package lies in `hub`. `slow_methods` are those of the slow pieces,
      and `precisions` those of smoke. A split has at most `test_rows`.
    - Timing: a `window` in seconds, `windows` of them in a process, `workers` at once; `pairs` of
      rounds where two pieces of work are timed in turn.
    - `faults` and `fault_methods` are what is planted, and in which cases.
    - The plan: `planned_methods` in `planned_shapes`, on `planned_batch` rows and tokens.
    - Sessions: `suites` in the project's folder `root` are run with `suite_options`. Of the real
      models in `real_hub`, `real_cases` are run with `real_options`.
    - `start_method` is how the pieces' processes start (process.py).
    """

    root: Path = ROOT
    hub: Path | None = None
    model: str = "pocket/opt-1.4m"
    task: str = "pocket_cola"
    shots: int = 16
    test_rows: int = 64
    methods: tuple[str, ...] = NAMES
    precisions: tuple[str, ...] = ("float32", "bfloat16")
    slow_methods: tuple[str, ...] = NAMES
    options: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    window: float = POCKET.window
    windows: int = 2
    pairs: int = 20
    workers: int = 4
    faults: tuple[str, ...] | None = None
    fault_methods: tuple[str, ...] = ("full", "lora", "bitfit")
    planned_shapes: Mapping[str, tuple[int, int]] = field(default_factory=lambda: PLANNED_SHAPES)
    planned_methods: tuple[str, ...] = ("full", "lora", "qlora")
    planned_batch: tuple[int, int] = (8, 256)
    suites: tuple[str, ...] = (
        *("few_shot", "peft_methods", "instruction_tuning", "ablations", "claims"),
    )
    suite_options: tuple[str, ...] = ("-n", "4")
    real_hub: Path | None = field(default_factory=_real_hub)
    real_cases: tuple[str, ...] = tuple(
        f"suites/test_peft_methods.py::test_peft_methods[{method}-cola-{model}-n32]"
        for model in (PROFILES["local"].models[0].rpartition("/")[2],)
        for method in ("full", "lora", "qlora", "bitfit", "adapter", "ia3")
    )
    real_options: tuple[str, ...] = ("--ftcompare-profile=local",)
    start_method: StartMethod = "spawn"

    @property
    def device(self) -> str:
        """Return torch's name of the GPUs."""
        return gpu_assignment.GPU_TYPE

    def prepare(self, method: str, precision: str = "float32", **options: Any) -> PreparedCase:
        """Prepare the case of a method on the GPU."""
        options = {**self.options.get(method, {}), **options}
        case = Case(
            "gpu", method, self.task, self.model, self.shots, tuple(options.items()), timed=True
        )
        config = TrainingConfig(
            POCKET.scale,
            self.device,
            max_length=POCKET.max_length,
            test_rows=self.test_rows,
            hub=self.hub,
            precision=precision,
        )
        return prepare(case, config)

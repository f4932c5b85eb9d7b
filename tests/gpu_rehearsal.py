"""Rehearse `make gpu` on a pretended GPU, with tiny models: `make gpu REHEARSE=1`.

`python -m tests.gpu_rehearsal [FOLDER]` runs every piece twice into a folder, a new one without an
argument. The second time, nothing is left to do. Then it makes the page of these records. The
project that it measures has a method of its own that is broken; PiSSA and QLoRA cannot run on the
pretended device (tests/placement.py), so that three methods fail.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from tests.pretended_gpu import SCENARIO_VARIABLE, environment

if TYPE_CHECKING:
    from scripts.gpu.scope import Scope

ROOT = Path(__file__).parents[1]
FAMILY, TASK, SHOTS = "opt", "pocket_sst", 2
BROKEN = "broken"
PROJECT = {
    "pyproject.toml": f"""
[tool.ftcompare.methods]
{BROKEN} = "broken.py"

[tool.ftcompare.profiles.tiny]
tasks = {{ cola = "{TASK}" }}
models = ["tiny/{FAMILY}"]
recipe = {{ epochs = 1 }}
max_length = 64
test_rows = 8
seeds = 2
window = 0.05
""",
    "broken.py": f'''
from pytest_ftcompare.methods.base import Method, Recipe


class Broken(Method):
    """A method that cannot be applied."""

    name = "{BROKEN}"
    recipes = {{"pocket": Recipe(lr=0.1, epochs=1)}}

    def apply(self, model):
        raise ArithmeticError("planted")


METHODS = (Broken,)
''',
    "suites/test_tiny.py": f"""
import pytest


@pytest.mark.ftcompare(
    methods=("bitfit",), tasks=("cola",), shots=({SHOTS},), judge_accuracy=False
)
def test_tiny(gate):
    gate()
""",
}


def write_project(root: Path) -> None:
    """Write a project with a broken method, a suite and a hub folder with a tiny model."""
    from pytest_ftcompare.checks import tiny_models
    from pytest_ftcompare.training.library_logging import quiet

    quiet()
    for name, text in PROJECT.items():
        file = root / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text, encoding="utf-8")
    tiny_models.save(FAMILY, root / "hub")


def small_scope(root: Path) -> Scope:
    """Return what is measured: all methods in smoke, one elsewhere."""
    from pytest_ftcompare.methods import NAMES
    from scripts.gpu.scope import Scope
    from tests.placement import SMALL

    hub = root / "hub"
    return Scope(
        root=root,
        hub=hub,
        model=f"tiny/{FAMILY}",
        task=TASK,
        shots=SHOTS,
        test_rows=8,
        methods=(*NAMES, BROKEN),
        precisions=("bfloat16",),
        slow_methods=("bitfit",),
        options={name: {"epochs": 1, **SMALL.get(name, {})} for name in NAMES},
        window=0.05,
        windows=1,
        pairs=2,
        workers=2,
        faults=("a second copy of the weights kept alive",),
        fault_methods=("bitfit",),
        planned_shapes={"2 layers of 64": (2, 64)},
        planned_methods=("full", "lora"),
        planned_batch=(4, 16),
        suites=("tiny",),
        suite_options=("--ftcompare-profile=tiny", f"--ftcompare-hub={hub}"),
        real_hub=hub,
        real_cases=(f"suites/test_tiny.py::test_tiny[bitfit-{TASK}-{FAMILY}-n{SHOTS}]",),
        real_options=("--ftcompare-profile=tiny",),
        start_method="fork",
    )


def rehearse(folder: Path) -> None:
    """Run all pieces twice, then make the page; this process must see the pretended GPU."""
    from pytest_ftcompare.compare import measured_cost
    from scripts import docs_gpu
    from scripts.gpu.command import run
    from scripts.gpu.pieces import PIECES

    # One window here and one in a fresh process.
    measured_cost.BASELINE_WINDOWS = measured_cost.MAX_WINDOWS = 2
    root = folder / "project"
    write_project(root)
    for _ in range(2):
        run(list(PIECES.values()), small_scope(root), folder / "gpu")
    page = folder / "gpu.md"
    page.write_text("\n".join(docs_gpu.page(folder / "gpu")) + "\n", encoding="utf-8")
    print(f"The page of these records: {page}")


def main() -> None:
    """Rehearse in a process that sees the pretended GPU."""
    if SCENARIO_VARIABLE in os.environ:
        rehearse(Path(sys.argv[1]))
        return
    folder = sys.argv[1] if len(sys.argv) > 1 else tempfile.mkdtemp(prefix="ftcompare-gpu-")
    command = [sys.executable, "-m", "tests.gpu_rehearsal", folder]
    sys.exit(subprocess.run(command, cwd=ROOT, env=environment()).returncode)


if __name__ == "__main__":
    main()

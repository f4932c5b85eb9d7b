"""Measure how far probe and first steps move between kernels that compute the same.

`python -m scripts.precision docs/precision.json` computes each method's probe and the first steps
of its seed 0 in float32 and in bfloat16, with other instruction sets of torch and oneDNN, and with
another number of threads. For each tolerance of compare/tolerances.py it records the largest
difference from the machine's own choice of kernels. A GPU's kernels are others again: `make gpu`
measures them.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from datetime import date
from pathlib import Path
from typing import Any

from pytest_ftcompare.measure.host import processor

# Variables that choose other kernels; `threads` is torch's number.
KERNELS: dict[str, dict[str, str]] = {
    "the machine's own": {},
    "oneDNN without matrix units": {"ONEDNN_MAX_CPU_ISA": "AVX512_CORE"},
    "AVX2": {"ATEN_CPU_CAPABILITY": "avx2", "ONEDNN_MAX_CPU_ISA": "AVX2"},
    "two threads": {"FTCOMPARE_THREADS": "2"},
}
PRECISIONS = ("float32", "bfloat16")
CASE = ("pocket_cola", "pocket/opt-1.4m", 32)  # task, base model, shots
KINDS = ("outputs", "loss", "norm", "gradient", "update", "trace")
SHORT = {
    "adapter_fusion": {"source_epochs": 1},
    "adaptive": {"texts": 32, "passes": 1},
}


def compute(precision: str) -> None:
    """Print a line of JSON for each method: its probe and the first steps of seed 0."""
    from pytest_ftcompare.checks.invariants import inspect
    from pytest_ftcompare.methods import NAMES
    from pytest_ftcompare.results.case import Case
    from pytest_ftcompare.training.config import TrainingConfig
    from pytest_ftcompare.training.library_logging import quiet
    from pytest_ftcompare.training.prepare import prepare
    from pytest_ftcompare.training.run_seed import run_seed

    quiet()
    threads = int(os.environ.get("FTCOMPARE_THREADS", "1"))
    config = TrainingConfig(
        "pocket", threads=threads, max_length=192, test_rows=32, precision=precision
    )
    for name in NAMES:
        task, model, shots = CASE
        options = {"epochs": 2, **SHORT.get(name, {})}
        prepared = prepare(
            Case("precision", name, task, model, shots, tuple(options.items())), config
        )
        steps = run_seed(prepared, 0, lambda *_: None).trace.first_steps
        print(
            json.dumps({"method": name, "probe": inspect(prepared)[1], "steps": steps}), flush=True
        )


def _run(kernels: str, precision: str) -> dict[str, dict[str, Any]]:
    """Return each method's probe and steps, computed in a process with these kernels."""
    done = subprocess.run(
        [sys.executable, "-m", "scripts.precision", "--compute", precision],
        env=os.environ | KERNELS[kernels],
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    lines = [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]
    print(f"{precision}, {kernels}: {len(lines)} methods", file=sys.stderr, flush=True)
    return {line["method"]: line for line in lines}


def differences(before: Mapping[str, Any], after: Mapping[str, Any]) -> dict[str, float]:
    """Return the differences of a method, each relative as compare/tolerances.py takes it."""
    from pytest_ftcompare.compare.tolerances import FLOAT32

    old, new = before["probe"], after["probe"]
    outputs = [[value for row in probe["outputs"] for value in row] for probe in (old, new)]
    largest = max(1.0, *map(abs, outputs[0]))
    moved = {"outputs": max(abs(a - b) for a, b in zip(*outputs, strict=True)) / largest}
    if "loss" not in old:
        return moved
    norm = old["norm"]
    gradients = [(old["tensors"][name], new["tensors"][name]) for name in old["tensors"]]
    moved["loss"] = abs(new["loss"] / old["loss"] - 1)
    moved["norm"] = abs(new["norm"] / norm - 1)
    moved["gradient"] = max(abs(b[0] - a[0]) / norm for a, b in gradients)
    moved["update"] = max(
        (abs(b[1] / a[1] - 1) for a, b in gradients if a[0] > FLOAT32.gradient * norm and a[1]),
        default=0.0,
    )
    moved["trace"] = max(
        abs(b / a - 1)
        for first, second in zip(before["steps"], after["steps"], strict=True)
        for a, b in zip(first, second, strict=True)
        if a
    )
    return moved


def main(file: Path) -> None:
    """Compute with all kernels, and write the largest difference of each kind and its method."""
    largest: dict[str, Any] = {}
    for precision in PRECISIONS:
        own = _run("the machine's own", precision)
        for kernels in list(KERNELS)[1:]:
            moved = {
                name: differences(own[name], other)
                for name, other in _run(kernels, precision).items()
            }
            largest.setdefault(precision, {})[kernels] = {
                kind: max((values[kind], name) for name, values in moved.items() if kind in values)
                for kind in KINDS
            }
    record = {"date": date.today().isoformat(), "cpu": processor(), "largest": largest}
    file.write_text(f"{json.dumps(record, indent=1)}\n", encoding="utf-8")


if __name__ == "__main__":
    if sys.argv[1] == "--compute":
        compute(sys.argv[2])
    else:
        main(Path(sys.argv[1]))

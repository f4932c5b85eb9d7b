"""Cases on a pretended device: tensors are where they must be, and results are the CPU's.

tests/pretended_device.py says what a pretended device cannot see.
"""

import json
import subprocess
import sys
from dataclasses import asdict, replace
from pathlib import Path

import pytest

from pytest_ftcompare.checks.combinations import expected_refusal
from pytest_ftcompare.compare import known_faults
from pytest_ftcompare.methods import NAMES, load
from pytest_ftcompare.results.cost_metrics import PHASES
from tests.placement import FAULTS, NOT_PRETENDED, Job

ROOT = Path(__file__).parents[2]
# Waits of an update that come from libraries: transformers asks of each micro-batch whether all of
# its mask is set, and PEFT's AdaLoRA reads the rank of each matrix and its threshold.
LIBRARY_WAITS = {"item": 4}
MORE_WAITS = {"adalora": {"item": 4, "tolist": 32}}
# On a device, AdaLoRA's number of ranks trains, and is not saved (docs/upstream.md, fault 21).
KNOWN_BROKEN = {
    "adalora": [
        fault.sentence
        for fault in known_faults.FAULTS
        if fault.on_gpu and "adalora" in fault.methods
    ]
}


def place(folder, jobs):
    """Return each job with its outcome, from a process of its own."""
    done = subprocess.run(
        [
            sys.executable,
            "-m",
            "tests.placement",
            folder,
            *(json.dumps(asdict(job)) for job in jobs),
        ],
        cwd=ROOT,
        capture_output=True,
        text=True,
    )
    lines = [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]
    assert [line["job"] for line in lines] == [str(job) for job in jobs], done.stderr[-2000:]
    return list(zip(jobs, lines, strict=True))


JOBS = [
    *(
        Job("llama", "head", name)
        for name in NAMES
        if "head" in load(name).output_modes
        and name not in NOT_PRETENDED
        and expected_refusal(name, "llama") is None
    ),
    *(
        Job("opt_post", "pattern", name)
        for name in ("pbft", "icl", "bitfit", "prompt_tuning", "p_tuning_v2")
    ),
    Job("llama", "answer", "lora", costs=True),
    Job("opt_post", "answer", "full"),
    Job("bert", "head", "full"),
    Job("bert", "head", "unipelt"),
    Job("gpt2", "pattern", "lora"),
    Job("t5", "pattern", "full", costs=True),
]
IN_BFLOAT16 = [
    Job("llama", "head", "lora", precision="bfloat16"),
    Job("opt_post", "pattern", "full", precision="bfloat16"),
    Job("bert", "head", "adapter", precision="bfloat16"),
]


def test_cases_on_the_device_are_the_cases_on_the_cpu(tmp_path):
    for job, outcome in place(tmp_path, JOBS):
        assert "error" not in outcome, (job, outcome)
        on_cpu, on_device = outcome["steps"]
        assert on_device == [pytest.approx(step, rel=1e-3) for step in on_cpu], job
        assert outcome["predictions"], job
        known = tuple(KNOWN_BROKEN.get(job.method, []))
        assert outcome["broken"][0] == [], job
        assert len(outcome["broken"][1]) == len(known), (job, outcome["broken"])
        assert all(sentence.startswith(known) for sentence in outcome["broken"][1]), job
        allowed = {"tolist": 1, **LIBRARY_WAITS, **MORE_WAITS.get(job.method, {})}
        too_many = {
            kind: count for kind, count in outcome["waits"].items() if count > allowed.get(kind, 0)
        }
        assert not too_many, (job, too_many)
        if job.costs:
            first, second = outcome["counts"]
            assert first == second, job
            assert {"step", "evaluation", "inference"} <= set(outcome["window"]["times"])
            readings = outcome["window"]["readings"]
            assert all(readings[f"allocated bytes, {phase}"] > 0 for phase in PHASES), job


def test_a_case_in_bfloat16_is_the_case_on_the_cpu_up_to_rounding(tmp_path):
    for job, outcome in place(tmp_path, IN_BFLOAT16):
        assert "error" not in outcome, (job, outcome)
        on_cpu, on_device = outcome["steps"]
        # Autocast casts other operations on CUDA than on a CPU.
        assert on_device == [pytest.approx(step, rel=0.05) for step in on_cpu], job
        assert on_device != on_cpu, job
        assert outcome["broken"] == [[], []], job


def test_tensors_in_the_wrong_place_are_found(tmp_path):
    cases = {
        "lengths_on_the_cpu": Job("llama", "answer", "lora"),
        "own_modules_on_the_cpu": Job("llama", "head", "adapter"),
    }
    jobs = [
        replace(cases.get(fault, Job("llama", "head", "lora")), fault=fault) for fault in FAULTS
    ]
    for job, outcome in place(tmp_path, jobs):
        assert "error" in outcome, job
        assert "RuntimeError: expected all tensors to be on the same device, " in outcome["error"]

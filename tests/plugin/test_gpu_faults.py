"""Sessions on a pretended GPU with something wrong: the promised sentence, and the rest goes on.

docs/gpu-faults.md promises the sentences.
"""

import json
import os
import re
from functools import partial

import pytest
import torch

from pytest_ftcompare.checks import tiny_models
from pytest_ftcompare.gate import memory_check, torch_case
from tests import pretended_device  # noqa: F401  registered before the first backward pass
from tests.measure.fake_nvml import SLICE
from tests.pretended_gpu import CONTEXT_BYTES, SCENARIOS, environment, install, uuid

UPDATE = ("--update-baselines", "--ftcompare-seeds=1")
SUITE = """
import pytest

@pytest.mark.ftcompare(
    methods={methods}, tasks=("pocket_sst",), shots=(2,), models=("tiny/opt",),
    options={{"epochs": 1}}, judge_accuracy=False,
)
def test_quick(gate):
    gate()
"""


class GpuShell:
    """Runs sessions of tiny cases on a scenario's pretended GPUs, in this process."""

    def __init__(self, pytester, monkeypatch):
        self.pytester, self._monkeypatch = pytester, monkeypatch
        tiny_models.save("opt", pytester.path / "hub")
        pytester.makepyprojecttoml("[tool.ftcompare.profiles.pocket]\ntest_rows = 8")

    def run_workers(self, methods, *arguments):
        """Run in processes, on the GPUs of the environment."""
        return self._finished(
            self.pytester.runpytest_subprocess(*self._options(methods, *arguments))
        )

    def run(self, scenario, methods, *arguments, device="cuda"):
        """Return the result, with the report's cases and the baselines by method."""
        put = partial(self._monkeypatch.setattr, raising=False)
        options = self._options(methods, f"--ftcompare-device={device}", *arguments)
        with install(SCENARIOS[scenario](), put):
            return self._finished(self.pytester.runpytest_inprocess(*options))

    def _options(self, methods, *arguments):
        self.pytester.makepyfile(test_quick=SUITE.format(methods=methods))
        return (
            *("-p", "pytest_ftcompare.plugin", "--ftcompare-window=0", "--ftcompare-hub=hub"),
            *("--ftcompare-report=report.json", *arguments),
        )

    def _finished(self, result):
        report = json.loads((self.pytester.path / "report.json").read_text())
        result.cases = {case["id"].split("-")[0]: case for case in report["cases"]}
        result.baselines = {
            file.name.split("-")[0]: json.loads(file.read_text())
            for file in self.pytester.path.glob("baselines/*/quick/*.json")
        }
        return result


def finding(result, method):
    """Return the only finding of a method's case, which is invalid."""
    case = result.cases[method]
    assert case["verdict"] == "invalid"
    (sentence,) = case["divergences"]
    return sentence


@pytest.fixture
def gpu(pytester, monkeypatch):
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    return GpuShell(pytester, monkeypatch)


DISTURBED = {
    "another process": "another process used the GPU (pid 4242)",
    "counted ecc": "the GPU's uncorrected memory errors went from 0 to 2",
    "hot": "the GPU was throttled (hw thermal)",
    "power limit": "the GPU's power limit went from 700.0 W to 500.0 W",
}


@pytest.mark.parametrize("scenario", DISTURBED)
def test_a_disturbed_window_is_taken_again(gpu, scenario):
    result = gpu.run(scenario, ("icl",), *UPDATE)
    windows = result.baselines["icl"]["windows"]
    assert [window["disturbed"] for window in windows] == [DISTURBED[scenario], ""]


SPLIT = (
    f"MIG: GPU-{uuid(0)} is split, and which slice this process has is unknown: "
    "name it in CUDA_VISIBLE_DEVICES"
)


@pytest.mark.parametrize(
    ("scenario", "reason"), [("no nvml", "no NVIDIA driver"), ("split", SPLIT)]
)
def test_memory_is_the_allocators_where_nvml_cannot_tell_the_process(gpu, scenario, reason):
    gpu.run("healthy", ("icl",), *UPDATE)
    result = gpu.run(scenario, ("icl",), "--ftcompare-full")
    costs = {cost["metric"]: cost for cost in result.cases["icl"]["costs"]}
    process = costs["process bytes, evaluation"]
    assert (process["outcome"], process["note"]) == ("incomparable", reason)
    assert costs["allocated bytes, evaluation"]["new"] > 0
    assert " ".join(reason.split()) in " ".join(result.stdout.str().split())
    assert result.cases["icl"]["verdict"] == "same"


def test_of_a_named_slice_memory_is_read_and_energy_is_not(gpu, monkeypatch):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", f"MIG-{SLICE}")
    (window,) = gpu.run("slice", ("bitfit",), *UPDATE).baselines["bitfit"]["windows"]
    assert window["readings"]["process bytes, training"] > CONTEXT_BYTES
    assert window["unavailable"] == {
        "joules per 1000 examples": "the GPU has no energy counter, or is a slice of one"
    }


LOST = {
    "lost": "CUDA error: unspecified launch failure, and NVML reports that the GPU is lost",
    "illegal access": "CUDA error: an illegal memory access was encountered",
    "raised ecc": "CUDA error: uncorrectable ECC error encountered",
}


@pytest.mark.parametrize("scenario", LOST)
def test_a_failed_gpu_ends_its_case_and_is_named_in_later_ones(gpu, scenario):
    once = ("--benchmark-disable",)
    result = gpu.run(scenario, ("icl", "bitfit", "ia3"), *once)
    assert result.cases["icl"]["verdict"] == "new"
    assert finding(result, "bitfit") == (
        f"the GPU failed after 'inspecting': {LOST[scenario]}: this process cannot use it again; "
        "look for Xid in dmesg, and continue with --ftcompare-resume"
    )
    assert finding(result, "ia3") == (
        "not run: the GPU failed in bitfit-pocket_sst-opt-n2-epochs=1, and this process cannot use "
        "one: continue with --ftcompare-resume"
    )
    result.stdout.no_fnmatch_line("*Traceback*")
    result.stdout.fnmatch_lines(["1 case finished: continue with --ftcompare-resume."])
    if scenario == "lost":
        resumed = gpu.run("healthy", ("icl", "bitfit", "ia3"), *once, "--ftcompare-resume")
        resumed.stdout.fnmatch_lines(["*resumes the run of *, which finished 1 case"])
        assert {case["verdict"] for case in resumed.cases.values()} == {"new"}


def test_running_out_of_memory_fails_one_case(gpu):
    result = gpu.run("full", ("full", "ia3"), "--benchmark-disable")
    assert re.fullmatch(
        r"out of memory after '.*': it needed [\d.]+ MiB more, [\d.]+ KiB of the GPU's 1.00 MiB "
        "was free, and .* this worker's: use more micro_batches, a smaller batch_size or "
        "gradient_checkpointing=True in the case's options, or fewer workers",
        finding(result, "full"),
    )
    assert result.cases["ia3"]["verdict"] == "new"


def test_too_little_memory_is_told_before_training(gpu, monkeypatch):
    # A tiny case needs little beside the libraries, whose share the margin exceeds.
    monkeypatch.setattr(memory_check, "PLAN_MARGIN", 0.0)
    result = gpu.run("small", ("full", "ia3"), "--benchmark-disable")
    assert re.fullmatch(
        r"not trained: its update needs 478.[\d]+ MiB \(weights 240.25 KiB, gradients .*, "
        r"optimizer 480.64 KiB, activations .*, libraries 476.84 MiB\), the GPU has 477.84 MiB: "
        "use more micro_batches, gradient_checkpointing=True or a smaller batch_size in the case's "
        "options",
        finding(result, "full"),
    )
    assert result.cases["ia3"]["verdict"] == "new"


OLD_DRIVER = (
    f"the driver 575.57.08 supports CUDA 12.8, torch {torch.__version__} was built for CUDA 13.0: "
    "update the driver, or install a build for CUDA 12 or older (pytorch.org/get-started)"
)


def test_cuda_without_a_gpu_is_refused_with_the_cause(gpu):
    result = gpu.run("old driver", ("icl",), "--benchmark-disable")
    assert finding(result, "icl") == (
        f"--ftcompare-device=cuda: torch sees no GPU: {OLD_DRIVER}; or use --ftcompare-device=cpu"
    )


def test_auto_warns_of_a_gpu_that_torch_cannot_use(gpu):
    torch_case._warn_of_idle_gpu.cache_clear()
    result = gpu.run("old driver", ("icl",), "--benchmark-disable", device="auto")
    assert result.cases["icl"]["device"] == "cpu"
    assert f"cases run on the CPU, the GPU is not used: {OLD_DRIVER}" in result.stdout.str()


FAILED_ELSEWHERE = """
from pytest_ftcompare.plugin.worker import WORKER_STATUS

def pytest_runtest_setup(item):
    folder = item.config.stash[WORKER_STATUS].folder / "gpu-failures"
    folder.mkdir(parents=True)
    (folder / "1.process").write_text("lora-n2")
"""


def test_no_case_goes_on_with_the_cpu_where_a_gpu_failed(gpu):
    gpu.pytester.makeconftest(FAILED_ELSEWHERE)
    result = gpu.run("old driver", ("icl",), "--benchmark-disable", device="auto")
    assert finding(result, "icl") == (
        "not run: the GPU failed in lora-n2, and this process cannot use one: "
        "continue with --ftcompare-resume"
    )


def test_a_worker_whose_gpu_fails_is_replaced(gpu, monkeypatch):
    for name, value in environment("illegal access").items():
        if value != os.environ.get(name):
            monkeypatch.setenv(name, value, prepend=os.pathsep if name == "PYTHONPATH" else None)
    arguments = ("-n1", "--ftcompare-device=cuda", "--benchmark-disable")
    # A worker runs the last case first (plugin/case_order.py).
    result = gpu.run_workers(("bitfit", "ia3", "icl"), *arguments)
    verdicts = {name: case["verdict"] for name, case in result.cases.items()}
    assert verdicts == {"icl": "new", "bitfit": "invalid", "ia3": "new"}
    assert finding(result, "bitfit").startswith("the GPU failed after 'inspecting': CUDA error: ")
    result.assert_outcomes(failed=3)
    result.stdout.fnmatch_lines(["replacing crashed worker gw0"])

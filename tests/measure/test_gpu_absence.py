"""Where torch sees no GPU, one sentence tells why, and what to do."""

import pynvml
import pytest
import torch
from fake_nvml import UUID, FakeNvml, install

from pytest_ftcompare.measure.gpu_absence import idle_gpu, why_no_gpu

NO_DRIVER = FakeNvml(init=pynvml.NVML_ERROR_LIBRARY_NOT_FOUND)
OLD = FakeNvml(cuda=12080)
TORCH = f"torch {torch.__version__}"
DRIVER = "install NVIDIA's driver, or start the container with its GPUs"
CASES = {
    "no driver": (
        ("13.0", NO_DRIVER, {}),
        f"this machine shows no GPU (no NVIDIA driver): {DRIVER}",
    ),
    "no driver and no build": (
        (None, NO_DRIVER, {}),
        f"{TORCH} is built without CUDA, and this machine shows no GPU (no NVIDIA driver): "
        f"{DRIVER}",
    ),
    "no card": (
        ("13.0", FakeNvml(cards={}), {}),
        f"this machine shows no GPU (driver 575.57.08): {DRIVER}",
    ),
    "a driver of another version than its library": (
        ("13.0", FakeNvml(init=pynvml.NVML_ERROR_LIB_RM_VERSION_MISMATCH), {}),
        "CUDA does not start: Torch not compiled with CUDA enabled (NVML cannot tell more: the "
        "NVIDIA driver was updated under its library: restart the machine)",
    ),
    "a build without CUDA": (
        (None, OLD, {}),
        f"{TORCH} is built without CUDA, this machine has 1 GPU: install a build for CUDA 12 or "
        "older (pytorch.org/get-started)",
    ),
    "hidden": (
        ("13.0", FakeNvml(), {"CUDA_VISIBLE_DEVICES": ""}),
        "CUDA_VISIBLE_DEVICES= shows none of this machine's 1 GPU: unset it, or name one by a "
        "number below 1",
    ),
    "a number that is not there": (
        ("13.0", FakeNvml(), {"CUDA_VISIBLE_DEVICES": "1"}),
        "CUDA_VISIBLE_DEVICES=1 shows none of this machine's 1 GPU: unset it, or name one by a "
        "number below 1",
    ),
    "a name that is not there": (
        ("13.0", FakeNvml(), {"CUDA_VISIBLE_DEVICES": "GPU-gone"}),
        "the driver knows no GPU GPU-gone (CUDA_VISIBLE_DEVICES=GPU-gone)",
    ),
    "an old driver": (
        ("13.0", OLD, {}),
        f"the driver 575.57.08 supports CUDA 12.8, {TORCH} was built for CUDA 13.0: update the "
        "driver, or install a build for CUDA 12 or older (pytorch.org/get-started)",
    ),
    "another minor version": (
        ("12.9", OLD, {}),
        "CUDA does not start: Torch not compiled with CUDA enabled",
    ),
}


@pytest.fixture(autouse=True)
def torch_without_gpus(monkeypatch):
    """Let torch refuse as its builds without CUDA do, also on a machine with a GPU."""

    def zeros(*_, **__):
        raise AssertionError("Torch not compiled with CUDA enabled\nmore")

    monkeypatch.setattr(torch, "zeros", zeros)


@pytest.mark.parametrize("name", CASES)
def test_the_cause_is_told(monkeypatch, name):
    (built_for, fake, environ), sentence = CASES[name]
    install(monkeypatch, fake)
    monkeypatch.setattr(torch.version, "cuda", built_for)
    assert why_no_gpu(environ) == sentence


def test_only_a_gpu_that_may_be_seen_is_idle(monkeypatch):
    monkeypatch.setattr(torch.version, "cuda", "13.0")
    install(monkeypatch, OLD)
    assert idle_gpu({"CUDA_VISIBLE_DEVICES": f"GPU-{UUID}"})
    assert not idle_gpu({"CUDA_VISIBLE_DEVICES": ""})
    monkeypatch.setattr(torch.version, "cuda", None)
    assert not idle_gpu({"CUDA_VISIBLE_DEVICES": f"GPU-{UUID}"})
    install(monkeypatch, NO_DRIVER)
    assert not idle_gpu({})

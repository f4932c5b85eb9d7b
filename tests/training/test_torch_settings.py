"""What a GPU's libraries may round is set on purpose and recorded."""

import pytest
import torch

from pytest_ftcompare.training.config import TrainingConfig
from pytest_ftcompare.training.torch_settings import apply_torch_settings, describe_gpu_settings


@pytest.fixture(autouse=True)
def torch_as_it_was(monkeypatch):
    monkeypatch.delenv("CUBLAS_WORKSPACE_CONFIG", raising=False)
    cudnn = torch.backends.cudnn
    before = (cudnn.allow_tf32, cudnn.benchmark, cudnn.deterministic)
    precision, threads = torch.get_float32_matmul_precision(), torch.get_num_threads()
    yield
    cudnn.allow_tf32, cudnn.benchmark, cudnn.deterministic = before
    torch.set_float32_matmul_precision(precision)
    torch.set_num_threads(threads)


def test_a_gpu_computes_without_tf32_and_without_a_search_for_algorithms():
    torch.set_float32_matmul_precision("high")
    torch.backends.cudnn.benchmark = True
    assert describe_gpu_settings()["tf32"] == "on"
    apply_torch_settings(TrainingConfig("pocket", device="cuda"))
    assert describe_gpu_settings() | {"cudnn": "any version"} == {
        "cublas workspace": ":4096:8",
        "cudnn": "any version",
        "cudnn algorithms": "deterministic, not searched",
        "tf32": "off",
    }


def test_a_workspace_that_the_user_chose_stays(monkeypatch):
    monkeypatch.setenv("CUBLAS_WORKSPACE_CONFIG", ":16:8")
    apply_torch_settings(TrainingConfig("pocket", device="cuda"))
    assert describe_gpu_settings()["cublas workspace"] == ":16:8"


def test_a_cpu_gets_its_threads_alone():
    torch.backends.cudnn.benchmark = True
    apply_torch_settings(TrainingConfig("pocket", threads=3))
    assert torch.get_num_threads() == 3
    assert torch.backends.cudnn.benchmark
    assert describe_gpu_settings()["cublas workspace"] == "torch's own"

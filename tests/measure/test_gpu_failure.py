"""An error after which the GPU computes nothing is one sentence; others go through."""

from types import SimpleNamespace

import pytest
import torch
from fake_nvml import LOST, UUID, install_card

from pytest_ftcompare.measure.gpu_failure import GpuFailure, explain_gpu_failure
from pytest_ftcompare.measure.last_status import LastStatus

ERROR = RuntimeError("CUDA error: unspecified launch failure\nFor debugging consider more")


@pytest.fixture(autouse=True)
def started(monkeypatch):
    """Pretend that this process has used its GPU."""
    monkeypatch.setattr(torch.cuda, "is_initialized", lambda: True)
    monkeypatch.setattr(torch.cuda, "current_device", lambda: 0)
    properties = SimpleNamespace(uuid=UUID)
    monkeypatch.setattr(torch.cuda, "get_device_properties", lambda _: properties)


@pytest.fixture
def status():
    status = LastStatus(print)
    status("seed 0  step 3/40")
    return status


def let_gpu_fail(monkeypatch, error):
    """Let the first operation on a GPU raise the error."""

    def ones(*_, **__):
        raise error

    monkeypatch.setattr(torch, "ones", ones)


def test_a_gpu_that_computes_nothing_any_more_is_told(monkeypatch, status):
    install_card(monkeypatch)
    let_gpu_fail(monkeypatch, ERROR)
    with pytest.raises(GpuFailure) as caught, explain_gpu_failure("cuda", status):
        raise ERROR
    assert str(caught.value) == (
        "the GPU failed after 'seed 0  step 3/40': CUDA error: unspecified launch failure: this "
        "process cannot use it again; look for Xid in dmesg, and continue with --ftcompare-resume"
    )


def test_a_lost_card_is_named(monkeypatch, status):
    install_card(monkeypatch, MemoryInfo=LOST)
    let_gpu_fail(monkeypatch, ERROR)
    with (
        pytest.raises(GpuFailure, match="failure, and NVML reports that the GPU is lost: "),
        explain_gpu_failure("cuda", status),
    ):
        raise ERROR


def test_an_error_of_a_gpu_that_goes_on_computing_goes_through(monkeypatch, status):
    monkeypatch.setattr(torch, "ones", lambda *_, device: torch.zeros(1))
    with pytest.raises(RuntimeError, match="shapes differ"), explain_gpu_failure("cuda", status):
        raise RuntimeError("shapes differ")


def test_a_full_gpu_is_no_failed_gpu(monkeypatch, status):
    let_gpu_fail(monkeypatch, torch.OutOfMemoryError("CUDA out of memory."))
    with pytest.raises(RuntimeError, match="shapes differ"), explain_gpu_failure("cuda", status):
        raise RuntimeError("shapes differ")


def test_a_process_that_has_not_used_the_gpu_does_not_start_it(monkeypatch, status):
    monkeypatch.setattr(torch.cuda, "is_initialized", lambda: False)
    monkeypatch.setattr(torch, "ones", lambda *_, **__: pytest.fail("started CUDA"))
    with pytest.raises(RuntimeError, match="no case ran"), explain_gpu_failure("cuda", status):
        raise RuntimeError("no case ran")


def test_an_error_on_the_cpu_goes_through(monkeypatch, status):
    let_gpu_fail(monkeypatch, ERROR)
    with pytest.raises(RuntimeError, match="shapes differ"), explain_gpu_failure("cpu", status):
        raise RuntimeError("shapes differ")

"""Out of memory is reported in one sentence, and the memory is freed."""

import gc
import weakref

import pytest
import torch

from pytest_ftcompare.measure.last_status import LastStatus
from pytest_ftcompare.measure.out_of_memory import OutOfMemory, explain_out_of_memory, free_memory

CUDA = (
    "CUDA out of memory. Tried to allocate 2.50 GiB. "
    "GPU 0 has a total capacity of 79.11 GiB of which 1.2 GiB is free."
)


def test_a_cpu_error_states_the_need_the_free_memory_and_the_place():
    status = LastStatus(print)
    with pytest.raises(OutOfMemory) as caught, explain_out_of_memory("cpu", status):
        status("seed 2  step 17/40  loss 0.412")
        torch.empty(2**60, dtype=torch.uint8)
    sentence = str(caught.value)
    assert sentence.startswith("out of memory after 'seed 2  step 17/40  loss 0.412': it needed ")
    assert "it needed 1073741824.00 GiB" not in sentence
    assert "1048576.00 TiB more, " in sentence
    assert "of the machine's memory was free" in sentence
    assert "use more micro_batches" in sentence


def test_a_gpu_error_states_the_same(monkeypatch):
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda: (1 * 2**30, 80 * 2**30))
    monkeypatch.setattr(torch.cuda, "memory_reserved", lambda: 70 * 2**30)
    with pytest.raises(OutOfMemory) as caught, explain_out_of_memory("cuda", LastStatus(print)):
        raise torch.OutOfMemoryError(CUDA)
    assert str(caught.value).startswith(
        "out of memory after 'loading': it needed 2.50 GiB more, "
        "1.00 GiB of the GPU's 80.00 GiB was free, and 70.00 GiB this worker's"
    )


@pytest.mark.parametrize(
    "error",
    [
        MemoryError(),
        RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`"),
    ],
)
def test_errors_without_a_size_are_reported_too(error):
    with (
        pytest.raises(OutOfMemory, match="it needed memory that it did not get, "),
        explain_out_of_memory("cpu", LastStatus(print)),
    ):
        raise error


def test_another_error_goes_through_as_it_is():
    with (
        pytest.raises(RuntimeError, match="shapes differ"),
        explain_out_of_memory("cpu", LastStatus(print)),
    ):
        raise RuntimeError("shapes differ")


def test_messages_are_passed_on():
    said = []
    status = LastStatus(said.append)
    status("timing")
    assert (status.text, said) == ("timing", ["timing"])


def test_a_failed_cases_memory_is_freed():
    class Tensors:
        pass

    held = Tensors()
    held.itself = held
    watched = weakref.ref(held)
    gc.disable()
    try:
        del held
        assert watched() is not None
        free_memory()
        assert watched() is None
    finally:
        gc.enable()

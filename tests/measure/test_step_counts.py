"""Counts of an update: each byte counts once, under its use."""

import os
import subprocess
import sys

import pytest
import torch
from steps import make_step
from torch import nn
from torch.distributed._tools.mem_tracker import MemTracker
from torch.utils.flop_counter import FlopCounterMode

from pytest_ftcompare import methods
from pytest_ftcompare.measure.step_counts import count_step

KIB = 1024  # bytes of 16 x 16 numbers in float32


def square():
    """One matrix of 1 KiB with plain gradient descent, and a batch of 1 KiB."""
    model = nn.Linear(16, 16, bias=False)
    return model, torch.optim.SGD(model.parameters(), lr=0.1), torch.ones(16, 16)


@pytest.mark.parametrize("method", methods.NAMES)
def test_every_method_is_counted_and_counted_the_same_again(method):
    first, second = count_step(*make_step(method)), count_step(*make_step(method))
    assert first == second
    assert first.peak == first.weights + first.gradients + first.optimizer + first.activations
    assert first.flops > 0
    assert (first.saved > 0) == (first.state > 0) == (method != "icl")


def test_another_process_counts_the_same():
    code = """
from steps import make_step
from pytest_ftcompare.measure.step_counts import count_step
print(count_step(*make_step("lora")))
"""
    here = {"PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        check=True,
        env=os.environ | here,
    )
    assert done.stdout.splitlines()[-1] == str(count_step(*make_step("lora")))


def test_each_byte_is_counted_for_what_it_is():
    model, optimizer, batch = square()

    def step():
        model(batch).sum().backward()
        optimizer.step()

    found = count_step(step, model, optimizer)
    # The batch and the product. The gradient is made after the product is freed.
    assert found.weights == found.gradients == KIB
    assert found.optimizer == found.state == 0
    assert found.saved == KIB  # the batch: the weight is left out
    assert found.flops == 2 * 2 * 16**3


def test_views_are_one_storage_and_what_is_freed_no_longer_counts():
    model, _, batch = square()

    def step():
        for _ in range(3):
            batch.add(1).view(-1).reshape(16, 16).mul_(2)

    assert count_step(step, model, None).activations == 2 * KIB


def test_a_tensor_that_grows_in_place_counts_with_its_new_size():
    model, _, batch = square()
    out = torch.empty(0)
    assert count_step(lambda: torch.add(batch, 1, out=out), model, None).activations == 2 * KIB


def test_a_storage_that_is_made_larger_counts_with_its_new_size():
    model, _, batch = square()
    assert count_step(lambda: batch.add(1).resize_(32, 16), model, None).activations == 3 * KIB


def test_a_weight_is_not_among_what_is_saved_for_backward():
    model, _, batch = square()
    batch.requires_grad_()  # for whose gradient the weight is kept
    assert count_step(lambda: model(batch), model, None).saved == KIB


def test_accumulated_gradients_are_gradients_and_not_activations():
    model, optimizer, batch = square()

    def step():
        for _ in range(2):
            model(batch).sum().backward()
        batch.repeat(9, 1)

    found = count_step(step, model, optimizer)
    assert found.gradients == KIB
    assert found.peak == (1 + 1 + 1 + 9) * KIB  # weights, gradients, the batch, its copies


def test_reference_cycles_count_until_the_step_is_over():
    model, _, batch = square()

    def step():
        for _ in range(5):
            circle = [batch.add(1)]
            circle.append(circle)
            assert len([[] for _ in range(100_000)])  # enough to call the collector

    assert count_step(step, model, None).activations == 6 * KIB


def test_the_peak_of_full_fine_tuning_is_the_one_of_torchs_own_tracker():
    found = count_step(*make_step("full"))
    step, model, optimizer = make_step("full")
    tracker = MemTracker()
    tracker.track_external(model, optimizer, step.training.stage.targets)
    with tracker:
        step()
    (there,) = tracker.get_tracker_snapshot("peak").values()
    assert found.peak == there["Total"]


@pytest.mark.parametrize("method", ["lora", "prompt_tuning"])
def test_flops_are_torchs_own(method):
    step, model, optimizer = make_step(method)
    with torch.nn.attention.sdpa_kernel(
        torch.nn.attention.SDPBackend.MATH
    ):  # whose matrix products torch counts
        with FlopCounterMode(display=False) as torchs:
            step()
        assert count_step(step, model, optimizer).flops == torchs.get_total_flops()


def test_the_fused_attention_of_a_cpu_is_counted_by_its_products():
    model, _, _ = square()
    text = torch.ones(1, 1, 16, 16, requires_grad=True)
    with torch.nn.attention.sdpa_kernel(torch.nn.attention.SDPBackend.FLASH_ATTENTION):
        attend = torch.nn.functional.scaled_dot_product_attention
        found = count_step(lambda: attend(text, text, text).sum().backward(), model, None)
    assert found.flops == (2 + 5) * 2 * 16**3  # backward computes the scores once more


def test_inference_is_counted_down_to_the_same_products_as_training():
    model, _, batch = square()

    @torch.inference_mode()
    def infer():
        model(batch)

    assert (
        count_step(infer, model, None).flops
        == count_step(lambda: model(batch), model, None).flops
        == 2 * 16**3
    )


def test_a_four_bit_weight_counts_with_its_constants_and_its_product():
    import bitsandbytes as bnb

    model = bnb.nn.Linear4bit(64, 64, bias=False, quant_type="nf4").to("cpu")
    batch = torch.ones(2, 64, requires_grad=True)
    found = count_step(lambda: model(batch).sum().backward(), model, None)
    state = model.weight.quant_state  # its scales are quantised once more
    constants = [state.absmax, state.code, state.offset, state.state2.absmax, state.state2.code]
    assert found.weights == 64 * 64 // 2 + sum(one.nbytes for one in constants)
    assert found.flops == 2 * 2 * 2 * 64 * 64

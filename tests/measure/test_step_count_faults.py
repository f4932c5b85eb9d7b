"""Injected faults of an update's cost: each changes its own count and only counts of its kind."""

import copy

import torch
from steps import make_step

from pytest_ftcompare.measure.step_counts import count_step


def test_an_optimiser_state_in_a_wider_type_is_twice_the_state():
    base = count_step(*make_step("lora"))
    step, model, optimizer = make_step("lora")

    def widen(*_):
        for state in optimizer.state.values():
            state["exp_avg"], state["exp_avg_sq"] = (
                state["exp_avg"].double(),
                state["exp_avg_sq"].double(),
            )

    optimizer.register_step_post_hook(widen)
    counters = 4 * len(
        optimizer.param_groups[0]["params"]
    )  # of updates, one in float32 for each tensor
    assert count_step(step, model, optimizer).state - counters == 2 * (base.state - counters)


def test_gradient_checkpointing_that_is_off_saves_more_and_computes_less():
    on, off = (
        count_step(*make_step("full", gradient_checkpointing=True)),
        count_step(*make_step("full")),
    )
    assert off.saved > 2 * on.saved
    assert off.flops < on.flops
    assert off.operations < on.operations


def test_a_second_copy_of_the_weights_counts_wherever_it_is_kept():
    base = count_step(*make_step("lora"))
    step, model, optimizer = make_step("lora")
    model.copy = [
        one.detach().clone() for one in model.parameters()
    ]  # neither parameters nor buffers
    kept = count_step(step, model, optimizer)
    assert kept.weights == base.weights + sum(one.nbytes for one in model.copy)
    assert kept.peak - base.peak == kept.weights - base.weights


def test_a_second_copy_that_is_made_in_the_step_is_among_its_activations():
    base = count_step(*make_step("lora"))
    step, model, optimizer = make_step("lora")
    seen = []

    def copying():
        seen.append(copy.deepcopy([one.data for one in model.parameters()]))
        step()

    found = count_step(copying, model, optimizer)
    assert found.activations - base.activations == sum(one.nbytes for one in seen[0])


def test_five_per_cent_more_work_is_five_per_cent_more_flops_and_one_more_operation():
    base = count_step(*make_step("lora"))
    step, model, optimizer = make_step("lora")
    size = round((0.05 * base.flops / 2) ** (1 / 3))
    one = torch.ones(size, size)

    def slower():
        one @ one
        step()

    found = count_step(slower, model, optimizer)
    assert found.operations == base.operations + 1
    assert found.flops == base.flops + 2 * size**3

"""The faults that `make gpu` plants can be planted and taken back."""

import torch

from scripts.gpu.faulty_serve import PLANTED, wait_for_the_device
from tests.faults import change
from tests.faults.timed import TIMED


def test_the_faults_of_cost_of_the_cpu_and_a_wait_are_planted():
    assert [name for name in PLANTED if name not in TIMED] == ["a wait for the device in each step"]
    assert not [name for name in TIMED if name not in PLANTED]


def test_the_wait_is_reached_by_a_backward_pass_and_is_taken_back():
    usual = torch.Tensor.backward
    wait_for_the_device()
    weight = torch.ones(2, requires_grad=True)
    weight.sum().backward()
    assert "Tensor.backward" in change.REACHED and weight.grad.tolist() == [1.0, 1.0]
    change.undo()
    assert torch.Tensor.backward is usual

"""Plant a fault, then serve timings as pytest_ftcompare/gate/serve.py does.

cost_faults.py lets the gate start this module in place of `serve`: a fresh process must have the
fault, too.
"""

from __future__ import annotations

import os
import runpy
from collections.abc import Callable, Mapping
from typing import Any

from tests.faults.change import patch
from tests.faults.timed import TIMED

FAULT_VARIABLE = "FTCOMPARE_PLANTED_FAULT"


def wait_for_the_device() -> None:
    """Each backward pass waits until the device has finished the forward pass."""
    import torch

    @patch(torch.Tensor, "backward")
    def waiting(real: Callable[..., Any], self: torch.Tensor, *arguments: Any, **named: Any) -> Any:
        self.item()
        return real(self, *arguments, **named)


PLANTED: Mapping[str, Callable[[], None]] = {
    **TIMED,
    "a wait for the device in each step": wait_for_the_device,
}

if __name__ == "__main__":
    PLANTED[os.environ[FAULT_VARIABLE]]()
    runpy.run_module("pytest_ftcompare.gate.serve", run_name="__main__")

"""Cases that only claims need: a method with one option changed from its recipe.

`full` runs at LoRA's learning rate, and `lora` at rates of full fine-tuning. The gate shows the
accuracies and does not judge them, because some cases fail by design.
"""

import pytest

TASKS = ("cola", "mnli")


@pytest.mark.ftcompare(
    methods=("lora",), tasks=TASKS, shots=(32,), grid={"lr": (1e-5, 5e-4)}, judge_accuracy=False
)
@pytest.mark.ftcompare(
    methods=("full",), tasks=TASKS, shots=(32,), grid={"lr": (5e-3,)}, judge_accuracy=False
)
@pytest.mark.ftcompare(
    methods=("adapter_drop",), tasks=TASKS, shots=(32,), grid={"drop": (0, 2)}, judge_accuracy=False
)
def test_ablations(gate):
    gate()

"""Cases that only claims need: a method with one option moved away from its recipe (`full`'s and `lora`'s rates are exchanged).

Their accuracy is shown, never judged: some are there because they fail. The rates are those of the pocket recipes.
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

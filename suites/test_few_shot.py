"""Study 1: few-shot fine-tuning methods, in and out of domain (arXiv:2405.13181, arXiv:2305.16938).

With two examples per class most methods learn nothing, so those cases are shown and not judged. The
sweep of ranks uses LoRA's own learning rate. At full fine-tuning's, as in the study's published
runs, no rank learns anything in so few steps.
"""

import pytest

METHODS = ("full", "pbft", "icl", "partial", "adaptive", "lora", "context_distillation")
TASKS = ("cola", "mnli")
JUDGED_FROM = 16


@pytest.mark.ftcompare(methods=METHODS, tasks=TASKS, shots="few", judge_from_shots=JUDGED_FROM)
@pytest.mark.ftcompare(
    methods=("full", "lora"), tasks=TASKS, shots="sweep", judge_from_shots=JUDGED_FROM
)
@pytest.mark.ftcompare(
    methods=("lora",),
    tasks=TASKS,
    shots="ranks",
    grid={"r": (1, 2, 4, 64)},
    judge_from_shots=JUDGED_FROM,
)
# The teacher reads only the instruction, which the embedded models cannot understand.
@pytest.mark.ftcompare(
    methods=("context_distillation",),
    tasks=TASKS,
    shots="ranks",
    options={"demonstrations": 0, "instruction": True},
    judge_accuracy=False,
)
def test_few_shot(gate):
    gate()

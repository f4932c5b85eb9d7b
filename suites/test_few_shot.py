"""Study 1: few-shot fine-tuning methods, in and out of domain (arXiv:2405.13181, arXiv:2305.16938).

With two examples per class most methods learn nothing: those cells are shown, never judged. The sweep of ranks has LoRA's
own learning rate; at that of full fine-tuning, as in the study's published runs, no rank moves in so few steps.
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
@pytest.mark.ftcompare(  # the teacher is told the instruction alone, which says nothing to the embedded models
    methods=("context_distillation",),
    tasks=TASKS,
    shots="ranks",
    options={"demonstrations": 0, "instruction": True},
    judge_accuracy=False,
)
def test_few_shot(gate):
    gate()

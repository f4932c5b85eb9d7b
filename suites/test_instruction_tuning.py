"""Study 3: instruction tuning with full fine-tuning and LoRA (arXiv:2304.08109).

Two sizes of the base model cross three scales of data. The third arm adapts an instruction-tuned
base model to a new domain, sums, beside the plain base model, to compare the gap between full
fine-tuning and LoRA on the same rows. Unlike the study's arms, both methods train on the same rows
for the same epochs. Costs are timed on each base model. `shots` are rows.

LoRA on the plain base model hardly learns the sums, because it has never written digits. This pair
is shown and not judged, like the scales that teach a base model too little.
"""

import pytest

METHODS = ("full", "lora")
ANSWER = {"output_mode": "answer"}


@pytest.mark.ftcompare(
    methods=METHODS,
    tasks=("instructions",),
    models=("small",),
    shots="rows",
    options=ANSWER,
    judge_from_shots="enough_for_small",
)
@pytest.mark.ftcompare(
    methods=METHODS,
    tasks=("instructions",),
    models=("large",),
    shots="rows",
    options=ANSWER,
    judge_from_shots="enough",
)
@pytest.mark.ftcompare(
    methods=METHODS, tasks=("sums",), models=("tuned",), shots="new_domain", options=ANSWER
)
@pytest.mark.ftcompare(
    methods=METHODS,
    tasks=("sums",),
    models=("large",),
    shots="new_domain",
    options=ANSWER,
    judge_accuracy=False,
)
def test_instruction_tuning(gate):
    gate()

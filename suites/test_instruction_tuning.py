"""Study 3: instruction tuning in full and by LoRA (arXiv:2304.08109), two sizes of the base model by three scales of data.

The third arm adapts a base that is already instruction-tuned to a new domain, with the plain base beside it: the gap between
full fine-tuning and LoRA is compared on the same rows. Both methods train on the same rows for the same epochs, which the
study's arms do not; what they cost is timed on each base. `shots` are rows. LoRA of the plain embedded base hardly learns the
sums (their answers are digits, which it has never written), so that pair is shown, not judged; so
are the scales that teach a base too little.
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

"""Tune an embedded base model on instructions. `scripts/make_pocket.py` calls `instruct`.

The third arm of the instruction-tuning study starts from this model. It learns general requests,
with rows that the embedded data does not hold, and no sums, which are the new domain.
"""

from __future__ import annotations

import random
from dataclasses import replace
from pathlib import Path

from pytest_ftcompare.pocket.data import instruction_row
from pytest_ftcompare.pocket.requests import request
from pytest_ftcompare.pocket.tokenizer import save_tokenizer
from pytest_ftcompare.results.case import Case
from pytest_ftcompare.tasks import Example, load

TASK = "pocket_requests"
ROWS = 16_000
OPTIONS = {"output_mode": "answer", "batch_size": 16, "epochs": 1, "lr": 1e-3}


def fresh_rows(taken: set[str], seed: int) -> list[Example]:
    """Return `ROWS` general requests without the prompts of `taken`. Some occur twice."""
    rng = random.Random(f"{seed} instruct")
    rows: list[Example] = []
    while len(rows) < ROWS:
        rows += [
            example
            for example in load(TASK).convert("train", [instruction_row(request(rng))])
            if example.fields["prompt"] not in taken
        ]
    return rows


def instruct(name: str, target: Path, seed: int = 0) -> None:
    """Tune the embedded model `name` and save it with its tokenizer in HF format in `target`."""
    from transformers import AutoTokenizer

    from pytest_ftcompare.training.config import TrainingConfig
    from pytest_ftcompare.training.prepare import prepare
    from pytest_ftcompare.training.prepared_seed import PreparedSeed
    from pytest_ftcompare.training.train import train

    case = Case("pocket", "full", TASK, f"pocket/{name}", ROWS, tuple(sorted(OPTIONS.items())))
    prepared = prepare(case, TrainingConfig("pocket", max_length=192))
    taken = {row.fields["prompt"] for split in prepared.examples.values() for row in split}
    prepared = replace(prepared, examples={"train": fresh_rows(taken, seed)})
    model = prepared.adapted()

    def print_progress(step: int, steps: int, loss: float) -> None:
        if step % 100 == 0:
            print(f"{name}  step {step}/{steps}  loss {loss:.3f}", flush=True)

    for stage in prepared.method.stages(model, PreparedSeed(prepared, seed, ROWS)):
        train(model, prepared.method, stage, seed, print_progress)
    model.save_pretrained(target)  # type: ignore[operator]
    save_tokenizer(AutoTokenizer.from_pretrained(prepared.interface.path), target)

"""Step and inference time of every method's last stage relative to full fine-tuning, side by side in one run.

`python -m pytest_ftcompare.scripts.speed docs/speed.json` on a quiet machine. Methods take turns: in each round every
method does a few updates and forward passes, and is compared with full fine-tuning, asked the same way, of the same round, so
that the machine's speed of the minute cancels. The median over rounds is recorded.
"""

from __future__ import annotations

import itertools
import json
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from statistics import median

import torch

from pytest_ftcompare import methods
from pytest_ftcompare.case import Case
from pytest_ftcompare.experiment.environment import capture
from pytest_ftcompare.experiment.evaluate import class_logits
from pytest_ftcompare.experiment.prepare import prepare
from pytest_ftcompare.experiment.quiet import quiet
from pytest_ftcompare.experiment.setting import Setting
from pytest_ftcompare.experiment.train import backward, make_optimizer, trainable
from pytest_ftcompare.experiment.trial import Trial

MODEL, TASK, SHOTS = "pocket/opt-1.4m", "pocket_mnli", 8
SETTING = Setting("pocket", max_length=192)
ROUNDS, STEPS = 15, 4


@dataclass(frozen=True)
class Runner:
    """A method ready to do one update of 16 rows, or one forward pass over them."""

    ask: str
    step: Callable[[], object]
    infer: Callable[[], object]


def runner(name: str, ask: str) -> Runner:
    """Build the method's model and its optimiser; the same 16 rows for all that render them alike."""
    prepared = prepare(Case("speed", name, TASK, MODEL, SHOTS, (("accumulate", 1), ("ask", ask))), SETTING)
    trial = Trial(prepared, 0, SHOTS)
    torch.manual_seed(0)
    model = prepared.adapted()
    stage = trial.stage(prepared.method.recipe)
    optimizer = make_optimizer(model, stage)
    prepared.method.after_step(model, 0, STEPS * (ROUNDS + 1))
    parameters, number = list(trainable(model).values()), itertools.count(1)

    def step() -> None:
        model.train()
        backward(model, stage, list(range(len(stage.rows))), 1)
        torch.nn.utils.clip_grad_norm_(parameters, prepared.method.recipe.clip)
        optimizer.step()
        prepared.method.after_step(model, next(number), STEPS * (ROUNDS + 1))
        optimizer.zero_grad()

    return Runner(ask, step, lambda: class_logits(model, prepared.ask, trial.rows))


def _seconds(work: Callable[[], object]) -> float:
    start = time.perf_counter()
    for _ in range(STEPS):
        work()
    return (time.perf_counter() - start) / STEPS


def measure() -> dict[str, dict[str, float]]:
    """Method -> its training and inference time in those of full fine-tuning."""
    asks = {name: methods.load(name).asks[0] for name in methods.NAMES if methods.load(name).trains}
    runners = {name: runner(name, ask) for name, ask in asks.items()}
    references = {ask: runner("full", ask) for ask in set(asks.values())}
    ratios: dict[str, dict[str, list[float]]] = {name: {"train": [], "inference": []} for name in runners}
    for number in range(ROUNDS + 1):
        base = {ask: (_seconds(one.step), _seconds(one.infer)) for ask, one in references.items()}
        for name, one in runners.items():
            if number:  # the first round warms up
                ratios[name]["train"].append(_seconds(one.step) / base[one.ask][0])
                ratios[name]["inference"].append(_seconds(one.infer) / base[one.ask][1])
        print(f"round {number} of {ROUNDS}", file=sys.stderr, flush=True)
    return {name: {what: round(median(values), 2) for what, values in found.items()} for name, found in ratios.items()}


def main(file: Path) -> None:
    """Measure, and write the record."""
    quiet()
    torch.set_num_threads(1)
    machine = {name: value for name, value in capture(SETTING, "full", TASK).items() if "/" not in name and name != "commit"}
    record = {"date": date.today().isoformat(), "machine": machine, "relative to full": measure()}
    file.write_text(f"{json.dumps(record, indent=1)}\n", encoding="utf-8")


if __name__ == "__main__":
    main(Path(sys.argv[1]))

"""The loop's step, and the step while live lines tell of it, against a bare torch loop and against transformers' Trainer: same
model, same batch, side by side in one run.

`python -m scripts.overhead docs/overhead.json` on a quiet machine. They take turns for a few updates; a round
compares them, so that the machine's speed of the minute cancels; the median over rounds is recorded.
"""

from __future__ import annotations

import json
import os
import pty
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, nullcontext, suppress
from datetime import date
from pathlib import Path
from statistics import median
from types import SimpleNamespace
from typing import Any

import torch
from torch import nn

from pytest_ftcompare.gate.run_context import RunContext
from pytest_ftcompare.gate.worker_status import WorkerStatus
from pytest_ftcompare.measure.environment import capture
from pytest_ftcompare.plugin.live_display import TerminalDisplay
from pytest_ftcompare.plugin.progress import Progress
from pytest_ftcompare.results.case import Case
from pytest_ftcompare.training.config import TrainingConfig
from pytest_ftcompare.training.library_logging import quiet
from pytest_ftcompare.training.prepare import PreparedCase, prepare
from pytest_ftcompare.training.prepared_seed import PreparedSeed
from pytest_ftcompare.training.train import Training

TASK, SHOTS = "pocket_mnli", 8
SETTING = TrainingConfig("pocket", max_length=192)
MODELS = ("pocket/opt-0.4m", "pocket/opt-1.4m")
ROUNDS, STEPS = 25, 8
Steps = Callable[[int], float]  # seconds of one of so many updates


def _seconds(update: Callable[[], object], count: int) -> float:
    start = time.perf_counter()
    for _ in range(count):
        update()
    return (time.perf_counter() - start) / count


def _fresh(prepared: PreparedCase) -> tuple[nn.Module, PreparedSeed]:
    torch.manual_seed(0)
    return prepared.adapted(), PreparedSeed(prepared, 0, SHOTS)


def project_loop(prepared: PreparedCase) -> Steps:
    """The project's own loop."""
    model, context = _fresh(prepared)
    stage = context.stage(prepared.method.recipe)
    training = Training(model, prepared.method, stage, ROUNDS * STEPS * 2, 0)
    rows = list(range(len(stage.rows)))
    return lambda count: _seconds(lambda: training.update(rows), count)


@contextmanager
def on_a_terminal(folder: Path) -> Iterator[TerminalDisplay]:
    """Live lines, drawn in this process on a terminal that nobody looks at, as without xdist."""
    ours, theirs = pty.openpty()
    with ExitStack() as stack:
        screen = stack.enter_context(os.fdopen(theirs, "w", buffering=1))
        reader = threading.Thread(target=_drain, args=(ours,), daemon=True)
        reader.start()
        reporter: Any = SimpleNamespace(
            _tw=SimpleNamespace(_file=screen, width_of_current_line=0, hasmarkup=True)
        )
        live = TerminalDisplay(reporter, Progress(folder, workers=1))
        yield live
        live.stop()


def _drain(descriptor: int) -> None:
    with suppress(OSError):  # its other end is closed
        while os.read(descriptor, 65536):
            pass


def reporting_loop(prepared: PreparedCase, folder: Path) -> Steps:
    """The project's own loop, telling after each update how far it is."""
    model, context = _fresh(prepared)
    stage = context.stage(prepared.method.recipe)
    training = Training(model, prepared.method, stage, ROUNDS * STEPS * 2, 0)
    rows = list(range(len(stage.rows)))
    say = WorkerStatus(folder, "main").reporter(prepared.case.id)
    tell = RunContext(folder, None, 0.0, say).progress("seed 0")

    def update() -> None:
        training.update(rows)
        tell(training.number, ROUNDS * STEPS * 2, 0.5)

    return lambda count: _seconds(update, count)


def bare_loop(prepared: PreparedCase) -> Steps:
    """What one would write by hand: forward, loss, backward, clip, step, and the loss read."""
    model, context = _fresh(prepared)
    recipe = prepared.method.recipe
    batch: Any = prepared.interface.collate(context.rows)
    parameters = list(model.parameters())
    optimizer = torch.optim.AdamW(parameters, lr=recipe.lr, weight_decay=recipe.weight_decay)
    labels = context.labels
    model.train()

    def update() -> None:
        loss = nn.functional.cross_entropy(model(**batch).logits, labels)
        loss.backward()
        nn.utils.clip_grad_norm_(parameters, recipe.max_grad_norm)
        optimizer.step()
        optimizer.zero_grad()
        loss.item()

    return lambda count: _seconds(update, count)


def trainer_loop(prepared: PreparedCase) -> Steps:
    """transformers' Trainer on the same rows in batches of all of them; its setting up is not timed."""
    from transformers import Trainer, TrainerCallback, TrainingArguments

    model, context = _fresh(prepared)
    recipe, interface = prepared.method.recipe, prepared.interface
    data: Any = [
        {"row": row, "label": label}
        for row, label in zip(context.rows, context.labels.tolist(), strict=True)
    ]
    ends: list[float] = []

    class Clock(TrainerCallback):
        def on_step_begin(self, *_: Any, **__: Any) -> None:
            ends.append(time.perf_counter())

    def collate(chosen: list[dict[str, Any]]) -> dict[str, Any]:
        return interface.collate([one["row"] for one in chosen]) | {
            "labels": torch.tensor([one["label"] for one in chosen])
        }

    def steps(count: int) -> float:
        with tempfile.TemporaryDirectory() as folder:
            arguments = TrainingArguments(
                output_dir=folder,
                use_cpu=True,
                max_steps=count + 1,
                per_device_train_batch_size=len(data),
                learning_rate=recipe.lr,
                max_grad_norm=recipe.max_grad_norm,
                report_to=[],
                logging_strategy="no",
                save_strategy="no",
                disable_tqdm=True,
                remove_unused_columns=False,
                dataloader_pin_memory=False,
            )
            ends.clear()
            Trainer(
                model=model,
                args=arguments,
                train_dataset=data,
                data_collator=collate,
                callbacks=[Clock()],
            ).train()
        return (ends[-1] - ends[0]) / count

    return steps


def measure(model: str) -> dict[str, float]:
    """Step time in those of the bare loop, of the told loop in those of the loop, and the bare loop's in milliseconds."""
    case = Case("overhead", "full", TASK, model, SHOTS, (("accumulate", 1),))
    kinds: dict[str, Steps] = {
        "ours": project_loop(prepare(case, SETTING)),
        "bare": bare_loop(prepare(case, SETTING)),
    }
    kinds["Trainer"] = trainer_loop(prepare(case, SETTING))
    found: dict[str, list[float]] = {name: [] for name in (*kinds, "told")}
    with tempfile.TemporaryDirectory() as name:
        kinds["told"] = reporting_loop(prepare(case, SETTING), Path(name))
        for number in range(ROUNDS + 1):
            for kind, steps in kinds.items():
                with on_a_terminal(Path(name)) if kind == "told" else nullcontext():
                    seconds = steps(STEPS)
                if number:  # the first round warms up
                    found[kind].append(seconds)
            print(f"{model}: round {number} of {ROUNDS}", file=sys.stderr, flush=True)

    def ratio(kind: str, to: str = "bare") -> float:
        return round(
            median(one / base for one, base in zip(found[kind], found[to], strict=True)), 3
        )

    times = {
        "ours": ratio("ours"),
        "Trainer": ratio("Trainer"),
        "told to ours": ratio("told", "ours"),
    }
    return times | {"bare, ms": round(1e3 * median(found["bare"]), 2)}


def main(file: Path) -> None:
    """Measure, and write the record."""
    quiet()
    torch.set_num_threads(1)
    machine = {
        name: value
        for name, value in capture(SETTING, "full", TASK).items()
        if "/" not in name and name != "commit"
    }
    record = {
        "date": date.today().isoformat(),
        "machine": machine,
        "step time": {one: measure(one) for one in MODELS},
    }
    file.write_text(f"{json.dumps(record, indent=1)}\n", encoding="utf-8")


if __name__ == "__main__":
    main(Path(sys.argv[1]))

"""Compare the project's training loop with a bare torch loop and transformers' Trainer.

Run `python -m scripts.overhead docs/overhead.json` on a quiet machine. It also times the loop with
the live display. All loops train the same model on the same batch. They take turns for a few
updates, so that the machine's present speed cancels. The record has the median over rounds.
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
# Number of updates -> seconds of one update.
Steps = Callable[[int], float]


def _seconds(update: Callable[[], object], count: int) -> float:
    start = time.perf_counter()
    for _ in range(count):
        update()
    return (time.perf_counter() - start) / count


def _fresh(prepared: PreparedCase) -> tuple[nn.Module, PreparedSeed]:
    torch.manual_seed(0)
    return prepared.adapted(), PreparedSeed(prepared, 0, SHOTS)


def project_loop(prepared: PreparedCase) -> Steps:
    """Return the steps of the project's own loop."""
    model, context = _fresh(prepared)
    stage = context.stage(prepared.method.recipe)
    training = Training(model, prepared.method, stage, ROUNDS * STEPS * 2, 0)
    rows = list(range(len(stage.rows)))
    return lambda count: _seconds(lambda: training.update(rows), count)


@contextmanager
def on_a_terminal(folder: Path) -> Iterator[TerminalDisplay]:
    """Draw the live display in this process on a pseudo-terminal, as without xdist."""
    reading_end, writing_end = pty.openpty()
    with ExitStack() as stack:
        screen = stack.enter_context(os.fdopen(writing_end, "w", buffering=1))
        reader = threading.Thread(target=_drain, args=(reading_end,), daemon=True)
        reader.start()
        reporter: Any = SimpleNamespace(
            _tw=SimpleNamespace(_file=screen, width_of_current_line=0, hasmarkup=True)
        )
        display = TerminalDisplay(reporter, Progress(folder, workers=1))
        yield display
        display.stop()


def _drain(descriptor: int) -> None:
    # Reading raises when the other end is closed.
    with suppress(OSError):
        while os.read(descriptor, 65536):
            pass


def reporting_loop(prepared: PreparedCase, folder: Path) -> Steps:
    """Return the steps of the project's loop with a status report after each update."""
    model, context = _fresh(prepared)
    stage = context.stage(prepared.method.recipe)
    training = Training(model, prepared.method, stage, ROUNDS * STEPS * 2, 0)
    rows = list(range(len(stage.rows)))
    status = WorkerStatus(folder, "main").reporter(prepared.case.id)
    report = RunContext(folder, None, 0.0, status).progress("seed 0")

    def update() -> None:
        training.update(rows)
        report(training.number, ROUNDS * STEPS * 2, 0.5)

    return lambda count: _seconds(update, count)


def bare_loop(prepared: PreparedCase) -> Steps:
    """Return the steps of a minimal loop: forward, loss, backward, clip, step, read the loss."""
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
    """Return the steps of transformers' Trainer with all rows as one batch, without its set-up."""
    from transformers import Trainer, TrainerCallback, TrainingArguments

    model, context = _fresh(prepared)
    recipe, interface = prepared.method.recipe, prepared.interface
    data: Any = [
        {"row": row, "label": label}
        for row, label in zip(context.rows, context.labels.tolist(), strict=True)
    ]
    starts: list[float] = []

    class Clock(TrainerCallback):
        def on_step_begin(self, *_: Any, **__: Any) -> None:
            starts.append(time.perf_counter())

    def collate(chosen: list[dict[str, Any]]) -> dict[str, Any]:
        return interface.collate([item["row"] for item in chosen]) | {
            "labels": torch.tensor([item["label"] for item in chosen])
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
            starts.clear()
            Trainer(
                model=model,
                args=arguments,
                train_dataset=data,
                data_collator=collate,
                callbacks=[Clock()],
            ).train()
        return (starts[-1] - starts[0]) / count

    return steps


def measure(model: str) -> dict[str, float]:
    """Return step times over the bare loop's, and the bare loop's in ms.

    The reporting loop's step time is over that of the project's loop.
    """
    case = Case("overhead", "full", TASK, model, SHOTS, (("micro_batches", 1),))
    kinds: dict[str, Steps] = {
        "ours": project_loop(prepare(case, SETTING)),
        "bare": bare_loop(prepare(case, SETTING)),
    }
    kinds["Trainer"] = trainer_loop(prepare(case, SETTING))
    seconds_of: dict[str, list[float]] = {name: [] for name in (*kinds, "told")}
    with tempfile.TemporaryDirectory() as name:
        kinds["told"] = reporting_loop(prepare(case, SETTING), Path(name))
        for number in range(ROUNDS + 1):
            for kind, steps in kinds.items():
                with on_a_terminal(Path(name)) if kind == "told" else nullcontext():
                    seconds = steps(STEPS)
                # The first round warms up.
                if number:
                    seconds_of[kind].append(seconds)
            print(f"{model}: round {number} of {ROUNDS}", file=sys.stderr, flush=True)

    def ratio(kind: str, to: str = "bare") -> float:
        pairs = zip(seconds_of[kind], seconds_of[to], strict=True)
        return round(median(seconds / base for seconds, base in pairs), 3)

    times = {
        "ours": ratio("ours"),
        "Trainer": ratio("Trainer"),
        "told to ours": ratio("told", "ours"),
    }
    return times | {"bare, ms": round(1e3 * median(seconds_of["bare"]), 2)}


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
        "step time": {model: measure(model) for model in MODELS},
    }
    file.write_text(f"{json.dumps(record, indent=1)}\n", encoding="utf-8")


if __name__ == "__main__":
    main(Path(sys.argv[1]))

"""Search each method's hyper-parameters on the pocket profile, and record every trial.

`python -m scripts.search docs/search.json [METHOD ...]` scores every setting of a method's grid on
held-out rows of the training pool, with seeds that no baseline uses. It never reads a test split.
An existing file keeps the other methods' trials. Recipes in `methods/` use the best settings;
tests/methods/test_search.py checks that.
"""

from __future__ import annotations

import itertools
import json
import os
import sys
from collections.abc import Iterator, Mapping
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from pathlib import Path
from statistics import fmean
from typing import Any

MODEL, TASKS, SHOTS, SEEDS = (
    "pocket/opt-1.4m",
    ("pocket_cola", "pocket_mnli"),
    32,
    (100, 101, 102, 103),
)
VALIDATION = 200  # rows held out of the training pool
LEARNING_RATES = (3e-4, 1e-3, 3e-3, 1e-2)
HIGH_RATES = (3e-3, 1e-2, 3e-2, 1e-1)  # for methods that train few parameters
LORA_RATES = (1e-3, 3e-3, 5e-3, 1e-2, 2e-2)
# Their grids have the learning rate 0.0, which scores the initial text without training.
PROMPT_LENGTHS = (5, 10)
# Method -> option or recipe field -> values; other methods search LEARNING_RATES.
GRIDS: Mapping[str, Mapping[str, tuple[Any, ...]]] = {
    "full": {"lr": (1e-4, 3e-4, 5e-4, 1e-3)},
    "pbft": {"lr": (1e-4, 3e-4, 5e-4, 1e-3), "epochs": (10, 20)},
    "adaptive": {"lr": (1e-4, 3e-4, 5e-4, 1e-3), "text_lr": (1e-4, 3e-4)},
    "context_distillation": {"lr": (1e-4, 3e-4, 1e-3), "demonstrations": (2, 4)},
    "prefix_tuning": {"lr": (0.0, 1e-4, 3e-4, 1e-3, 3e-3), "length": PROMPT_LENGTHS},
    "prompt_tuning": {"lr": (0.0, 1e-3, 3e-3, 1e-2, 3e-2), "length": PROMPT_LENGTHS},
    "p_tuning": {"lr": (0.0, 1e-4, 3e-4, 1e-3, 3e-3), "length": PROMPT_LENGTHS},
    "p_tuning_v2": {"lr": (1e-3, 3e-3, 1e-2, 3e-2), "length": PROMPT_LENGTHS},
    "adapter": {"lr": (1e-3, 3e-3, 1e-2, 2e-2)},
    "adapter_drop": {"lr": (1e-3, 3e-3, 1e-2, 2e-2)},
    "bitfit": {"lr": HIGH_RATES},
    "ia3": {"lr": (1e-2, 3e-2, 1e-1, 3e-1)},
    "vera": {"lr": HIGH_RATES},
    "ln_tuning": {"lr": HIGH_RATES},
    "adalora": {"lr": HIGH_RATES},
    "mam": {"lr": (1e-3, 3e-3, 1e-2), "scale": (1.0, 4.0)},
    "unipelt": {"lr": (1e-3, 3e-3, 1e-2)},
    "lora": {"lr": LORA_RATES},
    "dora": {"lr": LORA_RATES},
    "rslora": {"lr": LORA_RATES},
}
Setting = tuple[tuple[str, Any], ...]


def settings(method: str) -> Iterator[Setting]:
    """Yield every setting of a method's grid."""
    grid = GRIDS.get(method, {"lr": LEARNING_RATES})
    yield from (
        tuple(zip(grid, values, strict=True)) for values in itertools.product(*grid.values())
    )


def score(method: str, task: str, seed: int, setting: Setting) -> float:
    """Train with one seed and return the accuracy on held-out rows, 0 if training diverges."""
    from pytest_ftcompare.results.case import Case
    from pytest_ftcompare.training.config import TrainingConfig
    from pytest_ftcompare.training.library_logging import quiet
    from pytest_ftcompare.training.prepare import prepare
    from pytest_ftcompare.training.run_seed import run_seed
    from pytest_ftcompare.training.train import TrainingError

    quiet()
    prepared = prepare(
        Case("search", method, task, MODEL, SHOTS, setting),
        TrainingConfig("pocket", max_length=192),
    )
    pool = prepared.examples["train"]
    examples = {"train": pool[VALIDATION:], "test": pool[:VALIDATION], "ood": pool[:1]}
    try:
        return run_seed(replace(prepared, examples=examples), seed, lambda *_: None).metrics[
            "accuracy"
        ]
    except TrainingError:
        return 0.0


def best(trials: list[dict[str, Any]]) -> dict[str, Any]:
    """Return the setting with the highest mean accuracy, the first of ties."""
    top = max(trials, key=lambda trial: trial["mean"])
    setting: dict[str, Any] = top["setting"]
    return setting


def _text(record: dict[str, list[dict[str, Any]]]) -> str:
    """Return the record as JSON with one trial per line."""
    blocks = [
        f" {json.dumps(name)}: [\n  " + ",\n  ".join(map(json.dumps, record[name])) + "\n ]"
        for name in sorted(record)
    ]
    return "{\n" + ",\n".join(blocks) + "\n}\n"


def main(file: Path, names: list[str]) -> None:
    """Search these methods, or all, in parallel. Write the record after each method."""
    from pytest_ftcompare import methods

    record: dict[str, list[dict[str, Any]]] = json.loads(file.read_text()) if file.exists() else {}
    os.environ.update(TOKENIZERS_PARALLELISM="false", HF_HUB_OFFLINE="1")
    with ProcessPoolExecutor() as pool:
        running = {
            name: [
                (
                    setting,
                    {
                        task: [pool.submit(score, name, task, seed, setting) for seed in SEEDS]
                        for task in TASKS
                    },
                )
                for setting in settings(name)
            ]
            for name in names or [method for method in methods.NAMES if methods.load(method).trains]
        }
        for name, trials in running.items():
            record[name] = []
            for setting, runs in trials:
                scores = {
                    task: [future.result() for future in futures] for task, futures in runs.items()
                }
                mean = fmean(itertools.chain(*scores.values()))
                record[name].append(
                    {"setting": dict(setting), "mean": round(mean, 4), "accuracy": scores}
                )
            file.write_text(_text(record))
            top = max(trial["mean"] for trial in record[name])
            print(f"{name:22} {top:.1%}  {best(record[name])}", flush=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2:])

"""Search each method's hyper-parameters on the pocket profile, and record every trial.

`python -m pytest_ftcompare.experiment.search docs/search.json [METHOD ...]` scores every setting of a method's grid on rows of
the training pool that no sample holds, with seeds that no baseline has: the test splits are never looked at. A file that is
there already is added to. A recipe in `methods/` is the best setting found here, which a test holds.
"""

from __future__ import annotations

import itertools
import json
import logging
import os
import sys
from collections.abc import Iterator, Mapping
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

MODEL, TASKS, SHOTS, SEEDS = "pocket/opt-1.4m", ("pocket_cola", "pocket_mnli"), 32, (100, 101)
VALIDATION = 200  # rows held out of the training pool
LEARNING_RATES = (3e-4, 1e-3, 3e-3, 1e-2)
HIGH = (3e-3, 1e-2, 3e-2, 1e-1)  # for methods that train few numbers
# What is searched besides, or instead: option or recipe field -> values.
GRIDS: Mapping[str, Mapping[str, tuple[Any, ...]]] = {
    "full": {"lr": (1e-4, 3e-4, 5e-4, 1e-3)},
    "pbft": {"lr": (1e-4, 3e-4, 5e-4, 1e-3), "epochs": (10, 20)},
    "adaptive": {"lr": (3e-4, 5e-4, 1e-3), "text_lr": (1e-4, 3e-4)},
    "context_distillation": {"lr": (3e-5, 1e-4, 3e-4), "demonstrations": (2, 4)},
    "prefix_tuning": {"lr": LEARNING_RATES, "length": (2, 5)},
    "prompt_tuning": {"lr": HIGH, "length": (2, 5, 10)},
    "p_tuning": {"lr": LEARNING_RATES, "length": (2, 5, 10)},
    "p_tuning_v2": {"lr": HIGH, "length": (2, 5)},
    "bitfit": {"lr": HIGH},
    "ia3": {"lr": HIGH},
    "vera": {"lr": HIGH},
    "ln_tuning": {"lr": HIGH},
    "adalora": {"lr": HIGH},
    "mam": {"lr": LEARNING_RATES, "length": (2, 5), "scale": (1.0, 4.0)},
    "unipelt": {"lr": LEARNING_RATES, "length": (2, 5)},
    "lora": {"lr": (1e-3, 3e-3, 5e-3, 1e-2)},
    "dora": {"lr": (1e-3, 3e-3, 5e-3, 1e-2)},
    "rslora": {"lr": (1e-3, 3e-3, 5e-3, 1e-2)},
}
Setting = tuple[tuple[str, Any], ...]


def settings(method: str) -> Iterator[Setting]:
    """Every setting of a method's grid."""
    grid = GRIDS.get(method, {"lr": LEARNING_RATES})
    yield from (tuple(zip(grid, values, strict=True)) for values in itertools.product(*grid.values()))


def score(method: str, task: str, seed: int, setting: Setting) -> float:
    """Accuracy on the held-out rows after training with one seed; 0 where training diverges."""
    from pytest_ftcompare.case import Case
    from pytest_ftcompare.experiment.prepare import prepare
    from pytest_ftcompare.experiment.run import run_seed
    from pytest_ftcompare.experiment.setting import Setting as Where
    from pytest_ftcompare.experiment.train import TrainingError

    logging.disable(logging.WARNING)
    prepared = prepare(Case("search", method, task, MODEL, SHOTS, setting), Where("pocket", max_length=192))
    pool = prepared.examples["train"]
    examples = {"train": pool[VALIDATION:], "test": pool[:VALIDATION], "ood": pool[:1]}
    try:
        return run_seed(replace(prepared, examples=examples), seed, lambda *_: None).metrics["accuracy"]
    except TrainingError:
        return 0.0


def best(trials: list[dict[str, Any]]) -> dict[str, Any]:
    """The setting with the highest mean accuracy over tasks and seeds; of equals the first."""
    top = max(trials, key=lambda one: one["mean"])
    setting: dict[str, Any] = top["setting"]
    return setting


def main(file: Path, names: list[str]) -> None:
    """Search the methods named, in as many processes as there are processors, and write the record after each."""
    from pytest_ftcompare import methods

    record: dict[str, list[dict[str, Any]]] = json.loads(file.read_text()) if file.exists() else {}
    os.environ.update(TOKENIZERS_PARALLELISM="false", HF_HUB_OFFLINE="1")
    with ProcessPoolExecutor() as pool:
        for name in names or [one for one in methods.NAMES if methods.load(one).trains]:
            trials = []
            for setting in settings(name):
                runs = {task: [pool.submit(score, name, task, seed, setting) for seed in SEEDS] for task in TASKS}
                trials.append((setting, runs))
            record[name] = []
            for setting, runs in trials:
                scores = {task: [one.result() for one in found] for task, found in runs.items()}
                mean = sum(itertools.chain(*scores.values())) / (len(TASKS) * len(SEEDS))
                record[name].append({"setting": dict(setting), "mean": round(mean, 4), "accuracy": scores})
            lines = [
                f" {json.dumps(one)}: [\n  " + ",\n  ".join(map(json.dumps, record[one])) + "\n ]" for one in sorted(record)
            ]
            file.write_text("{\n" + ",\n".join(lines) + "\n}\n")
            chosen = best(record[name])
            print(f"{name:22} {max(one['mean'] for one in record[name]):.1%}  {chosen}", flush=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2:])

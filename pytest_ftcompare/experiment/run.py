"""One seed of a case: draw the sample, load, apply, train, evaluate."""

from __future__ import annotations

import time
from collections import Counter
from itertools import pairwise

import torch
from torch.nn.functional import cross_entropy

from pytest_ftcompare.experiment.evaluate import class_logits
from pytest_ftcompare.experiment.prepare import Prepared, labels
from pytest_ftcompare.experiment.train import Progress, Step, TrainingError, train
from pytest_ftcompare.experiment.trial import Trial
from pytest_ftcompare.result import Sample, Trace, digest, pack, rounded

FIRST = 4  # steps kept one by one
BLOCKS = 8  # means that make the loss curve


def trace_of(steps: list[Step]) -> Trace:
    """The digest of all steps, the first ones, and the loss curve as means over equal blocks."""
    blocks = min(BLOCKS, len(steps))
    edges = [len(steps) * at // blocks for at in range(blocks + 1)] if blocks else [0]
    curve = [rounded(sum(one.loss for one in steps[a:b]) / (b - a), 5) for a, b in pairwise(edges)]
    first = [[rounded(one.loss), rounded(one.norm)] for one in steps[:FIRST]]
    return Trace(digest([[one.loss, one.norm] for one in steps]), first, curve)


def run_seed(prepared: Prepared, seed: int, progress: Progress) -> Sample:
    """Train and evaluate one seed; raises `TrainingError` where a loss or a score is not finite."""
    trial = Trial(prepared, seed, prepared.case.shots)
    torch.manual_seed(seed)
    model, _ = prepared.adapted()
    start = time.perf_counter()
    steps: list[Step] = []
    if prepared.method.trains:
        for stage in prepared.method.stages(model, trial):
            steps += train(model, prepared.method, stage, seed, progress)
    seconds = time.perf_counter() - start

    progress(0, 0, 0.0)
    metrics: dict[str, float] = {}
    correct: dict[str, str] = {}
    predicted: dict[str, list[int]] = {}
    choices: dict[str, list[int]] = {}
    for split, name in (("test", "accuracy"), ("ood", "accuracy_ood")):
        examples = prepared.examples[split]
        wanted = torch.tensor(labels(examples))
        logits = class_logits(model, prepared.ask, prepared.encode(examples, trial.support))
        if not torch.isfinite(logits).all():
            raise TrainingError(f"expected finite scores on the {split} split, some are not (seed {seed})")
        chosen = logits.argmax(1)
        right = chosen == wanted
        metrics[name] = rounded(right.float().mean().item())
        metrics["loss" if split == "test" else "loss_ood"] = rounded(cross_entropy(logits, wanted).item())
        correct[split] = pack(right.tolist())
        counts = Counter(chosen.tolist())
        predicted[split] = [counts[label] for label in range(len(prepared.task.labels))]
        choices[split] = chosen.tolist()
    subset = digest(sorted([sorted(one.fields.items()), one.label] for one in trial.support))
    return Sample(seed, subset, trace_of(steps), metrics, correct, predicted, digest(choices), round(seconds, 2))

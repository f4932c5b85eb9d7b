"""What a run computes against what its baseline computed: structure, probe and trace, each difference a sign.

A sign has a level, the place in the computation where it shows; the first level names where a run left its baseline.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Literal, NamedTuple

from pytest_ftcompare.compare.brief import describe_change
from pytest_ftcompare.results.result import DROPOUT_DRAWS, Result, SeedResult, Trace, unpack

Relation = Literal["identical", "equivalent", "changed"]
Level = Literal[
    "invariant",
    "recipe",
    "signature",
    "outputs before any update",
    "loss at step 0",
    "gradient norm",
    "first update",
    "initialisation",
    "dropout",
    "training rows",
    "loss curve",
    "predictions",
    "outcome",
    "cost",
]


class Divergence(NamedTuple):
    """A difference: where it shows, and the sentence that says it."""

    level: Level
    text: str


# Relative tolerances of a deterministic float32 computation on another machine: instruction sets and thread counts were
# seen to move the probe's loss by under 1e-6 and its gradient norms by under 1e-4 (docs/statistics.md).
LOSS_TOLERANCE = 1e-4
GRADIENT_TOLERANCE = 1e-3  # of the global gradient norm: a tensor's own may be nearly zero
UPDATE_TOLERANCE = 1e-2  # compared only where the gradient is above the floor: Adam turns rounding noise into full steps
TRACE_TOLERANCE = 2e-3  # of the first steps' losses and norms, with dropout on
INIT_SIZE_TOLERANCE = 0.25  # of what initialisation draws, beside the error of a drawn root mean square
MAX_DROPOUT_SD_RATIO = (
    2.5  # ratio of two SDs of so many losses: one in a million of one strength differ as much
)


def _leaves(value: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    if isinstance(value, Mapping):
        for key, inner in value.items():
            yield from _leaves(inner, f"{path}.{key}" if path else str(key))
    elif isinstance(value, list) and any(isinstance(one, Mapping) for one in value):
        for number, inner in enumerate(value):
            yield from _leaves(inner, f"{path}.{number}" if len(value) > 1 else path)
    else:
        yield path, value


def compare_recipes(base: Result, new: Result) -> list[Divergence]:
    """Hyper-parameters that a method's file or a case sets otherwise."""
    before, after = dict(_leaves(base.recipe)), dict(_leaves(new.recipe))
    names = sorted(set(before) | set(after))
    return [
        Divergence("recipe", f"recipe {name.removeprefix('options.')} {describe_change(before, after, name)}")
        for name in names
        if before.get(name) != after.get(name)
    ]


def compare_structures(base: Result, new: Result) -> list[Divergence]:
    """Differences of the structural signature, which is exact on every machine."""
    before = dict(_leaves(base.signature["structure"]))
    after = dict(_leaves(new.signature["structure"]))
    found = []
    for name in sorted(set(before) | set(after)):
        if before.get(name) != after.get(name):
            short = name.replace("optimizer.groups.", "optimizer ").replace(
                "optimizer.", "optimizer "
            )
            if name.startswith("trains."):
                what = name.removeprefix("trains.")
                found.append(
                    f"trains {what}: {before.get(name, 0)} -> {after.get(name, 0)} tensors"
                )
            else:
                found.append(f"{short} {describe_change(before, after, name)}")
    return [Divergence("signature", one) for one in found]


def _differs(base: float, new: float, tolerance: float, scale: float) -> bool:
    return not abs(new - base) <= tolerance * scale


def compare_probes(base: Result, new: Result) -> list[Divergence]:
    """Differences of the probe beyond rounding."""
    before, after = base.probe, new.probe
    found: list[Divergence] = []
    flat_before = [one for row in before["outputs"] for one in row]
    flat_after = [one for row in after["outputs"] for one in row]
    found += _compare_outputs(flat_before, flat_after)
    if "loss" in before and "loss" in after:
        for name, tolerance in (("loss", LOSS_TOLERANCE), ("norm", GRADIENT_TOLERANCE)):
            if _differs(before[name], after[name], tolerance, abs(before[name])):
                level: Level = "loss at step 0" if name == "loss" else "gradient norm"
                found.append(
                    Divergence(
                        level,
                        f"{level.removesuffix(' at step 0')} at step 0 {before[name]:.5g} -> {after[name]:.5g}",
                    )
                )
        found += _compare_tensors(before["tensors"], after["tensors"], before["norm"])
    return found


def _compare_outputs(before: list[float], after: list[float]) -> Iterator[Divergence]:
    """The outputs before any update: by how much they differ at most, of the largest there is."""
    if len(before) != len(after):
        yield Divergence(
            "outputs before any update",
            f"outputs of the probe {len(before)} -> {len(after)} numbers",
        )
        return
    largest = max(map(abs, before), default=0.0)
    if any(_differs(b, a, LOSS_TOLERANCE, max(1.0, largest)) for b, a in zip(before, after, strict=True)):
        by = _largest(abs(a - b) for b, a in zip(before, after, strict=True))
        said = f"outputs of the probe differ by {by:.2g} of {largest:.2g} before any update"
        yield Divergence("outputs before any update", said)


def _largest(values: Iterable[float]) -> float:
    """The largest; a difference that is no number is larger than any."""
    return max((math.inf if math.isnan(one) else one for one in values), default=0.0)


def compare_random_draws(base: Result, new: Result) -> list[Divergence]:
    """Initialisation of another size, dropout of another strength, other training rows: beyond what another draw explains."""
    return [
        *_compare_init_sizes(base.probe.get("start", {}), new.probe.get("start", {})),
        *_compare_dropout(base, new),
        *_compare_rows(base, new),
    ]


def _compare_init_sizes(
    before: Mapping[str, list[float]], after: Mapping[str, list[float]]
) -> Iterator[Divergence]:
    moved = []
    for name in before.keys() & after.keys():
        (size, count), (other, _) = before[name], after[name]
        if _differs(size, other, INIT_SIZE_TOLERANCE + 5 / math.sqrt(2 * count), size):
            moved.append(f"{name} starts with a root mean square of {other:.3g}, it was {size:.3g}")
    return _first_two("initialisation", moved)


def _compare_dropout(base: Result, new: Result) -> Iterator[Divergence]:
    """The mean loss under dropout and its SD: SDs of one strength differ by less than `STRENGTH` times."""
    if "dropout" not in base.probe or "dropout" not in new.probe:
        return
    (mean, sd), (other, others) = base.probe["dropout"], new.probe["dropout"]
    error = max(math.hypot(sd, others) / math.sqrt(DROPOUT_DRAWS), LOSS_TOLERANCE * abs(mean))
    low, high = sorted((sd, others))
    if abs(other - mean) > 6 * error or high > MAX_DROPOUT_SD_RATIO * low + LOSS_TOLERANCE * abs(mean):
        yield Divergence(
            "dropout", f"loss under dropout {mean:.4g} ± {sd:.2g} -> {other:.4g} ± {others:.2g}"
        )


def _compare_rows(base: Result, new: Result) -> Iterator[Divergence]:
    """Seeds that draw other training rows than the baseline's."""
    now = new.probe.get("rows", {}) | {str(one.seed): one.training_rows for one in new.seed_results}
    others = [
        str(one.seed)
        for one in base.seed_results
        if now.get(str(one.seed), one.training_rows) != one.training_rows
    ]
    if others:
        count = f"{len(others)} of {len(base.seed_results)} seeds"
        yield Divergence("training rows", f"other training rows in {count}: {', '.join(others)}")


def _compare_tensors(
    before: Mapping[str, list[float]], after: Mapping[str, list[float]], norm: float
) -> list[Divergence]:
    gradients, updates = [], []
    for name in before.keys() & after.keys():
        (gradient, update), (new_gradient, new_update) = before[name], after[name]
        if _differs(gradient, new_gradient, GRADIENT_TOLERANCE, norm):
            gradients.append(f"gradient of {name} {gradient:.4g} -> {new_gradient:.4g}")
        elif gradient > GRADIENT_TOLERANCE * norm and _differs(update, new_update, UPDATE_TOLERANCE, update):
            updates.append(f"first update of {name} {update:.4g} -> {new_update:.4g}")
    return [*_first_two("gradient norm", gradients), *_first_two("first update", updates)]


def _first_two(level: Level, texts: list[str]) -> Iterator[Divergence]:
    """The first two tensors by name, and how many more there are."""
    for one in sorted(texts)[:2]:
        yield Divergence(level, one.replace("base_model.model.", "").replace(".default", ""))
    if len(texts) > 2:
        yield Divergence(level, f"{len(texts) - 2} more tensors alike")


def compare_traces(base: Trace, new: Trace) -> Relation:
    """Bit for bit the same training, the same to rounding in its first steps, or another one."""
    if base.digest == new.digest:
        return "identical"
    if len(base.first_steps) != len(new.first_steps):
        return "changed"
    for before, after in zip(base.first_steps, new.first_steps, strict=True):
        if any(_differs(b, a, TRACE_TOLERANCE, abs(b)) for b, a in zip(before, after, strict=True)):
            return "changed"
    return "equivalent"


def first_divergence(base: Trace, new: Trace) -> Divergence:
    """The first step at which two traces part beyond rounding."""
    for number, (before, after) in enumerate(
        zip(base.first_steps, new.first_steps, strict=False), start=1
    ):
        for name, b, a in zip(("loss", "gradient norm"), before, after, strict=True):
            if _differs(b, a, TRACE_TOLERANCE, abs(b)):
                return Divergence(
                    "loss curve", f"{name} at step {number} of seed 0 {b:.5g} -> {a:.5g}"
                )
    return Divergence(
        "loss curve",
        f"the loss curve of seed 0 has {len(base.first_steps)} -> {len(new.first_steps)} first steps",
    )


def compare_last_digits(base: Trace, new: Trace) -> Divergence:
    """Two traces that agree to rounding, where nothing changed that rounds otherwise: by how much they differ at most."""
    before, after = (
        [*(value for step in one.first_steps for value in step), *one.curve] for one in (base, new)
    )
    by = _largest(abs(a / b - 1) if b else abs(a) for b, a in zip(before, after, strict=False))
    much = f"differ by up to {by:.1g} of their size" if by else "differ beyond the digits on record"
    return Divergence(
        "loss curve",
        f"seed 0's losses and gradient norms {much}, and nothing changed that could move them",
    )


def compare_predictions(base: SeedResult, new: SeedResult) -> Divergence:
    """Other predictions after the same training: how many rows turned right or wrong, which are all that a sample tells."""
    said = f"predictions of seed {new.seed} differ after identical training"
    return Divergence("predictions", f"{said}: {_count_turned(base, new)} turned right or wrong")


def compare_scored_rows(base: SeedResult, new: SeedResult) -> list[Divergence]:
    """A difference that no training explains: the same predictions scored otherwise."""
    if base.predictions_digest != new.predictions_digest or base.correct == new.correct:
        return []
    said = f"the same predictions of seed {new.seed} are scored otherwise"
    return [Divergence("predictions", f"{said}: {_count_turned(base, new)} turned right or wrong")]


def _count_turned(base: SeedResult, new: SeedResult) -> str:
    """ "3 of 400 test rows", over the splits that both samples have."""
    pairs = [
        (before, after)
        for split in base.correct.keys() & new.correct.keys()
        for before, after in zip(
            unpack(base.correct[split]), unpack(new.correct[split]), strict=False
        )
    ]
    return f"{sum(before != after for before, after in pairs):,} of {len(pairs):,} test rows"

"""Compare what a run computes with its baseline: structure, probe, trace and predictions.

Each difference is a `Divergence` with a level, the place in the computation where it shows. The
first level is where the run left its baseline. `verdict.py` and the gate call this module.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Literal, NamedTuple

from pytest_ftcompare.compare.brief import describe_change
from pytest_ftcompare.compare.tolerances import FLOAT32, Tolerances, tolerances_of
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
    """A difference from the baseline: its level and a sentence."""

    level: Level
    text: str


# Relative, of the root mean square of an initialised tensor, beside five standard errors of a drawn
# one. Chosen.
INIT_SIZE_TOLERANCE = 0.25
# Ratio of two SDs of `DROPOUT_DRAWS` losses. With dropout of equal strength, about one pair in a
# million differs as much. Raising it hides a changed dropout rate.
MAX_DROPOUT_SD_RATIO = 2.5


def _leaves(value: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    if isinstance(value, Mapping):
        for key, inner in value.items():
            yield from _leaves(inner, f"{path}.{key}" if path else str(key))
    elif isinstance(value, list) and any(isinstance(element, Mapping) for element in value):
        for number, inner in enumerate(value):
            yield from _leaves(inner, f"{path}.{number}" if len(value) > 1 else path)
    else:
        yield path, value


def compare_recipes(base: Result, new: Result) -> list[Divergence]:
    """Return the hyper-parameters that differ."""
    before, after = dict(_leaves(base.recipe)), dict(_leaves(new.recipe))
    names = sorted(set(before) | set(after))
    return [
        Divergence(
            "recipe",
            f"recipe {name.removeprefix('options.')} {describe_change(before, after, name)}",
        )
        for name in names
        if before.get(name) != after.get(name)
    ]


def compare_structures(base: Result, new: Result) -> list[Divergence]:
    """Return the differences of the structure, which is exact on every machine."""
    before = dict(_leaves(base.signature["structure"]))
    after = dict(_leaves(new.signature["structure"]))
    texts = []
    for name in sorted(set(before) | set(after)):
        if before.get(name) != after.get(name):
            short = name.replace("optimizer.groups.", "optimizer ").replace(
                "optimizer.", "optimizer "
            )
            if name.startswith("trains."):
                part = name.removeprefix("trains.")
                texts.append(
                    f"trains {part}: {before.get(name, 0)} -> {after.get(name, 0)} tensors"
                )
            else:
                texts.append(f"{short} {describe_change(before, after, name)}")
    return [Divergence("signature", text) for text in texts]


def _differs(base: float, new: float, tolerance: float, scale: float) -> bool:
    # Written so that a NaN differs.
    return not abs(new - base) <= tolerance * scale


def compare_probes(base: Result, new: Result) -> list[Divergence]:
    """Return the differences of the probe beyond rounding."""
    before, after, tolerances = base.probe, new.probe, tolerances_of(base)
    divergences: list[Divergence] = []
    flat_before = [value for row in before["outputs"] for value in row]
    flat_after = [value for row in after["outputs"] for value in row]
    divergences += _compare_probe_outputs(flat_before, flat_after, tolerances)
    if "loss" in before and "loss" in after:
        for name, tolerance in (("loss", tolerances.loss), ("norm", tolerances.gradient)):
            if _differs(before[name], after[name], tolerance, abs(before[name])):
                level: Level = "loss at step 0" if name == "loss" else "gradient norm"
                divergences.append(
                    Divergence(
                        level,
                        f"{level.removesuffix(' at step 0')} at step 0 "
                        f"{before[name]:.5g} -> {after[name]:.5g}",
                    )
                )
        divergences += _compare_tensors(
            before["tensors"], after["tensors"], before["norm"], tolerances
        )
    return divergences


def _compare_probe_outputs(
    before: list[float], after: list[float], tolerances: Tolerances
) -> Iterator[Divergence]:
    """Compare the outputs before any update, relative to the largest."""
    if len(before) != len(after):
        yield Divergence(
            "outputs before any update",
            f"outputs of the probe {len(before)} -> {len(after)} numbers",
        )
        return
    largest = max(map(abs, before), default=0.0)
    if any(
        _differs(old, new, tolerances.loss, max(1.0, largest))
        for old, new in zip(before, after, strict=True)
    ):
        difference = _largest(abs(new - old) for old, new in zip(before, after, strict=True))
        text = f"outputs of the probe differ by {difference:.2g} of {largest:.2g} before any update"
        yield Divergence("outputs before any update", text)


def _largest(values: Iterable[float]) -> float:
    """Return the largest value; NaN counts as infinite, because it must not hide."""
    return max((math.inf if math.isnan(value) else value for value in values), default=0.0)


def compare_random_draws(base: Result, new: Result) -> list[Divergence]:
    """Return differences of initialisation, dropout and training rows.

    Initialisation and dropout may draw other random numbers of the same size and strength.
    """
    return [
        *_compare_init_sizes(base.probe.get("start", {}), new.probe.get("start", {})),
        *_compare_dropout(base, new),
        *_compare_rows(base, new),
    ]


def _compare_init_sizes(
    before: Mapping[str, list[float]], after: Mapping[str, list[float]]
) -> Iterator[Divergence]:
    texts = []
    for name in before.keys() & after.keys():
        (base, count), (new, _) = before[name], after[name]
        if _differs(base, new, INIT_SIZE_TOLERANCE + 5 / math.sqrt(2 * count), base):
            texts.append(f"{name} starts with a root mean square of {new:.3g}, it was {base:.3g}")
    return _first_two("initialisation", texts)


def _compare_dropout(base: Result, new: Result) -> Iterator[Divergence]:
    """Compare mean and SD of the loss under dropout."""
    if "dropout" not in base.probe or "dropout" not in new.probe:
        return
    (base_mean, base_sd), (new_mean, new_sd) = base.probe["dropout"], new.probe["dropout"]
    rounding = tolerances_of(base).loss * abs(base_mean)
    error = max(math.hypot(base_sd, new_sd) / math.sqrt(DROPOUT_DRAWS), rounding)
    low, high = sorted((base_sd, new_sd))
    if abs(new_mean - base_mean) > 6 * error or high > MAX_DROPOUT_SD_RATIO * low + rounding:
        yield Divergence(
            "dropout",
            f"loss under dropout {base_mean:.4g} ± {base_sd:.2g} -> {new_mean:.4g} ± {new_sd:.2g}",
        )


def _compare_rows(base: Result, new: Result) -> Iterator[Divergence]:
    """Compare the training rows of the baseline's seeds."""
    new_rows = new.probe.get("rows", {}) | {
        str(seed_result.seed): seed_result.training_rows for seed_result in new.seed_results
    }
    seeds = [
        str(seed_result.seed)
        for seed_result in base.seed_results
        if new_rows.get(str(seed_result.seed), seed_result.training_rows)
        != seed_result.training_rows
    ]
    if seeds:
        count = f"{len(seeds)} of {len(base.seed_results)} seeds"
        yield Divergence("training rows", f"other training rows in {count}: {', '.join(seeds)}")


def _compare_tensors(
    before: Mapping[str, list[float]],
    after: Mapping[str, list[float]],
    norm: float,
    tolerances: Tolerances,
) -> list[Divergence]:
    gradients, updates = [], []
    for name in before.keys() & after.keys():
        (gradient, update), (new_gradient, new_update) = before[name], after[name]
        if _differs(gradient, new_gradient, tolerances.gradient, norm):
            gradients.append(f"gradient of {name} {gradient:.4g} -> {new_gradient:.4g}")
        elif gradient > tolerances.gradient * norm and _differs(
            update, new_update, tolerances.update, update
        ):
            updates.append(f"first update of {name} {update:.4g} -> {new_update:.4g}")
    return [*_first_two("gradient norm", gradients), *_first_two("first update", updates)]


def _first_two(level: Level, texts: list[str]) -> Iterator[Divergence]:
    """Yield the first two tensors by name, and the number of others."""
    for text in sorted(texts)[:2]:
        yield Divergence(level, text.replace("base_model.model.", "").replace(".default", ""))
    if len(texts) > 2:
        yield Divergence(level, f"{len(texts) - 2} more tensors alike")


def compare_traces(base: Trace, new: Trace, tolerances: Tolerances = FLOAT32) -> Relation:
    """Return whether two traces are identical, equivalent in their first steps, or changed."""
    if base.digest == new.digest:
        return "identical"
    if len(base.first_steps) != len(new.first_steps):
        return "changed"
    for before, after in zip(base.first_steps, new.first_steps, strict=True):
        if any(
            _differs(old_value, new_value, tolerances.trace, abs(old_value))
            for old_value, new_value in zip(before, after, strict=True)
        ):
            return "changed"
    return "equivalent"


def first_divergence(base: Trace, new: Trace, tolerances: Tolerances = FLOAT32) -> Divergence:
    """Return the first step at which two traces differ beyond rounding."""
    for number, (before, after) in enumerate(
        zip(base.first_steps, new.first_steps, strict=False), start=1
    ):
        for name, old_value, new_value in zip(
            ("loss", "gradient norm"), before, after, strict=True
        ):
            if _differs(old_value, new_value, tolerances.trace, abs(old_value)):
                return Divergence(
                    "loss curve",
                    f"{name} at step {number} of seed 0 {old_value:.5g} -> {new_value:.5g}",
                )
    return Divergence(
        "loss curve",
        f"the loss curve of seed 0 has {len(base.first_steps)} -> {len(new.first_steps)} "
        "first steps",
    )


def compare_last_digits(base: Trace, new: Trace) -> Divergence:
    """Return the difference of two equivalent traces.

    The caller checks that nothing changed that could round differently.
    """
    before, after = (
        [*(value for step in trace.first_steps for value in step), *trace.curve]
        for trace in (base, new)
    )
    difference = _largest(
        abs(new_value / old_value - 1) if old_value else abs(new_value)
        for old_value, new_value in zip(before, after, strict=False)
    )
    size = (
        f"differ by up to {difference:.1g} of their size"
        if difference
        else "differ beyond the digits on record"
    )
    return Divergence(
        "loss curve",
        f"seed 0's losses and gradient norms {size}, and nothing changed that could move them",
    )


def compare_predictions(base: SeedResult, new: SeedResult) -> Divergence:
    """Return the number of rows with another outcome, for runs that trained alike.

    A stored result has no predictions, only which rows were right.
    """
    text = f"predictions of seed {new.seed} differ after identical training"
    return Divergence("predictions", f"{text}: {_count_turned(base, new)} turned right or wrong")


def compare_scored_rows(base: SeedResult, new: SeedResult) -> list[Divergence]:
    """Return a divergence if equal predictions are scored differently, which no training does."""
    if base.predictions_digest != new.predictions_digest or base.correct == new.correct:
        return []
    text = f"the same predictions of seed {new.seed} are scored otherwise"
    return [Divergence("predictions", f"{text}: {_count_turned(base, new)} turned right or wrong")]


def _count_turned(base: SeedResult, new: SeedResult) -> str:
    """Return a count such as "3 of 400 test rows", over the splits that both results have."""
    pairs = [
        (before, after)
        for split in base.correct.keys() & new.correct.keys()
        for before, after in zip(
            unpack(base.correct[split]), unpack(new.correct[split]), strict=False
        )
    ]
    return f"{sum(before != after for before, after in pairs):,} of {len(pairs):,} test rows"

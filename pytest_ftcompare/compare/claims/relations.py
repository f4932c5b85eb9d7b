"""The relations that claims state: scores by seed, counts, times side by side. Each says what it needs and estimates from it.

The interval is over seeds (or rounds of a timing): tasks, test rows and models are those of the claim, not a sample of others.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from statistics import fmean, variance
from typing import Any

from pytest_ftcompare.results.estimate import Estimate
from pytest_ftcompare.results.result import Result, SeedResult


class Untestable(ValueError):
    """The evidence cannot say anything of the claim; the message says why."""


@dataclass(frozen=True)
class Arm:
    """One method under one setting: cases of a suite's table, by the profile's names.

    `tasks` and `models` are those of the table unless given; `shots` is a number, a name of the profile's, "least" or "most"
    (of what the table has for the method), or "" for all. Of the cases with `options`, those with the fewest others are meant.
    `but` are options put over the table's, which no table need have: for what is counted or timed.
    """

    suite: str
    method: str
    shots: int | str = ""
    tasks: tuple[str, ...] = ()
    models: tuple[str, ...] = ()
    options: Mapping[str, Any] = field(default_factory=dict)
    overrides: Mapping[str, Any] = field(default_factory=dict)

    def describe(self) -> str:
        """The arm in words: "lora (r=4, most shots)"."""
        said = [f"{name}={value}" for name, value in {**self.options, **self.overrides}.items()]
        if isinstance(self.shots, int) or self.shots:
            said.append(f"n={self.shots}" if isinstance(self.shots, int) else f"{self.shots} shots")
        said += [*self.tasks, *self.models]
        return f"`{self.method}`" + (f" ({', '.join(said)})" if said else "")


def score(result: Result, sample: SeedResult, metric: str) -> float:
    """A metric of a seed in points: one that the sample has, or one made of those.

    "domain gap" is accuracy in domain minus out of domain; "above majority" is in domain; "accuracy_ood of class 1" is the
    share of the second class's rows that are right, of two classes with as many rows.
    """
    have = sample.metrics
    try:
        if metric == "domain gap":
            return 100 * (have["accuracy"] - have["accuracy_ood"])
        if metric == "above majority":
            return 100 * (have["accuracy"] - result.majority_share["test"])
        if metric == "accuracy_ood of class 1":
            first, second = sample.class_counts["ood"]
            if result.majority_share["ood"] != 0.5:
                raise Untestable(
                    f"{result.id}: expected as many rows of either class out of domain"
                )
            half = (first + second) / 2  # right are a n = r0 + r1, and second = half - r0 + r1
            return 100 * (have["accuracy_ood"] * 2 * half + second - half) / 2 / half
        return 100 * have[metric]
    except KeyError:
        raise Untestable(f"{result.id} has no {metric}") from None


@dataclass(frozen=True)
class ScoreContrast:
    """A weighted sum of arms in a metric, seed by seed, averaged over the arms' cells (task, model, shots)."""

    metric: str
    terms: tuple[tuple[float, Arm], ...]
    unit = "pt"

    @property
    def arms(self) -> tuple[Arm, ...]:
        return tuple(arm for _, arm in self.terms)

    def describe(self) -> str:
        parts = [
            f"{'+' if weight > 0 else '−'} {_weight_text(weight)}{arm.describe()}"
            for weight, arm in self.terms
        ]
        suites = " and ".join(dict.fromkeys(arm.suite for arm in self.arms))
        return f"{self.metric} of {' '.join(parts).removeprefix('+ ')}, {suites}"

    def estimate(self, evidence: Sequence[Sequence[Result]]) -> Estimate:
        """`evidence` has the results of each arm, cell by cell; seeds that all arms of a cell have are paired.

        Mean over cells of the mean over seeds; the cells' errors are taken as independent (Welch-Satterthwaite).
        """
        cells = [self._cell(arms) for arms in zip(*evidence, strict=True)]
        value, n = fmean(fmean(one) for one in cells), sum(len(one) for one in cells)
        if any(len(one) < 2 for one in cells):
            return Estimate(value, None, n, self.unit)
        parts = [variance(one) / len(one) / len(cells) ** 2 for one in cells]
        bottom = sum(part**2 / (len(one) - 1) for part, one in zip(parts, cells, strict=True))
        freedom = sum(parts) ** 2 / bottom if bottom else 0.0
        return Estimate(value, math.sqrt(sum(parts)), n, self.unit, freedom)

    def _cell(self, arms: Sequence[Result]) -> list[float]:
        seeds = set.intersection(*({one.seed for one in arm.seed_results} for arm in arms))
        if not seeds:
            raise Untestable(f"{' and '.join(one.id for one in arms)} have no seed in common")
        return [
            sum(
                weight * score(arm, sample, self.metric)
                for (weight, _), arm in zip(self.terms, arms, strict=True)
                if (sample := arm.seed_result(seed)) is not None
            )
            for seed in sorted(seeds)
        ]


def _weight_text(weight: float) -> str:
    return "" if abs(weight) == 1 else f"{abs(weight):.2g} "


def arm_score(of: Arm, metric: str) -> ScoreContrast:
    """An arm's own score."""
    return ScoreContrast(metric, ((1.0, of),))


def difference(of: Arm, against: Arm, metric: str = "accuracy") -> ScoreContrast:
    """How far one arm is above another, paired by seed."""
    return ScoreContrast(metric, ((1.0, of), (-1.0, against)))


def difference_from_mean(whole: Arm, *parts: Arm, metric: str = "accuracy") -> ScoreContrast:
    """How far an arm is above the mean of others."""
    return ScoreContrast(metric, ((1.0, whole), *((-1.0 / len(parts), one) for one in parts)))


def gap_change(
    of: tuple[Arm, Arm], against: tuple[Arm, Arm], metric: str = "accuracy"
) -> ScoreContrast:
    """How much larger the first gap (its first arm minus its second) is than the second."""
    return ScoreContrast(
        metric, ((1.0, of[0]), (-1.0, of[1]), (-1.0, against[0]), (1.0, against[1]))
    )


def trend(arms: Sequence[Arm], metric: str = "accuracy") -> ScoreContrast:
    """How much the least-squares line through the arms, evenly spaced in their order, rises from the first to the last."""
    middle = (len(arms) - 1) / 2
    squares = sum((at - middle) ** 2 for at in range(len(arms)))
    return ScoreContrast(
        metric,
        tuple(((at - middle) * (len(arms) - 1) / squares, arm) for at, arm in enumerate(arms)),
    )


@dataclass(frozen=True)
class CountRatio:
    """What is counted without noise of the first cell of an arm, against another arm's: a ratio.

    Without another arm, the share of the model's parameters: `quantity` is "trainable" then.
    """

    quantity: str
    of: Arm
    against: Arm | None = None

    @property
    def unit(self) -> str:
        return "×" if self.against else "of the parameters"

    @property
    def arms(self) -> tuple[Arm, ...]:
        return (self.of, self.against) if self.against else (self.of,)

    def describe(self) -> str:
        return f"{self.quantity} of {' / '.join(arm.describe() for arm in self.arms)}, counted"

    def estimate(self, counts: Sequence[Mapping[str, float]]) -> Estimate:
        """`counts` has each arm's."""
        above, below = counts[0], counts[-1]
        bottom = below[self.quantity if self.against else "parameters"]
        if not bottom:
            raise Untestable(f"{self.quantity} of {self.arms[-1].describe()} is 0")
        return Estimate(above[self.quantity] / bottom, 0.0, 1, self.unit)


@dataclass(frozen=True)
class TimeRatio:
    """A piece of work of an arm against that of another, timed side by side: the ratio of their times.

    A piece is "step", "evaluation", "inference", or a "merged" one of the last two.
    """

    piece: str
    of: Arm
    against: Arm
    against_piece: str = ""  # the other arm's piece, where it is another one
    unit = "×"

    @property
    def arms(self) -> tuple[Arm, ...]:
        return self.of, self.against

    @property
    def pieces(self) -> tuple[str, str]:
        """The piece of each arm."""
        return self.piece, self.against_piece or self.piece

    def describe(self) -> str:
        of, its = self.pieces
        return f"time of {of} of {self.of.describe()} / {'' if of == its else f'{its} of '}{self.against.describe()}, side by side"

    def estimate(self, rounds: Sequence[tuple[float, float]], between: float) -> Estimate:
        """`rounds` are the seconds of either piece; `between` the SD of a time's logarithm from process to process."""
        logs = [math.log(of / against) for of, against in rounds]
        ratio = math.exp(fmean(logs))
        if len(logs) < 2:
            return Estimate(ratio, None, len(logs), self.unit)
        return Estimate(
            ratio,
            ratio * math.sqrt(variance(logs) / len(logs) + 2 * between**2),
            len(logs),
            self.unit,
        )


Relation = ScoreContrast | CountRatio | TimeRatio

"""Estimate the relations that claims state: scores by seed, counts, and times side by side.

Each relation names the arms that it needs. Its interval covers seeds, or rounds of a timing. It
does not cover other tasks, test rows or models. The plugin's claim fixture collects the results
(`gate/claim_evidence.py`).
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
    """The results cannot test the claim; the message says why."""


@dataclass(frozen=True)
class Arm:
    """One method with fixed options: cases of a suite's table, by the profile's names.

    `tasks` and `models` default to the table's. `shots` is a number, a name of the profile, "least"
    or "most" (of the method in the table), or "" for all. Among the cases with `options`, the arm
    takes those with the fewest other options. `overrides` are options put over the table's, for
    counts and times; no table needs such a case.
    """

    suite: str
    method: str
    shots: int | str = ""
    tasks: tuple[str, ...] = ()
    models: tuple[str, ...] = ()
    options: Mapping[str, Any] = field(default_factory=dict)
    overrides: Mapping[str, Any] = field(default_factory=dict)

    def describe(self) -> str:
        """Return the arm in words, such as "lora (r=4, most shots)"."""
        parts = [f"{name}={value}" for name, value in {**self.options, **self.overrides}.items()]
        if isinstance(self.shots, int) or self.shots:
            parts.append(
                f"n={self.shots}" if isinstance(self.shots, int) else f"{self.shots} shots"
            )
        parts += [*self.tasks, *self.models]
        return f"`{self.method}`" + (f" ({', '.join(parts)})" if parts else "")


def score(result: Result, seed_result: SeedResult, metric: str) -> float:
    """Return a seed's metric in points: a stored metric, or one computed from stored ones.

    "domain gap" is accuracy in domain minus out of domain. "above majority" is accuracy in domain
    minus the majority share. "accuracy_ood of class 1" is the share of the second class's rows that
    are right, out of domain, for two classes of equal size.
    """
    metrics = seed_result.metrics
    try:
        if metric == "domain gap":
            return 100 * (metrics["accuracy"] - metrics["accuracy_ood"])
        if metric == "above majority":
            return 100 * (metrics["accuracy"] - result.majority_share["test"])
        if metric == "accuracy_ood of class 1":
            first, second = seed_result.class_counts["ood"]
            if result.majority_share["ood"] != 0.5:
                raise Untestable(
                    f"{result.id}: expected as many rows of either class out of domain"
                )
            # r0 and r1 rows of the two classes are right: accuracy * 2 * half = r0 + r1 and
            # second = half - r0 + r1.
            half = (first + second) / 2
            return 100 * (metrics["accuracy_ood"] * 2 * half + second - half) / 2 / half
        return 100 * metrics[metric]
    except KeyError:
        raise Untestable(f"{result.id} has no {metric}") from None


@dataclass(frozen=True)
class ScoreContrast:
    """A weighted sum of arms' scores by seed, averaged over their cells (task, model, shots)."""

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
        """Return the mean over cells of the mean over seeds, in points.

        `evidence` has the results of each arm, cell by cell. Seeds that all arms of a cell have are
        paired. The cells' errors count as independent (Welch-Satterthwaite).
        """
        cells = [self._cell(arms) for arms in zip(*evidence, strict=True)]
        value, n = fmean(fmean(cell) for cell in cells), sum(len(cell) for cell in cells)
        if any(len(cell) < 2 for cell in cells):
            return Estimate(value, None, n, self.unit)
        parts = [variance(cell) / len(cell) / len(cells) ** 2 for cell in cells]
        denominator = sum(
            part**2 / (len(cell) - 1) for part, cell in zip(parts, cells, strict=True)
        )
        freedom = sum(parts) ** 2 / denominator if denominator else 0.0
        return Estimate(value, math.sqrt(sum(parts)), n, self.unit, freedom)

    def _cell(self, arms: Sequence[Result]) -> list[float]:
        seeds = set.intersection(
            *({seed_result.seed for seed_result in arm.seed_results} for arm in arms)
        )
        if not seeds:
            raise Untestable(f"{' and '.join(arm.id for arm in arms)} have no seed in common")
        return [
            sum(
                weight * score(arm, seed_result, self.metric)
                for (weight, _), arm in zip(self.terms, arms, strict=True)
                if (seed_result := arm.seed_result(seed)) is not None
            )
            for seed in sorted(seeds)
        ]


def _weight_text(weight: float) -> str:
    return "" if abs(weight) == 1 else f"{abs(weight):.2g} "


def arm_score(of: Arm, metric: str) -> ScoreContrast:
    """Return the relation: an arm's score."""
    return ScoreContrast(metric, ((1.0, of),))


def difference(of: Arm, against: Arm, metric: str = "accuracy") -> ScoreContrast:
    """Return the relation: how far an arm is above another, paired by seed."""
    return ScoreContrast(metric, ((1.0, of), (-1.0, against)))


def difference_from_mean(whole: Arm, *parts: Arm, metric: str = "accuracy") -> ScoreContrast:
    """Return the relation: how far an arm is above the mean of others."""
    return ScoreContrast(metric, ((1.0, whole), *((-1.0 / len(parts), part) for part in parts)))


def gap_change(
    of: tuple[Arm, Arm], against: tuple[Arm, Arm], metric: str = "accuracy"
) -> ScoreContrast:
    """Return the relation: how much larger the first gap is than the second.

    A gap is its first arm minus its second.
    """
    return ScoreContrast(
        metric, ((1.0, of[0]), (-1.0, of[1]), (-1.0, against[0]), (1.0, against[1]))
    )


def trend(arms: Sequence[Arm], metric: str = "accuracy") -> ScoreContrast:
    """Return the relation: the rise of a least-squares line from the first arm to the last.

    The arms are evenly spaced in their order.
    """
    middle = (len(arms) - 1) / 2
    squares = sum((index - middle) ** 2 for index in range(len(arms)))
    return ScoreContrast(
        metric,
        tuple(
            ((index - middle) * (len(arms) - 1) / squares, arm) for index, arm in enumerate(arms)
        ),
    )


@dataclass(frozen=True)
class CountRatio:
    """The ratio of a count of an arm to another arm's, from the first cell of each.

    Without another arm, the share of the model's parameters; `quantity` is then "trainable".
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
        """Return the ratio, without error; `counts` has a mapping for each arm."""
        counts_of, counts_against = counts[0], counts[-1]
        denominator = counts_against[self.quantity if self.against else "parameters"]
        if not denominator:
            raise Untestable(f"{self.quantity} of {self.arms[-1].describe()} is 0")
        return Estimate(counts_of[self.quantity] / denominator, 0.0, 1, self.unit)


@dataclass(frozen=True)
class TimeRatio:
    """The ratio of the times of two arms' pieces of work, timed side by side.

    A piece is "step", "evaluation", "inference", "merged evaluation" or "merged inference".
    """

    piece: str
    of: Arm
    against: Arm
    against_piece: str = ""  # the other arm's piece, "" for the same
    unit = "×"

    @property
    def arms(self) -> tuple[Arm, ...]:
        return self.of, self.against

    @property
    def pieces(self) -> tuple[str, str]:
        """The piece of each arm."""
        return self.piece, self.against_piece or self.piece

    def describe(self) -> str:
        piece, against_piece = self.pieces
        return (
            f"time of {piece} of {self.of.describe()} / "
            f"{'' if piece == against_piece else f'{against_piece} of '}{self.against.describe()}, "
            "side by side"
        )

    def estimate(self, rounds: Sequence[tuple[float, float]], between: float) -> Estimate:
        """Return the ratio of geometric means.

        `rounds` has the seconds of both pieces; `between` is the SD of the logarithm of a time
        between processes.
        """
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

"""Deselect cases that this machine cannot hold, and estimate how long the others take.

The plugin's collection calls it.
"""

from __future__ import annotations

import os
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from pytest_ftcompare.gate.profiles import Profile
from pytest_ftcompare.gate.resource_estimate import total_hours, why_too_large
from pytest_ftcompare.gate.settings import Settings
from pytest_ftcompare.measure import gpu_assignment, host
from pytest_ftcompare.results.case import Case

MAX_REASONS = 8  # printed reasons of deselection, chosen; a higher value prints more lines
DEVICE_NOUNS = {"cpu": "CPU core", "cuda": "GPU"}


def device_capacity(settings: Settings) -> tuple[str, float]:
    """Return the kind of device that cases run on, "cpu" or "cuda", and its bytes.

    Of several GPUs, the smallest counts: all workers must collect the same cases.
    """
    gpus = []
    if settings.device != "cpu":
        gpus = gpu_assignment.gpu_memory(
            gpu_assignment.visible_gpus(os.environ, gpu_assignment.count_gpus)
        )
    return ("cuda", min(gpus)) if gpus else ("cpu", host.total_memory())


@dataclass
class CapacityFilter:
    """Deselects cases that do not fit the device.

    `kind` is "cpu" or "cuda", `memory` the device's bytes; `deselected` counts cases by reason.
    """

    profile: Profile
    kind: str
    memory: float
    deselected: Counter[str] = field(default_factory=Counter)

    def fits(self, case: Case) -> bool:
        """Check whether the case fits; count the reason if it does not."""
        reason = why_too_large(case, self.profile, self.kind, self.memory)
        if reason:
            self.deselected[reason] += 1
        return not reason

    def summary_lines(self, cases: Iterable[Case]) -> Iterator[str]:
        """Yield each suite's cases and estimated time, then the deselected cases by reason."""
        suites: defaultdict[str, list[Case]] = defaultdict(list)
        for case in cases:
            suites[case.suite].append(case)
        for suite, members in suites.items():
            estimates = {kind: total_hours(members, self.profile, kind) for kind in DEVICE_NOUNS}
            times = " or ".join(
                f"{_format_hours(hours)} of a {DEVICE_NOUNS[kind]}"
                for kind, (hours, _) in estimates.items()
            )
            _, unknown = estimates["cpu"]
            missing = (
                f" ({unknown} not counted: their models' sizes are not known)" if unknown else ""
            )
            yield (
                f"{suite}: {len(members)} case{'s' * (len(members) != 1)}{missing}, "
                f"a seed of each about {times}"
            )
        for reason, count in self.deselected.most_common(MAX_REASONS):
            yield f"deselected {count} case{'s' * (count != 1)}: {reason}"


def _format_hours(hours: float) -> str:
    return f"{hours:.1f} h" if hours >= 1 else f"{max(1, round(60 * hours))} min"

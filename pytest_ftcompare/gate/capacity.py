"""What of the suites this machine holds: cases that cannot fit are deselected and told, and how long the rest would take."""

from __future__ import annotations

import os
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from pytest_ftcompare.gate.resource_estimate import hours, too_large
from pytest_ftcompare.gate.settings import Settings
from pytest_ftcompare.measure import gpu_assignment, host
from pytest_ftcompare.results.case import Case

KEPT = 8  # reasons that are told
NOUNS = {"cpu": "CPU core", "cuda": "GPU"}


@dataclass
class CapacityFilter:
    """The kind of device on which cases run ("cpu" or "cuda") and its bytes of memory; why cases were left out."""

    settings: Settings
    left: Counter[str] = field(default_factory=Counter)
    kind: str = "cpu"
    memory: float = 0.0

    def __post_init__(self) -> None:
        gpus = []
        if self.settings.device != "cpu":
            gpus = gpu_assignment.gpu_memory(
                gpu_assignment.visible(os.environ, gpu_assignment.count_gpus)
            )
        self.kind = "cuda" if gpus else "cpu"
        self.memory = (
            min(gpus) if gpus else host.memory()
        )  # of all workers' the least, so that all collect the same

    def holds(self, case: Case) -> bool:
        """Whether the case fits; one that does not is counted, with the reason."""
        reason = too_large(case, self.settings.profile, self.kind, self.memory)
        if reason:
            self.left[reason] += 1
        return not reason

    def lines(self, cases: Iterable[Case]) -> Iterator[str]:
        """How many cases each suite has, and how long they would take; what does not fit."""
        suites: defaultdict[str, list[Case]] = defaultdict(list)
        for case in cases:
            suites[case.suite].append(case)
        profile = self.settings.profile
        for suite, found in suites.items():
            on = {kind: hours(found, profile, kind) for kind in NOUNS}
            times = " or ".join(
                f"{_told(time)} of a {NOUNS[kind]}" for kind, (time, _) in on.items()
            )
            _, unknown = on["cpu"]
            missing = (
                f" ({unknown} not counted: their models' sizes are not known)" if unknown else ""
            )
            yield f"{suite}: {len(found)} case{'s' * (len(found) != 1)}{missing}, a seed of each about {times}"
        for reason, count in self.left.most_common(KEPT):
            yield f"deselected {count} case{'s' * (count != 1)}: {reason}"


def _told(hours: float) -> str:
    return f"{hours:.1f} h" if hours >= 1 else f"{max(1, round(60 * hours))} min"

"""What the gate needs computed for a case: opened, inspected, counted, trained and timed.

`torch_case.py` computes it with torch. Tests give the gate recorded numbers in its place.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Protocol

from pytest_ftcompare.compare.known_faults import CaseFacts
from pytest_ftcompare.compare.measured_cost import CostComparison
from pytest_ftcompare.gate.run_context import RunContext
from pytest_ftcompare.gate.settings import Settings
from pytest_ftcompare.results.case import Case
from pytest_ftcompare.results.result import Json, Result, SeedResult

if TYPE_CHECKING:
    from pytest_ftcompare.measure.timer import Timing

IsEnough = Callable[
    [Sequence[tuple[float, float]], float], bool
]  # of the rounds so far, and seconds since the first
Progress = Callable[[int, int, float], None]  # step, steps, loss; zeros when evaluation begins


class CaseError(RuntimeError):
    """A case that cannot be judged, for a reason that is one sentence."""


class CaseWork(Protocol):
    """An open case. `bench` is held at the case's device."""

    @property
    def run_context(self) -> RunContext: ...

    @property
    def device(self) -> str:
        """The device's name, as a folder of baselines is called."""

    @property
    def facts(self) -> CaseFacts:
        """What known upstream faults are looked up by."""

    @property
    def notes(self) -> Sequence[str]:
        """What audits say of the rows without refusing the case."""

    def candidate(self) -> Result:
        """The case's result before anything is computed."""

    def run_audits(self) -> list[str]:
        """What the audits have against the case before anything is trained."""

    def texts(self) -> Mapping[str, list[str]]:
        """The text of each row, by split."""

    def inspect(self) -> tuple[Json, Json, list[str]]:
        """Signature, probe and broken invariants."""

    def count(self) -> Json:
        """Counts of the execution of one update."""

    def row_digests(self, seeds: int) -> dict[str, str]:
        """Seed -> the name of its training rows."""

    def run_seed(self, seed: int, progress: Progress) -> SeedResult:
        """Train and evaluate one seed."""

    def short_training(self, progress: Progress) -> str:
        """The digest of a short training, "" where there is none."""

    def why_untimed(self, baseline: Result | None, candidate: Result, *, update: bool) -> str:
        """Why the case takes no timed window, or ""."""

    def take_windows(
        self, baseline: Result | None, candidate: Result, *, update: bool
    ) -> dict[str, Timing]:
        """Take windows into the candidate until its cost is settled; the rounds of the last one of this process."""

    def beside_reference(
        self, baseline: Result, alone: Sequence[CostComparison]
    ) -> list[CostComparison]:
        """Times beside the reference's, in the place of those read alone."""


class CaseOpener(Protocol):
    """What opens cases: torch and the libraries around it, or a test's stand-in."""

    def open(
        self, case: Case, settings: Settings, run_context: RunContext
    ) -> AbstractContextManager[CaseWork]:
        """The case, open; what a user can mend is a `CaseError` of one sentence, while it is open, too."""

    def environment(
        self, cases: Sequence[Case], settings: Settings, run_context: RunContext
    ) -> Json:
        """What the cases run in, together."""

    def count(
        self, case: Case, settings: Settings, run_context: RunContext
    ) -> tuple[dict[str, float], Json]:
        """Structure and counts of one update by name, and the environment."""

    def time_in_turn(
        self,
        pieces: Sequence[tuple[Case, str]],
        settings: Settings,
        run_context: RunContext,
        is_enough: IsEnough,
    ) -> list[tuple[float, float]]:
        """Seconds of two pieces of work, timed in turn until it is enough; `Untestable` where that cannot be."""

"""The protocols of what the gate needs computed: open a case, inspect, train and time it.

`torch_case.py` implements them with torch. Tests give the gate recorded numbers instead.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Protocol

from pytest_ftcompare.compare.known_faults import CaseFacts
from pytest_ftcompare.gate.run_context import RunContext
from pytest_ftcompare.gate.settings import Settings
from pytest_ftcompare.results.case import Case
from pytest_ftcompare.results.result import Json, Result, SeedResult

if TYPE_CHECKING:
    from pytest_ftcompare.gate.reference_timing import TimesBeside
    from pytest_ftcompare.measure.timer import Timing

# Takes the pairs of seconds so far, and the seconds since the first pair.
IsEnough = Callable[[Sequence[tuple[float, float]], float], bool]
# Takes step, steps and loss; all are zero when evaluation begins.
Progress = Callable[[int, int, float], None]


class CaseError(RuntimeError):
    """A case cannot be judged; the message says why in one sentence."""


class CaseWork(Protocol):
    """An open case. Its `run_context` holds the case's device."""

    @property
    def run_context(self) -> RunContext: ...

    @property
    def device(self) -> str:
        """The device's name, as folders of baselines use it."""

    @property
    def facts(self) -> CaseFacts:
        """The properties by which known upstream faults are found."""

    @property
    def remarks(self) -> Sequence[str]:
        """The audits' remarks on the case's rows, which do not refuse it."""

    def candidate(self) -> Result:
        """Return the case's result before anything is computed."""

    def run_audits(self) -> list[str]:
        """Return the reasons for which the audits refuse the case before training."""

    def row_names(self) -> Mapping[str, list[str]]:
        """Return the number and the text's beginning of each row, by split."""

    def inspect(self) -> tuple[Json, Json, list[str]]:
        """Return signature, probe and broken invariants."""

    def count(self) -> Json:
        """Return the counts of one update."""

    def row_digests(self, seeds: int) -> dict[str, str]:
        """Return the digest of each seed's training rows, by seed."""

    def run_seed(self, seed: int, progress: Progress) -> SeedResult:
        """Train and evaluate one seed."""

    def short_training(self, progress: Progress) -> str:
        """Return the digest of a short training, "" if the case has none."""

    def repeats_short_training(self, digest: str) -> bool:
        """Return whether the short training gives this digest again, in a fresh process."""

    def why_untimed(self, baseline: Result | None, candidate: Result, *, update: bool) -> str:
        """Return why the case takes no timed window, "" if nothing speaks against it."""

    def take_windows(
        self, baseline: Result | None, candidate: Result, *, update: bool
    ) -> dict[str, Timing]:
        """Add windows to `candidate` until its cost is settled.

        Return the rounds of the last window that this process took, by piece of work.
        """

    def time_beside_reference(self, baseline: Result) -> TimesBeside | None:
        """Return the case's times compared with the reference's, None if it is not timed."""


class CaseOpener(Protocol):
    """Opens cases: with torch, or a test's stand-in."""

    def open(
        self, case: Case, settings: Settings, run_context: RunContext
    ) -> AbstractContextManager[CaseWork]:
        """Open a case as a context.

        Entering the context and its body raise `CaseError` for a reason that the user can remove.
        """

    def environment(
        self, cases: Sequence[Case], settings: Settings, run_context: RunContext
    ) -> Json:
        """Return the joint environment of the cases."""

    def count(
        self, case: Case, settings: Settings, run_context: RunContext
    ) -> tuple[dict[str, float], Json]:
        """Return structure and counts of one update, by name, and the environment."""

    def time_in_turn(
        self,
        pieces: Sequence[tuple[Case, str]],
        settings: Settings,
        run_context: RunContext,
        is_enough: IsEnough,
    ) -> list[tuple[float, float]]:
        """Time two pieces of work in turn until `is_enough`; return pairs of seconds.

        Raise `Untestable` if they cannot be timed.
        """

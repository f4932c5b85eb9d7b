"""A case computed with torch: what `case_work.py` asks for. Imports torch; the plugin imports it when a case runs."""

from __future__ import annotations

import gc
import os
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, replace
from functools import cache, cached_property

import torch

from pytest_ftcompare.checks.leakage import check_leakage
from pytest_ftcompare.checks.random_draws import subsets
from pytest_ftcompare.checks.structure import structure
from pytest_ftcompare.compare.claims.relations import Untestable
from pytest_ftcompare.compare.known_faults import CaseFacts
from pytest_ftcompare.compare.measured_cost import CostComparison
from pytest_ftcompare.gate.beside_reference import SideBySide
from pytest_ftcompare.gate.case_work import CaseError, CaseWork, IsEnough, Progress
from pytest_ftcompare.gate.run_context import RunContext
from pytest_ftcompare.gate.settings import Settings
from pytest_ftcompare.gate.shared_inspection import SharedInspection
from pytest_ftcompare.gate.timing import take_windows, why_untimed
from pytest_ftcompare.gate.worker_status import TIMED
from pytest_ftcompare.measure import nvml, yardstick
from pytest_ftcompare.measure.counted_update import count_update
from pytest_ftcompare.measure.environment import capture, device_name
from pytest_ftcompare.measure.gpu_readings import read
from pytest_ftcompare.measure.out_of_memory import OutOfMemory, told_when_exhausted
from pytest_ftcompare.measure.paired_timing import NoWorkload, make_workload, rounds
from pytest_ftcompare.measure.timer import ClockError, Timing
from pytest_ftcompare.methods import MethodFileError
from pytest_ftcompare.methods.base import MethodError
from pytest_ftcompare.results.baseline_store import BaselineError
from pytest_ftcompare.results.case import Case
from pytest_ftcompare.results.result import Json, Result, SeedResult
from pytest_ftcompare.tasks import DataError
from pytest_ftcompare.tasks.hub import HubError
from pytest_ftcompare.tasks.split_overlap import source_overlaps
from pytest_ftcompare.training.config import TrainingConfig
from pytest_ftcompare.training.model_kind import ModelError
from pytest_ftcompare.training.prepare import PreparedCase, prepare
from pytest_ftcompare.training.run_seed import run_seed
from pytest_ftcompare.training.short_training import digest_of_short_training
from pytest_ftcompare.training.train import TrainingError

# What a user can mend: its message is the whole story.
MENDABLE = (
    HubError,
    DataError,
    BaselineError,
    ModelError,
    TrainingError,
    MethodError,
    MethodFileError,
    OutOfMemory,
    ClockError,
)


def _device(name: str) -> str:
    if name == "cuda" and not torch.cuda.is_available():
        raise CaseError(
            "--ftcompare-device=cuda: this torch sees no GPU: check the driver, or use --ftcompare-device=cpu"
        )
    return "cuda" if name != "cpu" and torch.cuda.is_available() else "cpu"


def make_config(settings: Settings) -> TrainingConfig:
    """What training needs of the options."""
    profile = settings.profile
    return TrainingConfig(
        scale=profile.scale,
        device=_device(settings.device),
        threads=settings.threads,
        max_length=profile.max_length,
        test_rows=profile.test_rows,
        hub=settings.hub,
        revisions=profile.revisions,
        recipe=profile.recipe,
        precision=profile.precision,
    )


@contextmanager
def on_device(
    settings: Settings, run_context: RunContext
) -> Iterator[tuple[TrainingConfig, RunContext]]:
    """Torch made ready and the bench at its device; what a user can mend is a `CaseError` of one sentence."""
    if not settings.profile.revisions:
        os.environ["HF_HUB_OFFLINE"] = "1"
    config = make_config(settings)
    try:
        with (
            run_context.at(config.device) as held,
            told_when_exhausted(config.device, run_context.say) as say,
        ):
            yield config, replace(held, say=say)
    except MENDABLE as error:
        raise CaseError(str(error)) from error


@cache
def _spare_libraries() -> None:
    """Once in a process, before any model is there: let later collections skip the libraries' objects.

    Counts and windows begin with a collection; going through those objects took half a second each time.
    """
    gc.collect()
    gc.freeze()


@dataclass(frozen=True)
class TorchCase:
    """An open case."""

    prepared: PreparedCase
    settings: Settings
    run_context: RunContext

    @property
    def device(self) -> str:
        return device_name(self.prepared.config.device)

    @property
    def facts(self) -> CaseFacts:
        prepared = self.prepared
        return CaseFacts(
            prepared.case.method, prepared.method.output_mode, prepared.interface.config.model_type
        )

    @property
    def notes(self) -> Sequence[str]:
        return self.prepared.remarks

    def candidate(self) -> Result:
        return make_candidate(self.prepared)

    def run_audits(self) -> list[str]:
        return run_audits(self.prepared)

    def texts(self) -> dict[str, list[str]]:
        examples = self.prepared.examples
        return {
            split: [" / ".join(one.fields.values()) for one in found]
            for split, found in examples.items()
        }

    @cached_property
    def _once(self) -> SharedInspection:
        return SharedInspection(self.prepared, self.run_context.folder)

    def inspect(self) -> tuple[Json, Json, list[str]]:
        return self._once.inspected()

    def count(self) -> Json:
        return self._once.counted()

    def row_digests(self, seeds: int) -> dict[str, str]:
        return subsets(self.prepared, seeds)

    def run_seed(self, seed: int, progress: Progress) -> SeedResult:
        return run_seed(self.prepared, seed, progress)

    def short_training(self, progress: Progress) -> str:
        return digest_of_short_training(self.prepared, progress)

    def why_untimed(self, baseline: Result | None, candidate: Result, *, update: bool) -> str:
        return why_untimed(
            self.prepared, baseline, candidate, self.run_context, self.settings, update=update
        )

    def take_windows(
        self, baseline: Result | None, candidate: Result, *, update: bool
    ) -> dict[str, Timing]:
        return take_windows(
            self.prepared, baseline, candidate, self.run_context, self.settings, update=update
        )

    def beside_reference(
        self, baseline: Result, alone: Sequence[CostComparison]
    ) -> list[CostComparison]:
        return SideBySide(self.prepared, baseline, self.run_context, self.settings).readings(alone)


class TorchCases:
    """Opens cases with torch."""

    @contextmanager
    def open(self, case: Case, settings: Settings, run_context: RunContext) -> Iterator[CaseWork]:
        with on_device(settings, run_context) as (config, ready):
            prepared = prepare(case, config)
            _spare_libraries()
            yield TorchCase(prepared, settings, ready)

    def environment(
        self, cases: Sequence[Case], settings: Settings, run_context: RunContext
    ) -> Json:
        found: Json = {}
        with on_device(settings, run_context) as (config, _):
            torch.set_num_threads(
                config.threads
            )  # as `prepare` does: no case may have run in this process yet
            for case in cases:
                found |= capture(config, case.method, case.task)
        return found

    def count(
        self, case: Case, settings: Settings, run_context: RunContext
    ) -> tuple[dict[str, float], Json]:
        with on_device(settings, run_context) as (config, _):
            prepared = prepare(case, config)
            counts = structure(prepared.method, prepared.adapted(), None) | count_update(prepared)
            return counts, capture(config, case.method, case.task)

    def time_in_turn(
        self,
        pieces: Sequence[tuple[Case, str]],
        settings: Settings,
        run_context: RunContext,
        is_enough: IsEnough,
    ) -> list[tuple[float, float]]:
        assert run_context.clock is not None
        clock, taken = run_context.clock, list[tuple[float, float]]()
        with on_device(settings, run_context) as (config, held):
            try:
                first, second = (
                    make_workload(prepare(case, config), name) for case, name in pieces
                )
            except NoWorkload as error:
                raise Untestable(str(error)) from None

            def take(watch: Callable[[], object]) -> None:
                begin = clock()
                with closing(rounds(first, second, config.device, clock)) as pairs:
                    for pair in pairs:
                        watch()
                        taken.append(pair)
                        if is_enough(taken, clock() - begin):
                            return

            held.say("waiting to be alone on the device")
            with held.alone():
                held.say(f"{TIMED}  side by side")
                readings = read(config.device, {}, 0, take)
        if readings.disturbed:
            raise Untestable(f"not timed: {readings.disturbed}")
        return taken


def make_candidate(prepared: PreparedCase) -> Result:
    """The case's result as it is before anything is computed."""
    environment = capture(prepared.config, prepared.case.method, prepared.case.task) | {
        "yardstick": yardstick.VERSION
    }
    if prepared.config.device != "cpu":
        environment["driver"] = nvml.driver()
    case, majority = prepared.case, {}
    for split, rows in prepared.tests.items():
        counts = Counter(one.label for one in rows)
        majority[split] = max(counts.values()) / counts.total()
    return Result(
        id=case.id,
        suite=case.suite,
        identity=case.identity(),
        fingerprint=prepared.fingerprint(),
        environment=environment,
        recipe=prepared.recipe,
        signature={},
        probe={},
        majority_share=majority,
        judge_accuracy=case.judge_accuracy,
        rows=prepared.rows(),
    )


def run_audits(prepared: PreparedCase) -> list[str]:
    """What the audits have against the case before anything is trained: its task's rows, its sources', what is shown."""
    found = [*prepared.refusals, *check_leakage(prepared)]
    for source in prepared.method.sources():
        if source != prepared.task.name:
            other = prepared.on_source(source)
            tested = source_overlaps(
                prepared.task.name, prepared.examples, source, other.examples["train"]
            )
            found += [*other.refusals, *tested]
    return found

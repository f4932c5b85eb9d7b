"""Implement the protocols of `case_work.py` with torch.

It imports torch, so the plugin imports it only when a case runs.
"""

from __future__ import annotations

import os
import warnings
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, replace
from functools import cache, cached_property

import torch

from pytest_ftcompare.checks.leakage import check_leakage
from pytest_ftcompare.checks.random_draws import training_rows_by_seed
from pytest_ftcompare.checks.structure import structure
from pytest_ftcompare.compare.claims.relations import Untestable
from pytest_ftcompare.compare.known_faults import CaseFacts
from pytest_ftcompare.gate.case_work import CaseError, CaseWork, IsEnough, Progress
from pytest_ftcompare.gate.gpu_failures import GpuFailures
from pytest_ftcompare.gate.memory_check import check_memory
from pytest_ftcompare.gate.reference_timing import ReferenceTiming, TimesBeside
from pytest_ftcompare.gate.remote import RemoteError, RemoteProcess
from pytest_ftcompare.gate.run_context import RunContext
from pytest_ftcompare.gate.settings import Settings
from pytest_ftcompare.gate.shared_inspection import SharedInspection
from pytest_ftcompare.gate.timing import take_windows, why_untimed
from pytest_ftcompare.gate.worker_status import TIMING_STATUS
from pytest_ftcompare.measure import gpu_assignment, nvml, yardstick
from pytest_ftcompare.measure.counted_update import count_update
from pytest_ftcompare.measure.environment import capture, device_name
from pytest_ftcompare.measure.gpu_absence import idle_gpu, why_no_gpu
from pytest_ftcompare.measure.gpu_failure import GpuFailure, explain_gpu_failure
from pytest_ftcompare.measure.gpu_readings import take_readings
from pytest_ftcompare.measure.last_status import LastStatus
from pytest_ftcompare.measure.out_of_memory import OutOfMemory, explain_out_of_memory
from pytest_ftcompare.measure.paired_timing import NoWorkload, make_workload, rounds
from pytest_ftcompare.measure.timer import ClockError, Timing, freeze_library_objects
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
from pytest_ftcompare.training.torch_settings import apply_torch_settings
from pytest_ftcompare.training.train import TrainingError

# Errors that the user can remove; each message says how.
USER_ERRORS = (
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


def _choose_device(name: str) -> str:
    if name == "cpu" or torch.get_device_module(gpu_assignment.GPU_TYPE).is_available():
        return "cpu" if name == "cpu" else gpu_assignment.GPU_TYPE
    if name == "cuda":
        raise CaseError(
            f"--ftcompare-device=cuda: torch sees no GPU: {why_no_gpu(os.environ)}; "
            "or use --ftcompare-device=cpu"
        )
    _warn_of_idle_gpu()
    return "cpu"


@cache
def _warn_of_idle_gpu() -> None:
    """Warn once per process if torch cannot use a GPU that is here."""
    if reason := idle_gpu(os.environ):
        warnings.warn(f"cases run on the CPU, the GPU is not used: {reason}", stacklevel=2)


def make_config(settings: Settings) -> TrainingConfig:
    """Return the part of the settings that training needs."""
    profile = settings.profile
    return TrainingConfig(
        scale=profile.scale,
        device=_choose_device(settings.device),
        threads=settings.threads,
        max_length=profile.max_length,
        test_rows=profile.test_rows,
        hub=settings.hub,
        revisions=profile.revisions,
        recipe=profile.recipe,
        precision=profile.precision,
    )


def _earlier_failure(failures: GpuFailures, device: str) -> str:
    """Return the case in which this process lost its GPU, or another one the only GPU; else ""."""
    # A new process that sees no GPU any more must not go on with another device.
    return failures.of_any_process() if device == "cpu" else failures.of_this_process()


@contextmanager
def prepare_device(
    settings: Settings, run_context: RunContext
) -> Iterator[tuple[TrainingConfig, RunContext]]:
    """Hold the settings' device, and yield the training configuration and the context.

    Raise `CaseError` for an error that the user can remove.
    """
    if not settings.profile.revisions:
        os.environ["HF_HUB_OFFLINE"] = "1"
    config, failures = make_config(settings), GpuFailures(run_context.folder)
    if settings.device != "cpu" and (failed_in := _earlier_failure(failures, config.device)):
        raise CaseError(
            f"not run: the GPU failed in {failed_in}, and this process cannot use one: "
            "continue with --ftcompare-resume"
        )
    status = LastStatus(run_context.report_status)
    try:
        with (
            run_context.hold_device(config.device) as device_context,
            explain_gpu_failure(config.device, status),
            explain_out_of_memory(config.device, status),
        ):
            yield config, replace(device_context, report_status=status)
    except GpuFailure as error:
        failures.add(run_context.subject)
        raise CaseError(str(error)) from error
    except USER_ERRORS as error:
        raise CaseError(str(error)) from error


@dataclass(frozen=True)
class TorchCase:
    """An open case; the methods are described in `CaseWork`."""

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
    def remarks(self) -> Sequence[str]:
        return self.prepared.remarks

    def candidate(self) -> Result:
        return make_candidate(self.prepared)

    def run_audits(self) -> list[str]:
        return run_audits(self.prepared)

    def row_names(self) -> dict[str, list[str]]:
        return {
            split: [f"row {row.row}, {' / '.join(row.fields.values())[:60]!r}" for row in rows]
            for split, rows in self.prepared.examples.items()
        }

    @cached_property
    def _shared_inspection(self) -> SharedInspection:
        return SharedInspection(self.prepared, self.run_context.folder)

    def inspect(self) -> tuple[Json, Json, list[str]]:
        return self._shared_inspection.inspect()

    def count(self) -> Json:
        return self._shared_inspection.count()

    def row_digests(self, seeds: int) -> dict[str, str]:
        return training_rows_by_seed(self.prepared, seeds)

    def run_seed(self, seed: int, progress: Progress) -> SeedResult:
        return run_seed(self.prepared, seed, progress)

    def short_training(self, progress: Progress) -> str:
        return digest_of_short_training(self.prepared, progress)

    def repeats_short_training(self, digest: str) -> bool:
        # On a CPU, the same seed with the same kernels adds in the same order.
        if self.prepared.config.device == "cpu":
            return True
        self.run_context.report_status("short training in a fresh process")
        try:
            with RemoteProcess() as remote:
                remote.prepare(self.prepared.case, self.prepared.config, self.settings.root)
                return remote.short_training() == digest
        except RemoteError as error:
            text = f"{self.prepared.case.id} was not repeated in a fresh process: {error}"
            warnings.warn(text, stacklevel=2)
            return False

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

    def time_beside_reference(self, baseline: Result) -> TimesBeside | None:
        if self.run_context.clock is None or not self.prepared.case.timed:
            return None
        return ReferenceTiming(
            self.prepared, baseline, self.run_context, self.settings
        ).compare_times()


class TorchCases:
    """Opens cases with torch; the methods are described in `CaseOpener`."""

    @contextmanager
    def open(self, case: Case, settings: Settings, run_context: RunContext) -> Iterator[CaseWork]:
        with prepare_device(settings, run_context) as (config, device_context):
            prepared = prepare(case, config)
            if too_large := check_memory(prepared, settings.profile.parameters):
                raise CaseError(too_large)
            freeze_library_objects()
            yield TorchCase(prepared, settings, device_context)

    def environment(
        self, cases: Sequence[Case], settings: Settings, run_context: RunContext
    ) -> Json:
        environment: Json = {}
        with prepare_device(settings, run_context) as (config, _):
            # `prepare` does this for a case, but no case may have run in this process yet.
            apply_torch_settings(config)
            for case in cases:
                environment |= capture(config, case.method, case.task)
        return environment

    def count(
        self, case: Case, settings: Settings, run_context: RunContext
    ) -> tuple[dict[str, float], Json]:
        with prepare_device(settings, run_context) as (config, _):
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
        clock, seconds = run_context.clock, list[tuple[float, float]]()
        with prepare_device(settings, run_context) as (config, device_context):
            try:
                first, second = (
                    make_workload(prepare(case, config), name) for case, name in pieces
                )
            except NoWorkload as error:
                raise Untestable(str(error)) from None

            def take(watch: Callable[[], object]) -> None:
                start = clock()
                with closing(rounds(first, second, config.device, clock)) as pairs:
                    for pair in pairs:
                        watch()
                        seconds.append(pair)
                        if is_enough(seconds, clock() - start):
                            return

            device_context.report_status("waiting to be alone on the device")
            with device_context.exclusive():
                device_context.report_status(f"{TIMING_STATUS}  side by side")
                readings = take_readings(config.device, {}, 0, take)
        if readings.disturbed:
            raise Untestable(f"not timed: {readings.disturbed}")
        return seconds


def make_candidate(prepared: PreparedCase) -> Result:
    """Return the case's result before anything is computed."""
    environment = capture(prepared.config, prepared.case.method, prepared.case.task) | {
        "yardstick": yardstick.VERSION
    }
    if prepared.config.device != "cpu":
        environment["driver"] = nvml.driver()
    case, majority_share = prepared.case, {}
    for split, rows in prepared.test_splits.items():
        counts = Counter(row.label for row in rows)
        majority_share[split] = max(counts.values()) / counts.total()
    return Result(
        id=case.id,
        suite=case.suite,
        identity=case.identity(),
        fingerprint=prepared.fingerprint(),
        environment=environment,
        recipe=prepared.recipe,
        signature={},
        probe={},
        majority_share=majority_share,
        judge_accuracy=case.judge_accuracy,
        rows=prepared.row_digests(),
    )


def run_audits(prepared: PreparedCase) -> list[str]:
    """Return the reasons for which the audits refuse the case before training.

    They look at the rows of its task and of its source tasks, and for leaked labels.
    """
    refusals = [*prepared.refusals, *check_leakage(prepared)]
    for source in prepared.method.sources():
        if source != prepared.task.name:
            source_case = prepared.on_source(source)
            overlaps = source_overlaps(
                prepared.task.name, prepared.examples, source, source_case.examples["train"]
            )
            refusals += [*source_case.refusals, *overlaps]
    return refusals

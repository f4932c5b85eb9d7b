"""One case from beginning to verdict: seeds are trained, and time is taken, until the comparison with the baseline is settled.

This is where the torch side and the comparison meet; it knows neither pytest nor a terminal.
"""

from __future__ import annotations

import os
from collections import Counter
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from pytest_ftcompare.bench import Bench, costs, take_windows
from pytest_ftcompare.case import Case
from pytest_ftcompare.compare import audit, baseline, cost
from pytest_ftcompare.compare.verdict import Judgement, More, incomparable, judge, with_costs, without_baseline
from pytest_ftcompare.hub import HubError
from pytest_ftcompare.options import Settings
from pytest_ftcompare.result import Result
from pytest_ftcompare.tasks import DataError

if TYPE_CHECKING:
    from pytest_ftcompare.experiment.prepare import Prepared
    from pytest_ftcompare.experiment.setting import Setting
    from pytest_ftcompare.measure.meter import Timing


class CaseError(RuntimeError):
    """A case that cannot be judged, for a reason that is one sentence."""


@dataclass(frozen=True)
class Held:
    """A case that was held against its baseline: the judgement, the result, the device's name, what the last window timed.

    `update` says that the result is to become the case's baseline.
    """

    judgement: Judgement
    result: Result
    device: str
    update: bool = False
    timings: dict[str, Timing] = field(default_factory=dict)

    def info(self, what: str) -> dict[str, Any]:
        """What pytest-benchmark keeps beside the rounds of a timed piece."""
        window, environment = self.result.windows[-1], self.result.environment
        return {
            "device": environment["cpu"] if self.device == "cpu" else self.device,
            "environment": {name: value for name, value in environment.items() if "/" not in name},
            "verdict": self.judgement.verdict,
            "moved": [one.metric for one in self.judgement.costs if one.outcome in ("worse", "changed", "better")],
            "yardsticks": window.times[what][1],
            **self.judgement.scores,
            **self.result.signature["execution"],
            **window.readings,
            "unread": window.unread,
            "state": window.state,
            "disturbed": window.disturbed,
        }


def _device(name: str) -> str:
    import torch

    if name == "cuda" and not torch.cuda.is_available():
        raise CaseError("--ftcompare-device=cuda: this torch sees no GPU: check the driver, or use --ftcompare-device=cpu")
    return "cuda" if name != "cpu" and torch.cuda.is_available() else "cpu"


def run_case(case: Case, settings: Settings, bench: Bench) -> Held:
    """Train the case, time it where it carries its method's cost, and hold it against its baseline.

    What keeps a case from being judged, for a reason that its user can mend, is a `CaseError`.
    """
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    if not settings.profile.revisions:
        os.environ["HF_HUB_OFFLINE"] = "1"
    from pytest_ftcompare.experiment.quiet import quiet

    quiet()  # before the imports below, which may import what has advice to give
    from pytest_ftcompare.experiment.environment import device_name
    from pytest_ftcompare.experiment.model import ModelError
    from pytest_ftcompare.experiment.prepare import prepare
    from pytest_ftcompare.experiment.train import TrainingError
    from pytest_ftcompare.measure.exhausted import Exhausted, told_when_exhausted
    from pytest_ftcompare.methods import MethodFileError
    from pytest_ftcompare.methods.base import MethodError

    setting = _setting(settings)
    device = device_name(setting.device)
    try:
        accepted = _baseline(case, settings, device)
        with bench.at(setting.device) as held, told_when_exhausted(setting.device, bench.say) as say:
            return _hold(prepare(case, setting), accepted, settings, replace(held, say=say), device)
    except (
        *(HubError, DataError, baseline.BaselineError),
        *(ModelError, TrainingError, MethodError, MethodFileError, Exhausted),
    ) as error:
        raise CaseError(str(error)) from error


def _setting(settings: Settings) -> Setting:
    from pytest_ftcompare.experiment.setting import Setting

    profile = settings.profile
    return Setting(
        scale=profile.scale,
        device=_device(settings.device),
        threads=settings.threads,
        max_length=profile.max_length,
        test_rows=profile.test_rows,
        hub=settings.hub,
        revisions=profile.revisions,
    )


def _candidate(prepared: Prepared) -> Result:
    """The case's result as it is before anything is computed."""
    from pytest_ftcompare.experiment.environment import capture
    from pytest_ftcompare.measure import nvml, yardstick

    environment = capture(prepared.setting, prepared.case.method, prepared.case.task) | {"yardstick": yardstick.VERSION}
    if prepared.setting.device != "cpu":
        environment["driver"] = nvml.driver()
    case, majority = prepared.case, {}
    for split in ("test", "ood"):
        counts = Counter(one.label for one in prepared.examples[split])
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
        majority=majority,
        outcome=case.outcome,
    )


def _refused(prepared: Prepared) -> list[str]:
    """What the audits have against the case before anything is trained: its task's rows, its sources', what is shown."""
    from pytest_ftcompare.experiment.overlap import source_overlaps
    from pytest_ftcompare.experiment.shown import shown

    found = [*prepared.refused, *shown(prepared)]
    for source in prepared.method.sources():
        if source != prepared.task.name:
            other = prepared.on(source)
            tested = source_overlaps(prepared.task.name, prepared.examples, source, other.examples["train"])
            found += [*other.refused, *tested]
    return found


def _hold(prepared: Prepared, accepted: Result | None, settings: Settings, bench: Bench, device: str) -> Held:
    """Inspect, then train seeds until the judge is settled, then time; all seeds and windows on an update."""
    from pytest_ftcompare.experiment.invariants import inspect
    from pytest_ftcompare.measure.execution import execution

    candidate = _candidate(prepared)
    if refused := _refused(prepared):
        judgement = Judgement(candidate.id, candidate.suite, "invalid", 0, signs=refused, outcome=candidate.outcome)
        return Held(judgement, candidate, device)
    beside = accepted if accepted is not None and accepted.fingerprint == candidate.fingerprint else None
    update = settings.update or (settings.new_only and beside is None)
    if accepted is not None and beside is None and not update:
        reason = "its baseline is of another experiment: other rows, base weights or case options"
        return Held(incomparable(candidate, reason), candidate, device)
    bench.say("inspecting")
    signature, probe, broken = inspect(prepared)
    candidate = replace(candidate, signature=signature, probe=probe, broken=broken)
    bench.pause()
    if not broken:
        signature["execution"] = execution(prepared)
        bench.pause()
    judgement = _outcome(prepared, accepted, candidate, settings.seeds, bench, update=update)
    if judgement.verdict == "invalid":
        return Held(judgement, candidate, device, update)
    timings = take_windows(prepared, beside, candidate, bench, update=update)
    if update and cost.lacks_time(candidate):
        judgement = replace(judgement, notes=[*judgement.notes, cost.NO_TIME])
    return Held(with_costs(judgement, costs(beside, candidate)), candidate, device, update, timings)


def _outcome(
    prepared: Prepared, accepted: Result | None, candidate: Result, seeds: int, bench: Bench, *, update: bool
) -> Judgement:
    """Train seeds into the candidate until what it computes and how well it does is settled."""
    from pytest_ftcompare.experiment.run import run_seed

    def add_until(count: int) -> None:
        for seed in range(len(candidate.samples), count):
            candidate.samples.append(run_seed(prepared, seed, bench.progress(seed)))

    add_until(seeds if update else 1)
    if update:
        return _accept(accepted, candidate)
    if accepted is None:
        return without_baseline(candidate)
    same_device = accepted.environment.get("device") == candidate.environment["device"]
    while isinstance(step := judge(accepted, candidate, seeds, same_device=same_device), More):
        add_until(step.seeds)
    return step


def _baseline(case: Case, settings: Settings, device: str) -> Result | None:
    """The case's baseline for this device; where there is none, the one for cpu."""
    writes = settings.update or settings.new_only
    devices = (device,) if writes else dict.fromkeys((device, baseline.FALLBACK))
    try:
        for one in devices:
            path = baseline.path_of(settings.baselines, one, case.suite, case.id)
            if (found := baseline.read(path, case.id)) is not None:
                return found
        return None
    except baseline.BaselineError:
        if writes:  # it is about to be made again
            return None
        raise


def _accept(accepted: Result | None, candidate: Result) -> Judgement:
    """What an update does to this case: refuse it, or say what moved."""
    refused = [*audit.sound(candidate), *audit.judgeable(candidate)]
    if accepted is None or accepted.fingerprint != candidate.fingerprint or not accepted.samples:
        found = without_baseline(candidate)
    else:
        step = judge(accepted, candidate, len(candidate.samples))
        assert isinstance(step, Judgement)
        found = step
    return replace(found, verdict="invalid", signs=refused) if refused else found

"""One case from beginning to verdict: seeds are trained, and time is taken, until the comparison with the baseline is settled.

This is where the torch side and the comparison meet; it knows neither pytest nor a terminal.
"""

from __future__ import annotations

import gc
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import cache
from typing import TYPE_CHECKING, Any

from pytest_ftcompare.accepted import make_terms, read_baseline
from pytest_ftcompare.bench import Bench, costs, take_windows, why_untimed
from pytest_ftcompare.beside import Beside
from pytest_ftcompare.candidate import CaseError, make_candidate, make_setting, refused
from pytest_ftcompare.case import Case
from pytest_ftcompare.compare import audit, baseline, cost, rows
from pytest_ftcompare.compare.environment import differences, nothing_changed
from pytest_ftcompare.compare.known import Facts, explain
from pytest_ftcompare.compare.same_machine import UNTIMED
from pytest_ftcompare.compare.verdict import (
    IDENTICAL,
    SHORT,
    Judgement,
    More,
    Terms,
    incomparable,
    judge,
    with_costs,
    without_baseline,
)
from pytest_ftcompare.hub import HubError
from pytest_ftcompare.options import Settings
from pytest_ftcompare.result import Result
from pytest_ftcompare.tasks import DataError

if TYPE_CHECKING:
    from pytest_ftcompare.experiment.prepare import Prepared
    from pytest_ftcompare.experiment.setting import Setting
    from pytest_ftcompare.measure.meter import Timing


@dataclass(frozen=True)
class Held:
    """A case that was held against its baseline: the judgement, the result, the device's name, what the last window timed.

    `update` says that the result is to become the case's baseline; `seconds` is how long it took, whoever asked.
    """

    judgement: Judgement
    result: Result
    device: str
    update: bool = False
    timings: dict[str, Timing] = field(default_factory=dict)
    seconds: float = 0.0

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


@contextmanager
def at_work(settings: Settings, bench: Bench) -> Iterator[tuple[Setting, Bench]]:
    """Torch made ready and the bench at its device; what a user can mend is a `CaseError` of one sentence."""
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    if not settings.profile.revisions:
        os.environ["HF_HUB_OFFLINE"] = "1"
    from pytest_ftcompare.experiment.quiet import quiet

    quiet()  # before the imports below, which may import what has advice to give
    from pytest_ftcompare.experiment.model import ModelError
    from pytest_ftcompare.experiment.train import TrainingError
    from pytest_ftcompare.measure.exhausted import Exhausted, told_when_exhausted
    from pytest_ftcompare.measure.meter import ClockError
    from pytest_ftcompare.methods import MethodFileError
    from pytest_ftcompare.methods.base import MethodError

    setting = make_setting(settings)
    try:
        with bench.at(setting.device) as held, told_when_exhausted(setting.device, bench.say) as say:
            yield setting, replace(held, say=say)
    except (
        *(HubError, DataError, baseline.BaselineError),
        *(ModelError, TrainingError, MethodError, MethodFileError, Exhausted, ClockError),
    ) as error:
        raise CaseError(str(error)) from error


def run_case(case: Case, settings: Settings, bench: Bench, judged: int = 1) -> Held:
    """Train the case, time it where it carries its method's cost, and hold it against its baseline.

    `judged` is the number of cases that share the session's error rate. What keeps a case from being judged, for a reason
    that its user can mend, is a `CaseError`.
    """
    with at_work(settings, bench) as (setting, ready):
        from pytest_ftcompare.experiment.environment import device_name
        from pytest_ftcompare.experiment.prepare import prepare

        device = device_name(setting.device)
        accepted = read_baseline(case, settings, device)
        prepared = prepare(case, setting)
        _spare_libraries()
        return _hold(prepared, accepted, settings, ready, device, judged)


@cache
def _spare_libraries() -> None:
    """Once in a process, before any model is there: keep what the libraries made out of collections.

    Counts and windows begin with a collection, which took half a second with all of it.
    """
    gc.collect()
    gc.freeze()


def _other(accepted: Result, candidate: Result, prepared: Prepared) -> str:
    """What of the experiment is not the baseline's."""
    if not accepted.rows:
        return "other rows, base weights or case options"
    texts = {split: [" / ".join(one.fields.values()) for one in found] for split, found in prepared.examples.items()}
    return "; ".join(rows.changed(accepted.rows, candidate.rows, texts)) or "other base weights or case options"


def _hold(prepared: Prepared, accepted: Result | None, settings: Settings, bench: Bench, device: str, judged: int) -> Held:
    """Inspect, then train seeds until the judge is settled, then time; all seeds and windows on an update."""
    from pytest_ftcompare.experiment.drawn import subsets
    from pytest_ftcompare.once import Once

    candidate = make_candidate(prepared)
    if found := refused(prepared):
        judgement = Judgement(candidate.id, candidate.suite, "invalid", 0, signs=found, outcome=candidate.outcome)
        return Held(judgement, candidate, device)
    beside = accepted if accepted is not None and accepted.fingerprint == candidate.fingerprint else None
    update = settings.update or (settings.new_only and beside is None)
    if accepted is not None and beside is None and not update:
        reason = f"its baseline is of another experiment: {_other(accepted, candidate, prepared)}"
        return Held(incomparable(candidate, reason), candidate, device)
    bench.say("inspecting")
    once = Once(prepared, bench.folder)
    signature, probe, broken = once.inspected()
    probe["rows"] = subsets(prepared, settings.seeds if accepted is None else len(accepted.samples))
    facts = Facts(prepared.case.method, prepared.method.ask, prepared.ask.config.model_type)
    unexplained, known = explain(broken, facts, candidate.environment)
    candidate = replace(candidate, signature=signature, probe=probe, broken=unexplained)
    bench.pause()
    if not unexplained:
        signature["execution"] = once.counted()
        bench.pause()
    if update:
        candidate = replace(candidate, short_training=_short_training(prepared, bench))
    judgement = _outcome(prepared, accepted, candidate, settings, bench, judged, update=update)
    told = audit.notices(candidate if update or accepted is None else accepted)  # it takes a baseline's seeds to tell
    judgement = replace(judgement, notes=[*judgement.notes, *known, *told, *prepared.told])
    if judgement.verdict == "invalid":
        return Held(judgement, candidate, device, update)
    timings: dict[str, Timing] = {}
    if why := why_untimed(prepared, beside, candidate, bench, settings, update=update):
        judgement = replace(judgement, notes=[*judgement.notes, f"{UNTIMED}{why}"])
    else:
        timings = take_windows(prepared, beside, candidate, bench, settings, update=update)
    if update and cost.lacks_time(candidate):
        judgement = replace(judgement, notes=[*judgement.notes, cost.NO_TIME])
    readings = costs(beside, candidate, strict=settings.strict_times)
    if timings and settings.reference is not None and beside is not None and not update:
        readings = Beside(prepared, beside, bench, settings).readings(readings)
    return Held(with_costs(judgement, readings), candidate, device, update, timings)


def _outcome(
    prepared: Prepared,
    accepted: Result | None,
    candidate: Result,
    settings: Settings,
    bench: Bench,
    judged: int,
    *,
    update: bool,
) -> Judgement:
    """Train seeds into the candidate until what it computes and how well it does is settled."""
    from pytest_ftcompare.experiment.run import run_seed

    def add_until(count: int) -> None:
        for seed in range(len(candidate.samples), count):
            candidate.samples.append(run_seed(prepared, seed, bench.progress(f"seed {seed}")))

    terms = make_terms(accepted, settings, judged) if accepted is not None else Terms()
    if not (update or settings.full) and accepted is not None and _repeats(prepared, accepted, candidate, bench):
        return _without_training(accepted, candidate, terms)
    add_until(settings.seeds if update else 1)
    if update:
        return _accept(accepted, candidate, terms)
    if accepted is None:
        return without_baseline(candidate)
    same_device = accepted.environment.get("device") == candidate.environment["device"]
    while isinstance(step := judge(accepted, candidate, settings.budget, same_device=same_device, terms=terms), More):
        add_until(step.seeds)
    return step


def _short_training(prepared: Prepared, bench: Bench) -> str:
    from pytest_ftcompare.experiment.short_training import digest_of_short_training

    return digest_of_short_training(prepared, bench.progress("short training"))


def _repeats(prepared: Prepared, accepted: Result, candidate: Result, bench: Bench) -> bool:
    """Whether nothing changed since the baseline, and probe and short training repeat it bit for bit."""
    if candidate.broken or not (
        accepted.short_training
        and accepted.sample(0)
        and nothing_changed(differences(accepted.environment, candidate.environment))
    ):
        return False
    first, now = ((one.recipe, one.signature["structure"], one.probe, one.majority, one.rows) for one in (accepted, candidate))
    return first == now and _short_training(prepared, bench) == accepted.short_training


def _without_training(accepted: Result, candidate: Result, terms: Terms) -> Judgement:
    """The judgement where the baseline's seed 0 stands for one that would repeat it."""
    sample = accepted.sample(0)
    assert sample is not None
    candidate.samples.append(sample)
    step = judge(accepted, candidate, 1, terms=terms)
    assert isinstance(step, Judgement)
    comparisons = [replace(one, seeds=0) for one in step.comparisons]
    notes = [SHORT if note == IDENTICAL else note for note in step.notes]
    return replace(step, seeds=0, comparisons=comparisons, notes=notes)


def _accept(accepted: Result | None, candidate: Result, terms: Terms) -> Judgement:
    """What an update does to this case: refuse it, or say what moved."""
    against = [*audit.sound(candidate), *audit.judgeable(candidate)]
    if accepted is None or accepted.fingerprint != candidate.fingerprint or not accepted.samples:
        found = without_baseline(candidate)
    else:
        step = judge(accepted, candidate, len(candidate.samples), terms=terms)
        assert isinstance(step, Judgement)
        found = step
    return replace(found, verdict="invalid", signs=against) if against else found

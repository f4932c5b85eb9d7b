"""One case from beginning to verdict: seeds are trained until the comparison with the baseline is settled.

This is where the torch side and the comparison meet; it knows neither pytest nor a terminal.
"""

from __future__ import annotations

import logging
import os
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from functools import partial

from pytest_ftcompare.case import Case
from pytest_ftcompare.compare import audit, baseline
from pytest_ftcompare.compare.verdict import Judgement, More, incomparable, judge, without_baseline
from pytest_ftcompare.hub import HubError
from pytest_ftcompare.options import Settings
from pytest_ftcompare.result import Result
from pytest_ftcompare.tasks import DataError

Say = Callable[[int, int, int, float], None]  # seed, step, steps, loss


class CaseError(RuntimeError):
    """A case that cannot be judged, for a reason that is one sentence."""


def _device(name: str) -> str:
    import torch

    if name == "cuda" and not torch.cuda.is_available():
        raise CaseError("--ftcompare-device=cuda: this torch sees no GPU: check the driver, or use --ftcompare-device=cpu")
    return "cuda" if name != "cpu" and torch.cuda.is_available() else "cpu"


def _quiet() -> None:
    """No progress bars and no advice of libraries within pytest's output."""
    from transformers.utils import logging as transformers_logging

    transformers_logging.set_verbosity_error()
    transformers_logging.disable_progress_bar()
    logging.getLogger("bitsandbytes").setLevel(logging.ERROR)  # says that it would like another package


def run_case(case: Case, settings: Settings, say: Say) -> tuple[Judgement, Result, str]:
    """The judgement on a case, its result, and the name of the device that it ran on."""
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    if not settings.profile.revisions:
        os.environ["HF_HUB_OFFLINE"] = "1"
    try:
        return _run(case, settings, say)
    except (HubError, DataError, baseline.BaselineError) as error:
        raise CaseError(str(error)) from error


def _run(case: Case, settings: Settings, say: Say) -> tuple[Judgement, Result, str]:
    _quiet()
    from pytest_ftcompare.experiment.ask import ModelError
    from pytest_ftcompare.experiment.environment import capture, device_name
    from pytest_ftcompare.experiment.invariants import inspect
    from pytest_ftcompare.experiment.prepare import Prepared, labels, prepare
    from pytest_ftcompare.experiment.run import run_seed
    from pytest_ftcompare.experiment.setting import Setting
    from pytest_ftcompare.experiment.train import TrainingError
    from pytest_ftcompare.methods import MethodError

    device = _device(settings.device)
    profile = settings.profile
    setting = Setting(
        scale=profile.scale,
        device=device,
        threads=settings.threads,
        max_length=profile.max_length,
        test_rows=profile.test_rows,
        hub=settings.hub,
        revisions=profile.revisions,
    )
    name = device_name(device)
    accepted = _baseline(case, settings, name)

    def add_until(prepared: Prepared, result: Result, count: int) -> None:
        for seed in range(len(result.samples), count):
            result.samples.append(run_seed(prepared, seed, partial(say, seed)))

    try:
        prepared = prepare(case, setting)
        majority = {}
        for split in ("test", "ood"):
            counts = Counter(labels(prepared.examples[split]))
            majority[split] = max(counts.values()) / counts.total()
        fingerprint = prepared.fingerprint()
        candidate = Result(
            id=case.id,
            suite=case.suite,
            identity=case.identity(),
            fingerprint=fingerprint,
            environment=capture(setting, case.method),
            recipe=prepared.recipe,
            signature={},
            probe={},
            majority=majority,
            outcome=case.outcome,
        )
        if accepted is not None and accepted.fingerprint != fingerprint and not settings.update:
            reason = "its baseline is of another experiment: other rows, base weights or case options"
            return incomparable(candidate, reason), candidate, name
        signature, probe, broken = inspect(prepared)
        candidate = replace(candidate, signature=signature, probe=probe, broken=broken)
        if settings.update:
            add_until(prepared, candidate, settings.seeds)
            return _accept(accepted, candidate), candidate, name
        add_until(prepared, candidate, 1)
        if accepted is None:
            return without_baseline(candidate), candidate, name
        same_device = accepted.environment.get("device") == candidate.environment["device"]
        while isinstance(step := judge(accepted, candidate, settings.seeds, same_device=same_device), More):
            add_until(prepared, candidate, step.seeds)
        return step, candidate, name
    except (ModelError, TrainingError, MethodError) as error:
        raise CaseError(str(error)) from error


def _baseline(case: Case, settings: Settings, device: str) -> Result | None:
    """The case's baseline for this device; where the device has none at all, the one for cpu."""
    folder = settings.baselines
    if device != baseline.FALLBACK and not settings.update and not baseline.has_device(folder, device):
        device = baseline.FALLBACK
    try:
        return baseline.read(baseline.path_of(folder, device, case.suite, case.id), case.id)
    except baseline.BaselineError:
        if settings.update:  # it is about to be made again
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

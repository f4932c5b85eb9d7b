"""A case's result before anything is trained: how it runs, where, on which rows, and what the audits have against it."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from pytest_ftcompare.options import Settings
from pytest_ftcompare.result import Result

if TYPE_CHECKING:
    from pytest_ftcompare.experiment.prepare import Prepared
    from pytest_ftcompare.experiment.setting import Setting


class CaseError(RuntimeError):
    """A case that cannot be judged, for a reason that is one sentence."""


def _device(name: str) -> str:
    import torch

    if name == "cuda" and not torch.cuda.is_available():
        raise CaseError("--ftcompare-device=cuda: this torch sees no GPU: check the driver, or use --ftcompare-device=cpu")
    return "cuda" if name != "cpu" and torch.cuda.is_available() else "cpu"


def make_setting(settings: Settings) -> Setting:
    """What the torch side needs of the options."""
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
        recipe=profile.recipe,
        precision=profile.precision,
    )


def make_candidate(prepared: Prepared) -> Result:
    """The case's result as it is before anything is computed."""
    from pytest_ftcompare.experiment.environment import capture
    from pytest_ftcompare.measure import nvml, yardstick

    environment = capture(prepared.setting, prepared.case.method, prepared.case.task) | {"yardstick": yardstick.VERSION}
    if prepared.setting.device != "cpu":
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
        majority=majority,
        outcome=case.outcome,
        rows=prepared.rows(),
    )


def refused(prepared: Prepared) -> list[str]:
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

"""What a case is held against: its baseline, and what the baselines of its suite teach of noise."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path

from pytest_ftcompare.compare.noise import METRICS, VarianceEstimate, priors
from pytest_ftcompare.compare.sequential_test import error_share
from pytest_ftcompare.compare.verdict import JudgingCriteria
from pytest_ftcompare.gate.settings import Settings
from pytest_ftcompare.results import baseline_store
from pytest_ftcompare.results.case import Case
from pytest_ftcompare.results.result import Result


def read_baseline(case: Case, settings: Settings, device: str) -> Result | None:
    """The case's baseline for this device; where there is none, the one for cpu."""
    writes = settings.update or settings.new_only
    devices = (device,) if writes else dict.fromkeys((device, baseline_store.FALLBACK))
    try:
        for one in devices:
            path = baseline_store.path_of(settings.baselines, one, case.suite, case.id)
            if (found := baseline_store.read(path, case.id)) is not None:
                return found
        return None
    except baseline_store.BaselineError:
        if writes:  # it is about to be made again
            return None
        raise


@lru_cache(maxsize=8)
def _priors(folder: Path, _: int) -> dict[str, VarianceEstimate]:
    """The priors of a folder of baselines; the second argument is its time of change, for the cache."""
    found = []
    for file in sorted(folder.glob("*.json")):
        try:
            result = baseline_store.read(file, file.stem)
        except baseline_store.BaselineError:
            continue  # the case that it belongs to says so
        if result is not None:
            found.append(result)
    return priors(found)


def make_terms(accepted: Result, settings: Settings, judged: int) -> JudgingCriteria:
    """What the case of a baseline is judged by, in a session that judges so many cases."""
    device = str(accepted.environment.get("device", baseline_store.FALLBACK))
    folder = baseline_store.path_of(settings.baselines, device, accepted.suite, accepted.id).parent
    learned = _priors(folder, folder.stat().st_mtime_ns) if folder.is_dir() else {}
    return JudgingCriteria(learned, error_share(judged, METRICS), settings.strict)

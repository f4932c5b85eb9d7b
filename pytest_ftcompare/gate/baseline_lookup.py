"""Find a case's baseline, and what the baselines of its suite say about noise.

`run_case` and claims (claim_evidence.py) call it.
"""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path

from pytest_ftcompare.compare.noise import SCORE_METRICS, VarianceEstimate, fit_priors
from pytest_ftcompare.compare.sequential_test import error_share
from pytest_ftcompare.compare.verdict import JudgingCriteria
from pytest_ftcompare.gate.settings import Settings
from pytest_ftcompare.results import baseline_store
from pytest_ftcompare.results.case import Case
from pytest_ftcompare.results.result import Result


def read_baseline(case: Case, settings: Settings, device: str) -> Result | None:
    """Return the case's baseline for the device, else the one for cpu, else None.

    Raise `BaselineError` for a file that cannot be read. An update skips it and reads no other
    device's baseline.
    """
    writes = settings.update or settings.new_only
    devices = (device,) if writes else dict.fromkeys((device, baseline_store.FALLBACK_DEVICE))
    try:
        for name in devices:
            path = baseline_store.path_of(settings.baselines, name, case.suite, case.id)
            if (baseline := baseline_store.read(path, case.id)) is not None:
                return baseline
        return None
    except baseline_store.BaselineError:
        # An update replaces the file.
        if writes:
            return None
        raise


@lru_cache(maxsize=8)
def _priors(folder: Path, _: int) -> dict[str, VarianceEstimate]:
    """Return the priors of a folder of baselines.

    The second argument is the folder's modification time, so that the cache notices a change.
    """
    results = []
    for file in sorted(folder.glob("*.json")):
        try:
            result = baseline_store.read(file, file.stem)
        except baseline_store.BaselineError:
            # The case of this file reports the error.
            continue
        if result is not None:
            results.append(result)
    return fit_priors(results)


def make_criteria(baseline: Result, settings: Settings, judged_cases: int) -> JudgingCriteria:
    """Return the criteria for a case in a session that judges `judged_cases` cases."""
    device = str(baseline.environment.get("device", baseline_store.FALLBACK_DEVICE))
    folder = baseline_store.path_of(settings.baselines, device, baseline.suite, baseline.id).parent
    suite_priors = _priors(folder, folder.stat().st_mtime_ns) if folder.is_dir() else {}
    allowed = frozenset(
        allowance.what
        for allowance in settings.allowances
        if allowance.names(baseline.suite, baseline.id) and allowance.is_valid_on(settings.today)
    )
    alpha_share = error_share(judged_cases, SCORE_METRICS)
    return JudgingCriteria(suite_priors, alpha_share, settings.strict, allowed)

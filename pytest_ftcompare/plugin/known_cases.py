"""Say which cases a project has, also those that this run leaves out: the accept file names them.

They are the cases of the tables that were collected, and those that have a baseline. The hooks in
`plugin/__init__.py` call this module.
"""

from __future__ import annotations

from collections import defaultdict
from pathlib import Path

import pytest

from pytest_ftcompare.gate import accept_file
from pytest_ftcompare.plugin.options import SETTINGS
from pytest_ftcompare.plugin.stale_baselines import SUITES
from pytest_ftcompare.results import baseline_store


def check_accept_file(config: pytest.Config, *, complete: bool) -> None:
    """Raise `UsageError` if the accept file names a case that the project does not have.

    Without a collected table, or if the collection is not `complete`, nothing is checked.
    """
    settings, suites = config.stash[SETTINGS], config.stash[SUITES]
    if settings.accept_file is None or not suites or not complete:
        return
    known = _with_baselines(config)
    for name, suite in suites.items():
        known[name] |= set(suite.cases_of_all_profiles)
    try:
        accept_file.check_known(settings.accept_file, settings.allowances, known)
    except accept_file.AcceptFileError as error:
        raise pytest.UsageError(f"--ftcompare-accept: {error}") from None


def find(config: pytest.Config) -> list[tuple[str, str]]:
    """Return suite and id of the cases of this profile's tables and of all baselines.

    None against other baselines than the project's, which tell nothing about what those need.
    """
    settings, project = config.stash[SETTINGS], _project_baselines(config)
    if not settings.allowances or (project.is_dir() and project != settings.baselines):
        return []
    known = _with_baselines(config)
    for name, suite in config.stash[SUITES].items():
        known[name] |= set(suite.cases)
    return [(suite, case) for suite, cases in known.items() for case in sorted(cases)]


def _project_baselines(config: pytest.Config) -> Path:
    return (config.rootpath / str(config.getini("ftcompare_baselines"))).resolve()


def _with_baselines(config: pytest.Config) -> defaultdict[str, set[str]]:
    """Return the ids that have baselines, by suite: in this run's folder and in the project's.

    `python -m pytest_ftcompare try` runs with another folder than the project's.
    """
    known: defaultdict[str, set[str]] = defaultdict(set)
    for folder in {config.stash[SETTINGS].baselines, _project_baselines(config)}:
        for path in baseline_store.result_paths(folder):
            known[path.parent.name].add(path.stem)
    return known

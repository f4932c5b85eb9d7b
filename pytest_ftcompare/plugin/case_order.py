"""Order cases for xdist workers: long ones first, so that no worker idles at the end.

Called by the hooks in `plugin/__init__.py`.
"""

from __future__ import annotations

from operator import itemgetter
from pathlib import Path

import pytest

from pytest_ftcompare.gate.profiles import Profile
from pytest_ftcompare.gate.resource_estimate import estimate
from pytest_ftcompare.gate.worker_status import read_total
from pytest_ftcompare.plugin.parametrize import case_of
from pytest_ftcompare.results.case import Case


def order_items(items: list[pytest.Item], profile: Profile, device: str) -> list[pytest.Item]:
    """Return the tests in order: the shortest case, other cases from the longest, other tests.

    The shortest case comes first to show a verdict early. `device` is "cpu" or "cuda".
    """

    def hours(case: Case) -> float:
        """Return the hours of one seed; infinity without an estimate."""
        resources = estimate(case, profile, device)
        return resources.hours if resources is not None else float("inf")

    cases = [(hours(case), item) for item in items if (case := case_of(item))]
    longest = [item for _, item in sorted(cases, key=itemgetter(0), reverse=True)]
    return [*longest[-1:], *longest[:-1], *(item for item in items if not case_of(item))]


def send_one_by_one(config: pytest.Config, folder: Path) -> None:
    """Let xdist send tests one by one if the session has cases; its default is chunks of dozens.

    Keeps the user's `--maxschedchunk` and other schedulers. `folder` is the run folder, which has
    the number of cases.
    """
    scheduler = getattr(config.pluginmanager.getplugin("dsession"), "sched", None)
    if getattr(scheduler, "maxschedchunk", 0) is None and read_total(folder):
        vars(scheduler)["maxschedchunk"] = 1

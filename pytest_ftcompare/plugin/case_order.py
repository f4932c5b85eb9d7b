"""Which test runs when under workers: long cases first, so that no worker idles at the end."""

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
    """The cases before the other tests: the shortest, so that a verdict is soon there to look at,
    then the longest and so on. `device` is "cpu" or "cuda"."""

    def hours(case: Case) -> float:
        """For one seed; a case that has no estimate counts as long."""
        estimated = estimate(case, profile, device)
        return estimated.hours if estimated is not None else float("inf")

    cases = [(hours(case), item) for item in items if (case := case_of(item))]
    longest = [item for _, item in sorted(cases, key=itemgetter(0), reverse=True)]
    return [*longest[-1:], *longest[:-1], *(item for item in items if not case_of(item))]


def send_one_by_one(config: pytest.Config, folder: Path) -> None:
    """Let xdist hand out tests one by one where the session has cases, not in runs of dozens; another
    way of distributing is left alone.

    `folder` is the run's, in which a worker that has collected has told how many cases there are.
    """
    scheduler = getattr(config.pluginmanager.getplugin("dsession"), "sched", None)
    if getattr(scheduler, "maxschedchunk", 0) is None and read_total(
        folder
    ):  # not the user's number, nor another scheduler
        vars(scheduler)["maxschedchunk"] = 1

"""Replace an xdist worker whose GPU failed: only another process can use CUDA again.

The worker ends at the start of its next case or claim, when xdist has all its reports. xdist takes
that test for crashed and starts another worker; the controller then gives the test back instead of
reporting it.
"""

from __future__ import annotations

import os
from contextlib import suppress
from typing import Any

import pytest

from pytest_ftcompare.gate.gpu_failures import GpuFailures
from pytest_ftcompare.plugin.claim_fixture import claim_of
from pytest_ftcompare.plugin.parametrize import case_of
from pytest_ftcompare.plugin.worker import RUN_FOLDER, WORKER_STATUS

# Key of a worker's input: how many workers may be replaced, None for any number.
MAX_REPLACED = "ftcompare_max_replaced"


def send_limit(node: Any) -> None:
    """Tell a worker how many may be replaced: xdist's `--max-worker-restart`.

    Above it, xdist ends without the remaining tests, so the last worker stays and refuses its
    cases. `--dist=each` does not run a crashed worker's test again, and replaces none.
    """
    from xdist.dsession import (  # type: ignore[import-untyped]
        get_default_max_worker_restart,
    )

    node.workerinput[MAX_REPLACED] = (
        0 if node.config.option.dist == "each" else get_default_max_worker_restart(node.config)
    )


class ReplaceableWorker:
    """Hooks of an xdist worker: end it before a case if its GPU has failed."""

    # Before the worker tells the controller that the test starts.
    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_protocol(self, item: pytest.Item) -> None:
        if case_of(item) is None and claim_of(item) is None:
            return
        worker_input = vars(item.config)["workerinput"]
        limit = worker_input[MAX_REPLACED]
        failures = GpuFailures(item.config.stash[WORKER_STATUS].folder)
        if failures.of_this_process() and (limit is None or failures.left_count < limit):
            failures.leave(worker_input["workerid"])
            # Nothing is left to send, and libraries' exit handlers would use the failed GPU.
            os._exit(1)


class ReplacingController:
    """Hooks of xdist's controller: give the test of a worker that left to another one."""

    def __init__(self, config: pytest.Config) -> None:
        self._config = config

    @pytest.hookimpl(optionalhook=True)
    def pytest_handlecrashitem(self, crashitem: str, report: Any, sched: Any) -> None:
        if not GpuFailures(self._config.stash[RUN_FOLDER].folder).has_left(report.node.gateway.id):
            return
        # --dist=loadscope, loadfile and loadgroup run a crashed worker's test again by themselves
        # (xdist/scheduler/loadscope.py, remove_node).
        with suppress(NotImplementedError):
            sched.mark_test_pending(crashitem)
        # The report follows; pytest shows and counts nothing for a setup that passed.
        report.outcome, report.when, report.longrepr = "passed", "setup", None

    @pytest.hookimpl(optionalhook=True)
    def pytest_xdist_node_collection_finished(self, node: Any) -> None:
        """Let the scheduler know a worker that became ready when no test was left.

        xdist tells that worker to end. If another worker leaves before it has ended, xdist accepts
        its collection, and the scheduler then fails on the unknown worker (xdist/dsession.py,
        worker_workerready and worker_errordown).
        """
        sched = self._config.pluginmanager.getplugin("dsession").sched
        if node not in sched.nodes:
            sched.add_node(node)

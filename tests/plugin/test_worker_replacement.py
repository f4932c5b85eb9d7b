"""Each xdist worker has its own GPU; one whose GPU failed is replaced, and every test runs once."""

from types import SimpleNamespace

import pytest
from recorded import RecordedSuite
from xdist.scheduler import LoadScheduling

from pytest_ftcompare.plugin.worker_replacement import ReplacingController

# A worker's GPU fails in the cases whose names hold a word of FAIL_IN.
FAILING = """
import os
from pathlib import Path

import pytest

from pytest_ftcompare.gate.gpu_failures import GpuFailures
from pytest_ftcompare.plugin.worker import WORKER_STATUS

def pytest_runtest_call(item):
    with Path("ran.txt").open("a") as file:
        print(item.callspec.id.split("-")[0], file=file)
    if any(word in item.name for word in os.environ["FAIL_IN"].split()):
        GpuFailures(item.config.stash[WORKER_STATUS].folder).add(item.name)
"""
# Two GPUs; each case tells its worker's.
TWO_GPUS = """
import os
from pathlib import Path

import pynvml
from measure.fake_nvml import FakeNvml, h200

from pytest_ftcompare.measure.lease import lease_name

pynvml.nvmlLib = FakeNvml({"GPU-a": h200(), "GPU-b": h200()})

def pytest_runtest_teardown(item):
    with Path("gpus.txt").open("a") as file:
        print(os.environ["PYTEST_XDIST_WORKER"], lease_name("cuda", os.environ), file=file)
"""
METHODS = ("icl", "full", "lora", "bitfit", "ia3", "oft")


@pytest.fixture
def run(pytester):
    """A suite of six cases that train nothing."""
    run = RecordedSuite(pytester)
    run.suite(methods=METHODS)
    file = pytester.path / "conftest.py"
    file.write_text(f"{file.read_text()}\n{FAILING}")
    return run


def finish(pytester, run, monkeypatch, fail_in, *arguments):
    """Run with workers; return the result after a check that each case ran once."""
    monkeypatch.setenv("FAIL_IN", fail_in)
    result = run.run(*arguments)
    assert sorted((pytester.path / "ran.txt").read_text().split()) == sorted(METHODS)
    # Without baselines, each case is new.
    result.assert_outcomes(failed=len(METHODS))
    result.stdout.fnmatch_lines(["*6 cases: 6 new.*"])
    return result


@pytest.mark.parametrize("dist", ["load", "worksteal", "loadfile"])
def test_a_worker_is_replaced_and_every_case_runs_once(pytester, run, monkeypatch, dist):
    result = finish(pytester, run, monkeypatch, "lora", "-n1", f"--dist={dist}")
    assert result.stdout.str().count("replacing crashed worker") == 1


def test_several_workers_are_replaced(pytester, run, monkeypatch):
    result = finish(pytester, run, monkeypatch, " ".join(METHODS), "-n2")
    result.stdout.fnmatch_lines(["replacing crashed worker gw?"])


class Worker:
    """A worker as xdist's scheduler sees it."""

    def __init__(self, *, shutting_down=False):
        self.shutting_down, self.sent = shutting_down, []
        self.gateway = SimpleNamespace(id="gw")

    def send_runtest_some(self, indices):
        self.sent += indices

    def shutdown(self):
        self.shutting_down = True


def test_a_worker_that_became_ready_too_late_is_no_internal_error():
    options = {"tx": ["popen"], "maxschedchunk": None}
    config = SimpleNamespace(getvalue=options.get, getoption=options.get)
    sched = LoadScheduling(config)
    plugins = {"dsession": SimpleNamespace(sched=sched)}
    controller = ReplacingController(
        SimpleNamespace(pluginmanager=SimpleNamespace(getplugin=plugins.get))
    )

    def collected(worker):
        controller.pytest_xdist_node_collection_finished(node=worker)
        sched.add_node_collection(worker, ["a", "b"])
        sched.schedule()

    first, late, replacement = Worker(), Worker(shutting_down=True), Worker()
    sched.add_node(first)
    collected(first)
    # All tests are given out, and xdist tells the late worker to end. Then the first one leaves.
    sched.mark_test_complete(first, 0)
    assert sched.remove_node(first) == "b"
    sched.mark_test_pending("b")
    collected(late)
    sched.add_node(replacement)
    collected(replacement)
    assert (late.sent, replacement.sent) == ([], [1])
    assert sched.remove_node(late) is None


def test_the_last_worker_that_xdist_starts_stays(pytester, run, monkeypatch):
    result = finish(pytester, run, monkeypatch, "icl full lora", "-n1", "--max-worker-restart=1")
    assert result.stdout.str().count("replacing crashed worker") == 1


def test_each_worker_has_its_own_gpu_and_its_lease(pytester, run, monkeypatch):
    monkeypatch.setenv("FAIL_IN", "")
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    file = pytester.path / "conftest.py"
    file.write_text(f"{file.read_text()}\n{TWO_GPUS}")
    run.run("-n2", "--ftcompare-device=cuda")
    told = (pytester.path / "gpus.txt").read_text().splitlines()
    assert set(told) == {"gw0 gpu-0", "gw1 gpu-1"}


def test_a_worker_that_crashes_otherwise_is_reported(pytester, run, monkeypatch):
    monkeypatch.setenv("FAIL_IN", "")
    file = pytester.path / "conftest.py"
    file.write_text(f'{file.read_text()}    if "lora" in item.name: os._exit(3)\n')
    run.run("-n1").stdout.fnmatch_lines(["worker 'gw0' crashed while running *lora*"])

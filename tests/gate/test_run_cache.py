"""A case runs once per session. Its own test reuses a claim's run, unless the test is timed."""

import subprocess
import sys

import pytest
from make_results import make_result

from pytest_ftcompare.compare.verdict import without_baseline
from pytest_ftcompare.gate.case_work import CaseError
from pytest_ftcompare.gate.run_cache import RunCache
from pytest_ftcompare.gate.run_case import CaseRun
from pytest_ftcompare.results.case import Case

CASE = Case("quick", "full", "pocket_sst", "pocket/opt-0.4m", 2)
HOLDER = """
import sys
from pathlib import Path
from pytest_ftcompare.results.case import Case
from pytest_ftcompare.gate.run_cache import RunCache

def run():
    print("running", flush=True)
    sys.stdin.read()  # until it is killed

case = Case("quick", "full", "pocket_sst", "pocket/opt-0.4m", 2)
RunCache(Path(sys.argv[1])).for_gate(case, run, timed=False)
"""


class Runner:
    """Counts its runs; each has another score."""

    def __init__(self, refusal=""):
        self.count, self.refusal = 0, refusal

    def __call__(self):
        self.count += 1
        if self.refusal:
            raise CaseError(self.refusal)
        result = make_result([0.5 + self.count / 10], id=CASE.id, suite=CASE.suite)
        return CaseRun(without_baseline(result), result, "cpu")


def test_a_claim_reads_the_result_of_the_cases_own_test(tmp_path):
    run = Runner()
    first = RunCache(tmp_path).for_gate(CASE, run, timed=True)
    second = RunCache(tmp_path).for_claim(CASE, run)
    assert run.count == 1
    assert (second.verdict, second.result, second.device) == (
        first.verdict,
        first.result,
        first.device,
    )
    assert RunCache(tmp_path).read(CASE) == second


@pytest.mark.parametrize(("timed", "runs"), [(False, 1), (True, 2)])
def test_the_cases_own_test_reuses_a_claims_run_unless_it_is_timed(tmp_path, timed, runs):
    run = Runner()
    RunCache(tmp_path).for_claim(CASE, run)
    RunCache(tmp_path).for_gate(CASE, run, timed=timed)
    assert run.count == runs


def test_a_repeated_test_runs_its_case_again(tmp_path):
    run = Runner()
    for _ in range(2):
        RunCache(tmp_path).for_gate(CASE, run, timed=False)
    assert run.count == 2


def test_other_options_are_another_case(tmp_path):
    run = Runner()
    RunCache(tmp_path).for_claim(CASE, run)
    assert (
        RunCache(tmp_path).read(
            Case("quick", "full", "pocket_sst", "pocket/opt-0.4m", 2, (("lr", 1e-5),))
        )
        is None
    )


def test_a_case_that_cannot_run_is_not_tried_twice(tmp_path):
    run = Runner("no such model")
    for ask in (
        RunCache(tmp_path).for_claim,
        RunCache(tmp_path).for_claim,
        lambda *a: RunCache(tmp_path).for_gate(*a, timed=False),
    ):
        with pytest.raises(CaseError, match="no such model"):
            ask(CASE, run)
    assert run.count == 1
    assert RunCache(tmp_path).read(CASE) is None


def test_a_worker_that_dies_frees_its_case(tmp_path):
    command, pipe = [sys.executable, "-c", HOLDER, str(tmp_path)], subprocess.PIPE
    holder = subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True)
    assert holder.stdout.readline() == "running\n"
    holder.kill()
    holder.wait()
    run = Runner()
    RunCache(tmp_path).for_claim(CASE, run)
    assert run.count == 1

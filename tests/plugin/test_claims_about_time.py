"""Claims about time: when they are timed, and when a changed outcome fails."""

import pytest
import torch

from pytest_ftcompare.compare.claims.claim import ClaimVerdict, judge
from pytest_ftcompare.gate.run_context import RunContext
from pytest_ftcompare.gate.torch_case import TorchCases
from pytest_ftcompare.plugin import claim_fixture
from pytest_ftcompare.plugin.claim_fixture import excuse_time_change
from pytest_ftcompare.plugin.options import SETTINGS
from pytest_ftcompare.results import baseline_store
from pytest_ftcompare.results.case import Case
from pytest_ftcompare.results.claim_record import ClaimRecord
from pytest_ftcompare.results.estimate import Estimate

THEN = {"peft": "0.20.0", "methods/lora.py": "a", "cpu": "AMD", "commit": "1"}


def judge_change(outcome="contradicted", **now):
    def record(outcome, value, environment):
        estimate = Estimate(value, 0.01, 10, "×")
        about = ("a", "claims", "pocket", "few-shot", "says", "source", "statistic")
        return ClaimRecord(*about, outcome, estimate, ["c"], environment)

    before = record("reproduced", 0.9, THEN)
    return excuse_time_change(judge(record(outcome, 1.1, THEN | now), before))


@pytest.mark.parametrize("now", [{}, {"commit": "2"}, {"cpu": "Intel"}])
def test_a_changed_outcome_is_noted_if_no_software_changed(now):
    verdict = judge_change(**now)
    assert verdict.verdict == "noted"
    assert verdict.note == "nothing changed that could move it"


@pytest.mark.parametrize("now", [{"peft": "0.21.2"}, {"methods/lora.py": "b"}])
def test_a_changed_outcome_fails_if_a_library_or_a_file_changed(now):
    assert judge_change(**now).verdict == "changed"


STATED = """
import pytest
from pytest_ftcompare.compare.claims.claim import Claim, at_most
from pytest_ftcompare.compare.claims.relations import Arm, TimeRatio

LORA, FULL = (Arm("quick", name) for name in ("lora", "full"))
RATIO = TimeRatio("inference", LORA, FULL)
CLAIMS = [Claim("not-slow", "few-shot", "it is", "a paper", RATIO, at_most(2))]

@pytest.mark.ftcompare_claims(CLAIMS)
def test_stated(claim):
    claim()
"""


def test_a_claim_is_timed_if_its_baseline_is_comparable_or_with_full(shell):
    shell.suite(methods=("full", "lora"))
    shell.pytester.makepyfile(test_stated=STATED)
    shell.update("test_stated.py")

    def output(*arguments):
        result = shell.run("test_stated.py", *arguments, timed=True)
        assert result.ret == 0
        return " ".join(result.stdout.str().split())

    assert "1 claim not tested: not timed: nothing changed that could move it" in output()
    assert "1 claim not tested: not timed: threads 1 -> 2" in output("--ftcompare-threads=2")
    assert "1 claim: 1 reproduced." in output("--ftcompare-full")
    shell.edit(r'"peft": "[^"]+"', '"peft": "0.1.0"')
    assert "1 claim: 1 reproduced." in output()


def test_the_environment_has_the_cases_threads_before_any_ran(shell, tmp_path):
    config = shell.pytester.parseconfigure("-p", "pytest_ftcompare.plugin", "--ftcompare-threads=1")
    case = Case("quick", "lora", "pocket_sst", "pocket/opt-0.4m", 2)
    torch.set_num_threads(2)
    environment = TorchCases().environment(
        [case], config.stash[SETTINGS], RunContext(tmp_path, None, 0.0, lambda _: None)
    )
    assert environment["threads"] == 1


@pytest.mark.parametrize(("device", "found"), [("cpu", ["gone.json"]), ("", [])])
def test_a_baseline_is_stale_even_if_no_claim_of_its_suite_was_timed(
    tmp_path, monkeypatch, device, found
):
    monkeypatch.setattr(claim_fixture, "_read_suite", lambda _: "quick")
    for name in ("here", "gone"):
        file = baseline_store.path_of_claim(tmp_path, "cpu", "pocket", name)
        file.parent.mkdir(parents=True, exist_ok=True)
        file.touch()
    verdict = ClaimVerdict(
        "here", "quick", "pocket", "untested", note="not timed: threads 1 -> 2", device=device
    )

    def stale(alone):
        return claim_fixture.stale_claims(
            [verdict], {"quick": ["here"]}, tmp_path, lambda suite: alone and suite == "quick"
        )

    assert [path.name for path in stale(alone=True)] == found
    assert stale(alone=False) == []


def test_an_unchanged_outcome_is_held():
    assert judge_change("reproduced").verdict == "held"

"""A run of an entry gives the signs of its failures, and is read when it ran before."""

import math
from dataclasses import replace
from pathlib import Path

import pytest

from pytest_ftcompare.compare.session_verdict import UNJUDGED_FINDING
from pytest_ftcompare.environments.environment_cache import EnvironmentRefused
from pytest_ftcompare.environments.lock import Lock
from pytest_ftcompare.upgrade import gate_run
from pytest_ftcompare.upgrade.gate_run import GateRuns, RunResult, Sign
from pytest_ftcompare.upgrade.history import Entry
from pytest_ftcompare.upgrade.noisy_search import Measurement
from pytest_ftcompare.upgrade.session import RAN, Session, TryError

GOOD, BAD = (Entry(f"peft {n}", Lock({"peft": f"peft=={n}"})) for n in (1, 2))
PROBE = Sign("lora", "changed", "outputs before any update", "outputs differ by 3e-3 of 2.1")


class Environments:
    refused = "peft==3"

    def get(self, lock, say):
        if lock.lines["peft"] == self.refused:
            raise EnvironmentRefused("it cannot be installed: no wheel")
        return Path("python")


@pytest.fixture(autouse=True)
def one_release_is_refused(monkeypatch):
    monkeypatch.setattr(Environments, "refused", "peft==3")


@pytest.fixture
def session(monkeypatch):
    """Stand for pytest: give the document of `cases`, and count the sessions."""

    def run(python, arguments, folder, name, *, log):
        assert log
        run.commands.append(list(arguments))
        document = {"cases": run.cases, "claims": run.claims, "findings": run.findings}
        found = document if run.status in RAN else {}
        return Session(run.status, found, run.failed_tests, run.expected_failures)

    run.commands, run.cases, run.claims, run.findings, run.status = [], [], [], [], 0
    run.failed_tests, run.expected_failures = {}, {}
    monkeypatch.setattr(gate_run, "run_session", run)
    return run


@pytest.fixture
def runs(tmp_path):
    return GateRuns(Environments(), tmp_path, GOOD, ["suites", "-k", "lora"], lambda text: None, 3)


def case(sign, failed=True, costs=(), comparisons=()):
    return {
        "id": sign.case,
        "nodeid": f"suites/test_x.py::test_x[{sign.case}]",
        "verdict": sign.verdict,
        "first_divergence": sign.level,
        "divergences": [sign.text] if sign.text else [],
        "failed": failed,
        "costs": list(costs),
        "comparisons": list(comparisons),
    }


def cost(metric, change, outcome, **fields):
    unit = "s" if metric == "step" else "B"
    data = {"metric": metric, "unit": unit, "change": change, "error": 0.01, "outcome": outcome}
    return data | {"note": ""} | fields


def score(delta, outcome):
    return {"metric": "accuracy", "delta": delta, "error": 0.02, "outcome": outcome}


def test_the_signs_are_those_of_cases_that_failed(runs, session):
    session.cases = [case(PROBE), case(Sign("full", "same", "", "x"), failed=False)]
    assert runs.run(BAD) == RunResult([PROBE])
    (command,) = session.commands
    assert "--ftcompare-accept=" in command
    assert command[:3] == ["suites", "-k", "lora"]
    assert "--benchmark-disable" in command


def test_an_entry_runs_once(runs, session):
    session.cases = [case(PROBE)]
    assert runs.run(BAD) == runs.run(BAD)
    assert len(session.commands) == 1


def test_an_environment_that_is_refused_is_skipped_and_tried_again(runs, session):
    entry = Entry("peft 3", Lock({"peft": "peft==3"}))
    refused = runs.run(entry)
    assert refused == RunResult([], "it cannot be installed: no wheel")
    assert refused.state(PROBE) == "skipped"
    assert session.commands == []
    Environments.refused = ""
    assert runs.run(entry) == RunResult([])


@pytest.mark.parametrize("status", [2, -11])
def test_an_entry_whose_session_breaks_off_is_skipped(runs, session, status):
    session.status = status
    result = runs.run(BAD)
    assert result.state(PROBE) == "skipped"
    assert f"status {status} in peft 2: " in result.skipped
    session.status = 0
    assert runs.run(BAD) == RunResult([])


def test_a_wrong_argument_ends_the_search(runs, session):
    session.status = 4
    with pytest.raises(TryError, match=r"status 4 in peft 2: .*\.log says why"):
        runs.run(BAD)


@pytest.mark.parametrize(
    ("changes", "state", "reason"),
    [
        ({"cases": ["incomparable"]}, "other", "lora is incomparable"),
        ({"failed_tests": {"t.py::x": "assert 0"}}, "other", "t.py::x: failed, test: assert 0"),
        ({"findings": ["all lower"]}, "other", "all cases: failed, together: all lower"),
        ({"claims": ["one"]}, "other", "one: broken, claim: it moved"),
    ],
)
def test_a_run_without_an_answer_is_not_good(runs, session, changes, state, reason):
    session.status = changes.get("status", 0)
    session.findings = changes.get("findings", [])
    session.failed_tests = changes.get("failed_tests", {})
    verdicts = changes.get("cases", [])
    session.cases = [case(Sign("lora", verdict, "", ""), failed=False) for verdict in verdicts]
    session.claims = [
        {"name": name, "nodeid": name, "verdict": "broken", "failed": True, "note": "it moved"}
        for name in changes.get("claims", [])
    ]
    result = runs.run(BAD)
    assert (result.state(PROBE), result.reason) == (state, reason)


def test_a_case_that_fails_in_the_good_end_is_refused(runs, session):
    session.cases = [case(PROBE)]
    with pytest.raises(TryError, match="expected tests that pass in peft 1, lora: changed"):
        runs.make_baselines()


def test_the_good_end_makes_the_baselines_once(runs, session):
    runs.make_baselines()
    runs.make_baselines()
    (command,) = session.commands
    assert {"--update-baselines", "--ftcompare-seeds=3"} <= set(command)


def test_all_seeds_need_no_option(runs, session):
    replace(runs, seeds=None).make_baselines()
    assert not any("-seeds=" in text for text in session.commands[0])


@pytest.mark.parametrize(
    ("sign", "state"),
    [
        (PROBE, "bad"),
        (Sign("full", "changed", PROBE.level, "outputs differ by 9e-3 of 2.1"), "bad"),
        (Sign("lora", "invalid", "invariant", "merged, the outputs must be"), "other"),
        (Sign("lora", "worse", "outcome", "accuracy"), "other"),
    ],
)
def test_an_entry_is_bad_if_it_fails_in_the_same_way(sign, state):
    assert RunResult([sign]).state(PROBE) == state
    assert RunResult([]).state(PROBE) == "good"


RAISED = Sign("lora-1.4m", "invalid", "", "lora-1.4m raised ImportError: no X (/a/1b/peft.py)")
INVARIANT = Sign("lora", "invalid", "invariant", "merged, outputs must be equal: off by 3e-3")


@pytest.mark.parametrize(
    ("one", "other", "alike"),
    [
        (INVARIANT, replace(INVARIANT, text="merged, outputs must be equal: off by 9e-3"), True),
        (INVARIANT, replace(INVARIANT, text="reloaded, outputs must be equal: off by 3e-3"), False),
        (INVARIANT, replace(INVARIANT, case="vera"), True),
        (Sign("t::a", "failed", "test", "KeyError"), Sign("t::b", "failed", "test", "K"), False),
        (PROBE, replace(PROBE, text="outputs differ by 9e-3 of 0.3"), True),
        (PROBE, replace(PROBE, text="outputs differ by 2e-4 of 2.1"), False),
        (RAISED, replace(RAISED, text="lora-1.4m raised ImportError: no X (/c/2e/peft.py)"), True),
        (RAISED, replace(RAISED, text="lora-1.4m raised KeyError: no X (/a/1b/peft.py)"), False),
        (
            Sign("t::a", "failed", "test", "assert <Foo at 0x7f12a0> is 0.21.2"),
            Sign("t::a", "failed", "test", "assert <Foo at 0x7e99b0> is 0.21.1"),
            True,
        ),
        (PROBE, replace(PROBE, text="outputs differ by -3e-3 of 2.1"), False),
        (Sign("a", "new", "", "1,204 rows"), Sign("b", "new", "", "2,400 rows"), True),
        (
            Sign("lora", "worse", "cost", "step +9 %", "step"),
            Sign("lora", "changed", "cost", "peak bytes +9 %", "peak bytes"),
            False,
        ),
    ],
)
def test_what_failed_alike_is_told_apart_by_level_metric_and_words(one, other, alike):
    assert one.is_like(other) is alike


@pytest.mark.parametrize(
    ("fields", "sign", "noisy"),
    [
        (
            {"costs": [cost("step", 0.09, "worse")]},
            Sign("lora", "worse", "cost", "step +9.0%", "step"),
            True,
        ),
        (
            {"costs": [cost("step", 0.0, "equivalent"), cost("peak bytes", 0.5, "changed")]},
            Sign("lora", "worse", "cost", "peak bytes +50.0%", "peak bytes"),
            False,
        ),
        (
            {"comparisons": [score(-0.1, "worse")], "costs": [cost("step", 0.0, "equivalent")]},
            Sign("lora", "worse", "outcome", "accuracy -10.0% of the rows", "accuracy"),
            True,
        ),
    ],
)
def test_a_sign_without_a_divergence_is_the_metric_that_got_worse(
    runs, session, fields, sign, noisy
):
    session.cases = [case(Sign("lora", "worse", "training trace", ""), **fields)]
    (found,) = runs.run(BAD).signs
    assert (found, found.is_noisy) == (sign, noisy)


def test_changes_are_measured_so_that_more_is_worse(runs, session):
    costs = [cost("step", 0.1, "equivalent"), cost("peak bytes", 0.5, "changed")]
    session.cases = [case(PROBE, False, costs, [score(-0.1, "open")])]
    result = runs.run(BAD)
    assert result.measured == {
        "lora: accuracy": Measurement(0.1, 0.02),
        "lora: step": Measurement(math.log1p(0.1), 0.01),
    }
    assert runs.run(BAD) == result
    assert result.measurement(Sign("lora", "worse", "cost", "", "step")) == (math.log1p(0.1), 0.01)
    assert result.measurement(Sign("full", "worse", "cost", "", "step")) is None


def test_times_are_taken_in_turn_with_the_good_end_and_each_repeat_is_another(runs, session):
    session.cases = [case(PROBE, False, [cost("step", 0.1, "worse")])]
    for repeat in (0, 1, 1):
        runs.time(BAD, repeat)
    assert len(session.commands) == runs.count == 2
    assert "--ftcompare-reference=python" in session.commands[0]
    assert "--benchmark-disable" not in session.commands[0]


def test_a_time_that_was_not_compared_is_told_and_taken_again(runs, session):
    away = cost("step", 0.0, "incomparable", note="no reference: disturbed")
    session.cases = [case(PROBE, False, [away])]
    result = runs.time(BAD, 0)
    assert (result.measured, result.unmeasured) == ({}, "no reference: disturbed")
    session.cases = [case(PROBE, False, [cost("step", 0.1, "worse")])]
    assert runs.time(BAD, 0).measured


def test_a_test_that_fails_in_the_good_end_is_refused(runs, session):
    session.failed_tests = {"t.py::x": "assert 0"}
    with pytest.raises(TryError, match=r"tests that pass in peft 1, t\.py::x: failed"):
        runs.make_baselines()


def test_a_test_that_fails_for_a_known_reason_is_a_sign_only_if_it_is_searched(runs, session):
    session.expected_failures = {"t.py::x": "reason: the loss is too large"}
    result = runs.run(BAD)
    (sign,) = result.expected
    assert (result.signs, result.reason) == ([], "")
    assert result.state(PROBE) == "good"
    assert result.state(sign) == "bad"
    assert runs.run(BAD) == result
    runs.make_baselines()


def test_cases_without_an_answer_are_no_sign(runs, session):
    session.findings = [f"1 of 1 cases {UNJUDGED_FINDING}: too many to pass"]
    session.cases = [case(Sign("lora", "undecided", "", ""), failed=False)]
    result = runs.run(BAD)
    assert (result.signs, result.reason) == ([], "lora is undecided")
    # All exact checks passed, so an exact failure is not there; a loss of accuracy may be.
    assert result.state(PROBE) == "good"
    assert result.state(replace(PROBE, level="outcome", metric="accuracy")) == "other"


def test_a_count_that_rises_from_nothing_has_a_sign(runs, session):
    rise = cost("stray bytes", None, "worse", base=0, new=8)
    session.cases = [case(Sign("lora", "worse", "cost", ""), costs=[rise])]
    (sign,) = runs.run(BAD).signs
    assert sign.text == "stray bytes 0 -> 8"

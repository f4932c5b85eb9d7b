"""A claim about time whose outcome is not its baseline's: whose fault it is."""

import pytest

from pytest_ftcompare.claims import excused
from pytest_ftcompare.compare.claim import Record, judge
from pytest_ftcompare.compare.estimate import Estimate

THEN = {"peft": "0.20.0", "methods/lora.py": "a", "cpu": "AMD", "commit": "1"}


def judged(outcome="contradicted", **now):
    def record(outcome, value, environment):
        estimate = Estimate(value, 0.01, 10, "×")
        about = ("a", "claims", "pocket", "few-shot", "says", "source", "statistic")
        return Record(*about, outcome, estimate, ["c"], environment)

    before = record("reproduced", 0.9, THEN)
    return excused(judge(record(outcome, 1.1, THEN | now), before))


@pytest.mark.parametrize("now", [{}, {"commit": "2"}, {"cpu": "Intel"}])
def test_where_nothing_changed_in_the_software_it_is_noted(now):
    judgement = judged(**now)
    assert judgement.verdict == "noted"
    assert judgement.note == "nothing changed that could move it"


@pytest.mark.parametrize("now", [{"peft": "0.21.2"}, {"methods/lora.py": "b"}])
def test_where_a_library_or_a_file_changed_it_fails(now):
    assert judged(**now).verdict == "changed"


def test_one_that_did_not_change_stays_what_it_was():
    assert judged("reproduced").verdict == "held"

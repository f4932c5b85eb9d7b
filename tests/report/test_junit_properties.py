"""The JUnit properties of a case: their names, which stay, and values that are plain numbers."""

from pytest_ftcompare.compare.measured_cost import NOT_READ, CostComparison
from pytest_ftcompare.compare.sequential_test import ScoreComparison
from pytest_ftcompare.compare.verdict import CaseVerdict
from pytest_ftcompare.report.junit import properties

MOVED = ScoreComparison(
    "accuracy", 0.8, 0.02, 0.7, 0.03, -0.1, 0.01, 0.02, 14.0, 0.5, 1e-6, 0.02, 5, "worse"
)
STEP = CostComparison(
    "step", "s", 0.0325, 0.0349123456789, 0.074, "yardsticks", "worse", error=0.008
)
PEAK = CostComparison("peak bytes", "B", 0.0, 23462536.0, 0.0, "", "new")


def test_a_case_tells_its_verdict_its_scores_and_its_costs():
    scores = {"accuracy": 0.7, "accuracy/en": 0.5, "loss": 0.61}
    verdict = CaseVerdict(
        "id",
        "suite",
        "worse",
        5,
        [MOVED],
        scores=scores,
        costs=[STEP, PEAK],
        first_divergence="recipe",
    )
    assert properties(verdict) == [
        ("verdict", "worse"),
        ("seeds", "5"),
        ("first_divergence", "recipe"),
        ("accuracy", "0.7"),
        ("loss", "0.61"),
        ("accuracy baseline", "0.8"),
        ("accuracy delta", "-0.1"),
        ("accuracy p", "1e-06"),
        ("step", "0.03491235"),
        ("step change", "0.074"),
        ("step outcome", "worse"),
        ("peak bytes", "23462536"),
    ]


def test_a_cost_that_nothing_read_has_no_property():
    unread = CostComparison("step", "s", 0.0, NOT_READ, 0.0, "", "incomparable", "no reference")
    assert dict(properties(CaseVerdict("id", "suite", "same", 1, costs=[unread, PEAK]))) == {
        "verdict": "same",
        "seeds": "1",
        "first_divergence": "",
        "peak bytes": "23462536",
    }


def test_a_case_that_could_not_run_has_a_verdict():
    assert properties(CaseVerdict("id", "suite", "invalid", 0)) == [
        ("verdict", "invalid"),
        ("seeds", "0"),
        ("first_divergence", ""),
    ]

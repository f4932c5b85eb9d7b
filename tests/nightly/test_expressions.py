"""Check the stand-in's expressions against what GitHub's page says of them."""

import pytest

from tests.nightly.expressions import Evaluator, ExpressionError

VALUES = {"a": "main", "b": "Main", "empty": "", "nothing": None, "yes": True}
EVALUATOR = Evaluator(VALUES, {"success": lambda: False, "failure": lambda: True})


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("a", "main"),
        ("empty || 'nightly'", "nightly"),
        ("a && empty", ""),
        ("!empty", True),
        ("!nothing && a == 'MAIN'", True),
        ("a == b", True),
        ("a != b", False),
        ("a == nothing", False),
        ("empty == nothing", True),
        ("yes == 'true'", False),
        ("(success() || failure()) && a == 'other'", False),
        ("a == 'x' || a == 'it''s' || yes", True),
    ],
)
def test_an_expression_has_githubs_value(text, value):
    assert EVALUATOR.evaluate(text) == value


def test_a_text_is_substituted_as_github_writes_values():
    text = "${{ a }}/${{ yes }}/${{ nothing }}/${{ !yes }}"
    assert EVALUATOR.substitute(text) == "main/true//false"


@pytest.mark.parametrize(
    ("condition", "runs"),
    [(None, False), ("a == 'main'", False), ("failure()", True), ("${{ !success() }}", True)],
)
def test_a_step_runs_on_success_unless_it_asks_for_the_status(condition, runs):
    assert EVALUATOR.condition(condition) is runs


@pytest.mark.parametrize(
    "text", ["", "unknown", "a ==", "(a", "a b", "a < b", "contains(a, b)", "'open", "success", "1"]
)
def test_an_unknown_expression_is_refused(text):
    with pytest.raises(ExpressionError, match="expected "):
        EVALUATOR.evaluate(text)

"""The judge knows which scores a case may lose by an allowance that day."""

from dataclasses import replace
from datetime import date
from types import SimpleNamespace

from make_results import make_result

from pytest_ftcompare.gate.baseline_lookup import make_criteria
from pytest_ftcompare.results.allowance import Allowance

BASE = make_result([0.8, 0.79])


def test_only_valid_allowances_of_the_case_count(tmp_path):
    allowance = Allowance(BASE.id, "*", "accuracy", 0.1, "Ann", "why", "link", "2030-06-15")
    others = (
        replace(allowance, what="accuracy_ood", expires="2030-06-14"),
        replace(allowance, what="step", case="another"),
    )
    settings = SimpleNamespace(
        baselines=tmp_path,
        strict=False,
        allowances=(allowance, *others),
        today=date(2030, 6, 15),
    )
    assert make_criteria(BASE, settings, 1).allowed == {"accuracy"}

"""The summary of a session as large as the shipped suites: a green one fits one screen."""

from __future__ import annotations

from dataclasses import replace
from itertools import product
from pathlib import Path
from types import SimpleNamespace

from pytest_ftcompare.compare.claims import claim
from pytest_ftcompare.compare.cross_case_audit import CaseSummary
from pytest_ftcompare.compare.environment_diff import Difference
from pytest_ftcompare.compare.measured_cost import NOT_READ, CostComparison
from pytest_ftcompare.compare.sequential_test import ScoreComparison
from pytest_ftcompare.compare.verdict import IDENTICAL, OTHER_DEVICE, CaseVerdict, with_costs
from pytest_ftcompare.gate.session import GateSession
from pytest_ftcompare.report.terminal import lines
from pytest_ftcompare.report.wrapping import fitted
from pytest_ftcompare.results import claim_record
from pytest_ftcompare.results.estimate import Estimate

SUITES = {"few_shot": 50, "peft_methods": 52, "instruction_tuning": 16, "ablations": 10}
METHODS = [f"method_{number}" for number in range(13)]
LIBRARIES = ("accelerate", "numpy", "peft", "torch", "transformers")
UPGRADED = [Difference(name, "1.0.0", "2.0.0") for name in LIBRARIES]
FILES = [Difference(f"methods/{name}.py", "a", "b") for name in METHODS] + [
    Difference("pytest_ftcompare/training", "a", "b"),
    Difference("what methods/method_1.py builds on", "a", "b"),
    Difference("commit", "a", "b"),
]
MOVED = ScoreComparison(
    "accuracy", 0.8, 0.02, 0.801, 0.02, 0.001, 0.006, 0.02, 14.0, 0.5, 0.44, 0.02, 1, "open"
)
STEP = CostComparison("step", "s", 0.0325, 0.0326, 0.003, "yardsticks", "equivalent", error=0.008)
PEAK = CostComparison("peak bytes", "B", 23462536.0, 23462536.0, 0.0, "exact", "equivalent")


def case(number=0, suite="few_shot", verdict="same", notes=(IDENTICAL,), **changes):
    task = ("pocket_cola", "pocket_mnli")[number % 2]
    name = f"{METHODS[number // 2 % 13]}-{task}-opt-1.4m-n{16 * (1 + number // 26)}"
    timed = [STEP, replace(STEP, metric="evaluation"), replace(STEP, metric="inference")]
    costs = [*timed, PEAK] if suite == "peft_methods" and number % 2 else [PEAK]
    fields = {"comparisons": [MOVED], "notes": list(notes), "costs": costs} | changes
    return CaseVerdict(name, suite, verdict, 1, **fields)


def cases(**changes):
    """As many cases as the shipped suites have, some of which do not repeat bit for bit."""
    found = [
        case(number, suite, **changes) for suite, count in SUITES.items() for number in range(count)
    ]
    return [replace(one, notes=[]) if number % 3 == 0 else one for number, one in enumerate(found)]


def stated(number=0, outcome="reproduced", verdict="held"):
    estimate = Estimate(3.1, 0.4, 16, "pt", 14.0)
    text = ("few-shot", "it says so", "someone", "a statistic")
    record = claim_record.ClaimRecord(
        f"claim-{number}", "claims", "pocket", *text, outcome, estimate, [], {}
    )
    before = replace(record, outcome="undecided") if verdict == "noted" else record
    return claim.ClaimVerdict(record.name, "claims", "pocket", verdict, record, before)


def session(verdicts, claims=66, **changes):
    found = GateSession(Path("baselines"), update=False)
    found.verdicts = verdicts
    found.claims = [stated(number, claim_record.OUTCOMES[number % 3]) for number in range(claims)]
    for method, task in product(("adaptive", "adaptive_too"), ("pocket_cola", "pocket_mnli")):
        identity = {"method": method, "task": task, "model": "m", "shots": 16, "options": {}}
        drawn = {f"{task}, unlabelled": 256}
        found.summaries.append(
            CaseSummary(f"{method}-{task}", "few_shot", identity, True, {}, {}, drawn)
        )
    for name, value in changes.items():
        setattr(found, name, value)
    return found


def settings_of(**changes):
    return SimpleNamespace(baselines=Path("baselines"), **{"provisional": False} | changes)


def screen(verdicts, *, columns=80, every=False, provisional=False, **changes):
    """The lines that a terminal shows."""
    settings = settings_of(provisional=provisional)
    told = lines(session(verdicts, **changes), settings, every=every)
    return [line for text, _ in told for line in fitted(text, columns)]


def assert_one_screen(shown):
    assert len(shown) + 1 <= 25, "\n".join(shown)  # with pytest's line above
    assert max(map(len, shown)) <= 80


def test_a_green_session_with_nothing_changed_is_one_screen():
    shown = screen(cases())
    assert_one_screen(shown)
    assert shown[:5] == [
        "suite                 cases  identical  verdicts",
        "ablations                10          7  10 same",
        "few_shot                 50         33  50 same",
        "instruction_tuning       16         10  16 same",
        "peft_methods             52         35  52 same",
    ]
    assert "Nothing changed in the environment since the baselines." in shown
    assert "2 cases also learned from 256 rows of pocket_cola, unlabelled" in shown
    assert shown[-3:] == [
        "128 cases: 128 same.",
        "66 claims: 22 reproduced, 22 contradicted, 22 undecided.",
        "-v shows every case, and what each method costs.",
    ]


def test_provisional_baselines_are_counted_and_what_was_refused_is_shown():
    new = cases(verdict="new")
    refused = replace(new[0], verdict="invalid", divergences=["no memory"], levels=["invariant"])
    shown = screen([refused, *new[1:]], provisional=True, update=True)
    assert shown[-2:] == [
        "128 cases: 127 new, 1 invalid.",
        "66 claims: 22 reproduced, 22 contradicted, 22 undecided.",
    ]
    assert screen([], provisional=True, update=True) == shown[-1:]
    assert f"invalid: {refused.id}" in shown and "  first divergence: no memory" in shown
    assert_one_screen(shown)
    failed = screen(new, provisional=True, update=True, failure="no space left")
    assert failed[-1] == "no space left"
    assert len(screen(new, provisional=True, update=True, every=True)) > 128


def test_a_green_session_after_an_upgrade_fits_one_screen_and_names_what_changed():
    note = "cpu Some(R) Processor @ 2.80GHz -> Another Processor 25 17"
    other = replace(STEP, outcome="incomparable", note=note)
    verdicts = [
        replace(
            one,
            changes=[*UPGRADED, *FILES],
            costs=[other, PEAK] if STEP in one.costs else one.costs,
        )
        for one in cases()
    ]
    shown = screen(verdicts)
    assert_one_screen(shown)
    text = "\n".join(shown)
    assert all(f"\n  {name} 1.0.0 -> 2.0.0\n" in text for name in LIBRARIES)
    assert "  edited: methods/method_0.py, methods/method_1.py" in text
    assert "Not compared in 26 cases: step (cpu Some(R) Processor" in text


def test_a_time_that_nothing_read_has_no_number_in_the_table():
    unread = replace(STEP, new=NOT_READ, outcome="incomparable", note="no reference")
    text = "\n".join(screen([case(1, "peft_methods", costs=[unread, PEAK])], every=True))
    (row,) = (line for line in text.splitlines() if line.endswith("times not compared"))
    assert row.split()[1:] == ["-", "22.38", "MiB", "times", "not", "compared"]


def test_timed_cases_of_a_method_are_told_apart_by_their_options():
    found = [
        replace(case(1, "peft_methods"), id=f"lora-pocket_cola-opt-1.4m-n32{option}")
        for option in ("", "-lr=1e-05", "-lr=1e-06")
    ]
    shown = screen(found, every=True)
    table = shown[shown.index("peft_methods: what a method costs") :]
    named = [line[:20].strip() for line in table if line.startswith("lora")]
    assert named == ["lora", "lora lr=1e-05", "lora lr=1e-06"]


def test_more_changes_than_fit_are_counted_unless_all_are_asked_for():
    changed = [Difference(f"library{number}", "1", "2") for number in range(12)]
    verdicts = [replace(one, changes=[*changed, *FILES]) for one in cases()]
    assert_one_screen(screen(verdicts))
    assert "  and 5 more changes" in screen(verdicts)
    every = "\n".join(screen(verdicts, every=True))
    assert "library11 1 -> 2" in every
    assert "methods/method_9.py" in every


def test_a_narrow_terminal_shows_the_same_in_its_columns():
    assert max(map(len, screen(cases(), columns=40))) <= 40


def test_a_case_that_is_not_the_same_has_its_row_and_no_other_has():
    worse = replace(MOVED, new=0.7, delta=-0.1, p=1e-6, seeds=5, outcome="worse")
    verdicts = [
        *cases(),
        replace(case(3), suite="own", verdict="worse", notes=[], comparisons=[worse]),
    ]
    shown = screen(verdicts)
    (at,) = [number for number, line in enumerate(shown) if line.startswith("own: ")]
    assert shown[at + 1].startswith("accuracy ")
    assert shown[at + 2].startswith("method_1 ")
    assert shown[at + 2].endswith(" worse")
    assert not shown[at + 3]
    assert sum(line.startswith("method_") for line in shown) == 1


def test_every_row_and_every_cost_is_shown_when_asked_for():
    shown = screen(cases(), every=True)
    assert sum(line.startswith("method_") and line.endswith(" same") for line in shown) == 128
    assert "peft_methods: what a method costs" in shown
    assert "-v shows every case" not in "\n".join(shown)


def test_of_what_methods_cost_only_what_moved_is_shown():
    verdicts = cases()
    slower = replace(STEP, outcome="worse", change=0.074)
    verdicts[-1] = case(1, "peft_methods", verdict="worse", costs=[slower, PEAK])
    shown = screen(verdicts)
    at = shown.index("peft_methods: what a method costs")
    assert shown[at + 2].endswith("step +7.4%")
    assert shown[at + 3].startswith("  times compared in yardsticks")


def test_many_cases_that_moved_in_cost_alone_are_told_together():
    slower = [
        with_costs(case(1), [replace(STEP, outcome="worse", change=0.05 + k / 1000)])
        for k in range(26)
    ]
    lost = replace(
        slower[0], id="lost-t-m-n32", comparisons=[replace(MOVED, outcome="worse", delta=-0.1)]
    )
    shown = screen([*slower, lost])
    at = shown.index("worse in cost alone: 26 cases")
    assert shown[at + 1] == "  step +5.0% to +7.5% in 26 cases"
    assert shown[at + 2].startswith(f"  {slower[0].id}, ")
    assert f"worse: {lost.id}" in shown and f"worse: {slower[0].id}" not in shown
    assert f"worse: {slower[0].id}" in screen([*slower, lost], every=True)


def test_a_time_that_is_only_noted_is_one_line_however_many_cases_have_it():
    noted = replace(STEP, outcome="noted", change=0.041)
    more = replace(STEP, metric="evaluation", outcome="noted", change=0.022)
    verdicts = [
        case(1, costs=[noted]),
        case(3, costs=[replace(noted, change=0.06)]),
        case(5, costs=[more]),
    ]
    said = (
        "evaluation +2.2% in 1 case, step +4.1% to +6.0% in 2 cases "
        "(nothing changed that could move it)"
    )
    assert f"Noted, not judged: {said}" in "\n".join(screen(verdicts, columns=80)).replace(
        "\n  ", " "
    )
    assert any(line.endswith("step +4.1%*") for line in screen(verdicts, every=True))


def test_what_is_not_compared_or_not_settled_is_a_line_for_each_reason():
    verdicts = [
        *(case(number, notes=[OTHER_DEVICE]) for number in range(2)),
        *(
            case(number, verdict="incomparable", notes=["other rows"], comparisons=[])
            for number in range(4, 7)
        ),
        case(8, verdict="undecided", notes=[]),
        case(9, costs=[replace(STEP, outcome="open", change=0.031)]),
    ]
    text = "\n".join(screen(verdicts)).replace("\n  ", " ")
    assert "Not compared: 3 cases (other rows)" in text
    assert "Not compared in 2 cases: probe, trace (no baselines for this device: " in text
    assert "Not settled: 1 case (" in text
    assert "Not settled, not judged: step +3.1% in 1 case" in text


def test_many_claims_that_are_only_noted_are_one_paragraph():
    found = session(cases())
    found.claims = [stated(number, verdict="noted") for number in range(20)]
    told = [text for text, _ in lines(found, settings_of())]
    names = "claim-0, claim-1, claim-10, claim-11 and 16 more"
    assert f"20 claims noted, within the noise of both: {names}" in told


def test_the_screen_in_the_readme_is_what_a_summary_looks_like():
    readme = (Path(__file__).parents[2] / "README.md").read_text(encoding="utf-8")
    head = screen(cases())[0]
    assert f"    {head}\n" in readme

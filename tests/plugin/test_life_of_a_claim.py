"""A claim in a session: missing, written, held, noted, changed, updated, stale."""

import json

import pytest
from recorded import SCORES, RecordedSuite

HIGHER, LOWER = [score + 0.1 for score in SCORES], [score - 0.1 for score in SCORES]
HEAD = """
import pytest
from pytest_ftcompare.compare.claims.claim import Claim, at_least, at_most
from pytest_ftcompare.compare.claims.relations import Arm, TimeRatio, difference

FULL, LORA, ICL = (Arm("quick", name) for name in ("full", "lora", "icl"))
CLAIMS = [
"""
TAIL = """
]

@pytest.mark.ftcompare_claims(CLAIMS)
def test_claims(claim):
    claim()
"""
LORA = (
    'Claim("better-than-full", "few-shot", "it is", "a paper", '
    "difference(LORA, FULL), at_least(0)),"
)
NO_CASE = (
    'Claim("a", "few-shot", "it is", "a paper", '
    'difference(Arm("quick", "vera"), FULL), at_least(0)),'
)


class Claims(RecordedSuite):
    def __init__(self, pytester):
        super().__init__(pytester)
        self.record(lora={"scores": HIGHER})
        self.claims(LORA)

    def claims(self, *rows):
        self.pytester.makepyfile(test_stated=HEAD + "\n".join(rows) + TAIL)

    def claim_file(self, name="better-than-full"):
        return self.baselines / "cpu" / "claims" / "pocket" / f"{name}.json"

    def edit(self, **changes):
        data = json.loads(self.claim_file().read_text())
        self.claim_file().write_text(json.dumps({**data, **changes}))


@pytest.fixture
def run(pytester):
    return Claims(pytester)


@pytest.mark.parametrize("workers", [(), ("-n2",)], ids=["without xdist", "n2"])
def test_missing_then_written_then_held_then_changed_then_updated(run, workers):
    result = run.run(*workers)
    result.assert_outcomes(failed=4)
    result.stdout.fnmatch_lines(
        ["*better-than-full: new, it has no baseline yet*", "*1 claim: 1 undecided.*"]
    )

    run.update(*workers).stdout.fnmatch_lines(["*1 claim: 1 reproduced.*", "*4 baselines written*"])
    data = json.loads(run.claim_file().read_text())
    assert (data["outcome"], data["suite"], data["estimate"]["n"]) == ("reproduced", "stated", 8)
    assert data["estimate"]["value"] == pytest.approx(10.0)

    result = run.run(*workers)
    result.assert_outcomes(passed=4)
    result.stdout.fnmatch_lines(["*1 claim: 1 reproduced.*"])

    run.record(lora={"scores": LOWER})
    result = run.run(*workers)
    result.assert_outcomes(failed=2, passed=2)
    output = " ".join(result.stdout.str().split())
    assert (
        "better-than-full: changed, its outcome is not its baseline's: was reproduced (+10.0 pt"
        in output
    )
    assert "is contradicted (-10.0 pt" in output
    assert (
        "a paper: it is." in output
        and "Cases: quick/lora-pocket_sst-opt-0.4m-n2, quick/full-" in output
    )
    assert "pytest --update-baselines 'test_stated.py::test_claims[better-than-full]'" in output

    result = run.update(*workers)
    output = " ".join(result.stdout.str().split())
    assert (
        "changed: better-than-full was reproduced" in output
        and "1 claim: 1 contradicted." in output
    )
    assert json.loads(run.claim_file().read_text())["outcome"] == "contradicted"
    run.run(*workers).assert_outcomes(passed=4)


def test_claims_alone_run_their_cases_and_update_only_themselves(run):
    run.update()
    before = run.file("lora").read_bytes()
    run.run("test_stated.py").assert_outcomes(passed=1)
    run.run("-k", "better").assert_outcomes(passed=1, deselected=3)
    run.edit(outcome="contradicted")
    run.run("test_stated.py").assert_outcomes(failed=1)
    run.update("test_stated.py").stdout.fnmatch_lines(["*1 baselines written*"])
    assert run.file("lora").read_bytes() == before
    run.run("test_stated.py").assert_outcomes(passed=1)


@pytest.mark.parametrize("option", ["--update-baselines", "--update-baselines-new-only"])
def test_a_claim_on_cases_without_baselines_is_not_accepted(run, option):
    result = run.run(option, "test_stated.py")
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(
        ["*cannot be judged: it rests on lora-*, which has no baseline: update that first*"]
    )
    assert not run.claim_file().exists()


@pytest.mark.parametrize("option", ["--update-baselines", "--update-baselines-new-only"])
def test_a_claim_is_not_accepted_on_one_seed(run, option):
    """A case without a test in the session that computes something else may train one seed."""
    run.suite(judge_accuracy=False)
    run.update()
    before = run.claim_file().read_bytes()
    if option.endswith("new-only"):
        run.edit(statistic="another")
        before = run.claim_file().read_bytes()
    run.record(lora={"scores": [score + 0.01 for score in HIGHER]})
    result = run.run(option, "test_stated.py")
    result.assert_outcomes(failed=1)
    assert (
        "cannot be judged: expected at least two seeds that its cases share for a baseline"
        in " ".join(result.stdout.str().split())
    )
    assert run.claim_file().read_bytes() == before


def test_claims_run_last(run):
    run.suite(methods=("full", "lora"), name="test_quick")
    result = run.run("--collect-only", "-q")
    names = [line for line in result.outlines if "::" in line]
    assert [line.split("::")[0] for line in names] == [
        "test_quick.py",
        "test_quick.py",
        "test_stated.py",
    ]


def test_a_changed_outcome_within_the_noise_of_both_is_a_note(run):
    run.update()
    estimate = json.loads(run.claim_file().read_text())["estimate"]
    run.edit(outcome="undecided", estimate={**estimate, "error": 20.0, "value": 1.0})
    result = run.run()
    result.assert_outcomes(passed=4)
    result.stdout.fnmatch_lines(["noted: better-than-full", "*was undecided (+1.0 pt*"])
    run.edit(outcome="undecided", estimate={**estimate, "error": 0.1, "value": 1.0})
    run.run().assert_outcomes(passed=3, failed=1)


def test_an_edited_statistic_needs_a_baseline_of_its_own(run):
    run.update()
    run.claims(LORA.replace("at_least(0)", "at_least(1)"))
    result = run.run()
    result.assert_outcomes(passed=3, failed=1)
    result.stdout.fnmatch_lines(["*its baseline is of another statistic*"])
    assert run.run("--update-baselines-new-only").ret == 0
    run.run().assert_outcomes(passed=4)


def test_a_claim_that_its_table_no_longer_has_is_stale_and_is_removed(run):
    other = LORA.replace("better-than-full", "another")
    run.claims(LORA, other)
    run.update()
    assert run.claim_file("another").exists()
    run.claims(LORA)
    run.run("-k", "not better").stdout.no_fnmatch_line("*stale baseline*")
    run.run().stdout.fnmatch_lines(["*1 stale baseline*", "*cpu/claims/pocket/another.json"])
    run.update()
    assert not run.claim_file("another").exists() and run.claim_file().exists()


def test_a_claim_without_cases_in_the_profile_is_skipped_with_the_reason(run):
    run.claims(NO_CASE)
    run.update()
    result = run.run("-rs")
    result.assert_outcomes(passed=3, skipped=1)
    result.stdout.fnmatch_lines(
        [
            "*1 claim not tested: the profile pocket has no case of `vera` in the*",
            "1 claim: 1 not tested.",
        ]
    )


def test_a_claim_that_is_skipped_does_not_fail_its_report(run):
    run.update()
    run.claims(NO_CASE)
    assert run.run("--ftcompare-report=report.json").ret == 0
    document = json.loads((run.pytester.path / "report.json").read_text())
    assert [(claim["verdict"], claim["failed"]) for claim in document["claims"]] == [
        ("untested", False)
    ]
    assert document["failed"] is False


def test_without_a_clock_a_claim_about_time_is_skipped(run):
    run.claims(
        'Claim("a", "few-shot", "it is", "a paper", TimeRatio("step", LORA, FULL), at_most(1)),'
    )
    result = run.run("--benchmark-disable", "-rs", "test_stated.py")
    result.assert_outcomes(skipped=1)
    result.stdout.fnmatch_lines(["*1 claim not tested: not timed: pytest-benchmark is off*"])


def test_a_claim_on_an_invalid_case_names_the_case(run):
    run.update()
    run.record(lora={"scores": HIGHER, "broken": ["merged must be unmerged"]})
    result = run.run("test_stated.py")
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(
        ["*it rests on lora-pocket_sst-opt-0.4m-n2, which is invalid: *merged must be unmerged*"]
    )


def test_half_a_baseline_is_one_sentence(run):
    run.update()
    run.claim_file().write_text(run.claim_file().read_text()[:100])
    result = run.run("test_stated.py")
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(
        ["*better-than-full cannot be judged: expected a baseline in *it may be half a file*"]
    )
    result.stdout.no_fnmatch_line("*Traceback*")


@pytest.mark.parametrize(
    ("rows", "sentence"),
    [
        ((LORA, LORA), "*two claims of * are called better-than-full*"),
        (
            ('"a claim",',),
            "*the marker ftcompare_claims: expected ftcompare_claims(claims), a list of Claim*",
        ),
    ],
)
def test_a_wrong_table_is_one_sentence(run, rows, sentence):
    run.claims(*rows)
    result = run.run("test_stated.py")
    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines([sentence])

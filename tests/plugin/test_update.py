"""Updating: what is written, what is kept of the old baseline, and the lines about changes."""

import json

import pytest
from recorded import SCORES, RecordedSuite

WORKERS = [(), ("-n2",)]
NEW_ONLY = "--update-baselines-new-only"
WORSE = [score - 0.15 for score in SCORES]


@pytest.fixture
def suite(pytester):
    return RecordedSuite(pytester)


@pytest.mark.parametrize("workers", WORKERS, ids=["without xdist", "n2"])
def test_new_only_writes_missing_baselines_and_compares_the_other_cases(suite, workers):
    suite.update("-k", "full or icl")
    before = suite.file("full").read_bytes(), suite.file("icl").read_bytes()
    suite.record(full={"scores": WORSE})
    result = suite.run(NEW_ONLY, *workers)
    assert result.ret == 1
    result.stdout.fnmatch_lines(
        [
            "*worse: full-pocket_sst-opt-0.4m-n2*",
            "*new: lora-pocket_sst-opt-0.4m-n2*",
            "*3 cases: 1 same, 1 new, 1 worse.*",
            "*1 baselines written to*",
            "*Run only these again*",
        ]
    )
    assert (suite.file("full").read_bytes(), suite.file("icl").read_bytes()) == before
    assert len(json.loads(suite.file("lora").read_text())["seed_results"]) == 8
    suite.record()
    assert suite.run(*workers).ret == 0


@pytest.mark.parametrize("workers", WORKERS, ids=["without xdist", "n2"])
def test_an_update_records_the_distributions_once_for_all_cases(suite, workers):
    suite.update(*workers)
    (lock,) = suite.baselines.rglob("*.txt")
    assert lock.parent == suite.baselines / "cpu" / "locks"
    assert f"pytest=={pytest.__version__}\n" in lock.read_text()
    for file in suite.baselines.rglob("*.json"):
        assert json.loads(file.read_text())["environment"]["distributions"] == lock.stem
    # Another lock is no change of the environment.
    text = suite.file("full").read_text()
    suite.file("full").write_text(text.replace(lock.stem, "another"))
    suite.run().stdout.fnmatch_lines(["*Nothing changed in the environment since the baselines.*"])


def test_new_only_passes_if_the_other_cases_are_the_same_and_follows_the_selection(suite):
    assert suite.run(NEW_ONLY, "-k", "full").ret == 0
    assert suite.names() == ["full"]
    assert suite.run(NEW_ONLY, "-k", "full or icl").ret == 0
    assert suite.names() == ["full", "icl"]


@pytest.mark.parametrize(
    ("pattern", "by"),
    [('"schema": 1', '"schema": 99'), ('"fingerprint": "f"', '"fingerprint": "g"')],
)
def test_new_only_replaces_a_baseline_that_no_case_can_be_compared_with(suite, pattern, by):
    suite.update("-k", "full")
    text = suite.file("full").read_text()
    assert pattern in text
    suite.file("full").write_text(text.replace(pattern, by))
    assert suite.run(NEW_ONLY, "-k", "full").ret == 0
    assert json.loads(suite.file("full").read_text())["fingerprint"] == "f"


def test_new_only_does_not_take_a_path_as_its_value(suite):
    assert suite.run(NEW_ONLY, "test_quick.py").ret == 0
    assert suite.names() == ["full", "icl", "lora"]


def test_both_update_options_together_are_a_usage_error(suite):
    result = suite.run(NEW_ONLY, "--update-baselines")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(
        ["*expected --update-baselines * or --update-baselines-new-only *, got both*"]
    )


@pytest.mark.parametrize("flag", ["--update-baselines", NEW_ONLY])
@pytest.mark.parametrize(
    ("recorded", "sentence"),
    [
        ({"scores": [0.5 + step / 100 for step in range(-4, 4)]}, "no headroom: accuracy 49.5%"),
        (
            {"broken": ["merged outputs differ from unmerged ones"]},
            "invariant: merged outputs differ*",
        ),
        (
            {"raises": "expected a finite loss, got nan at step 3"},
            "expected a finite loss, got nan at step 3",
        ),
        (
            {"scores": [0.99, 0.98, 0.99, 0.98, 1.0, 0.99, 0.98, 0.99]},
            "no headroom: accuracy 98.8%",
        ),
    ],
    ids=["majority", "invariant", "raises", "ceiling"],
)
def test_a_refused_or_failing_case_is_not_written(suite, flag, recorded, sentence):
    suite.record(full=recorded)
    result = suite.run(flag)
    assert result.ret == 1
    result.stdout.fnmatch_lines(
        [f"*{sentence}*", "*1 refused: their baselines stay as they were.*"]
    )
    assert suite.names() == ["icl", "lora"]


def test_a_refusal_leaves_the_baseline_as_it_was(suite):
    suite.update()
    before = suite.file("full").read_bytes()
    suite.record(full={"broken": ["merged outputs differ from unmerged ones"]})
    assert suite.run("--update-baselines").ret == 1
    assert suite.file("full").read_bytes() == before


def test_each_changed_metric_has_a_signed_line(suite):
    suite.update("--ftcompare-seeds=3")
    suite.record(
        full={"scores": [score + 0.05 for score in SCORES], "step": 2.0, "peak": 2**21},
        lora={"fingerprint": "another"},
    )
    result = suite.update()
    result.stdout.fnmatch_lines(
        [
            "*: full-pocket_sst-opt-0.4m-n2",
            "  accuracy                70.0 -> 75.0 % (+5.0 pt, 3 -> 8 seeds)",
            "  accuracy out of domain  60.0 -> 60.0 % (+0.0 pt, 3 -> 8 seeds)",
            "  step                    2.500 -> 2.000 yardsticks (-20.0 %)",
            "  peak                    1.00 -> 2.00 MiB (+100.0 %)",
            "new: lora-pocket_sst-opt-0.4m-n2",
            "  its baseline was of another experiment",
            "  accuracy                70.0 % (new, 8 seeds)",
            "  step                    2.500 yardsticks (new)",
            "3 baselines written to*",
        ]
    )
    start = next(number for number, line in enumerate(result.outlines) if "= ftcompare =" in line)
    folder = str(suite.pytester.path)
    assert max(len(line) for line in result.outlines[start:] if folder not in line) <= 80


def test_few_unchanged_cases_are_listed_and_many_are_counted(suite):
    suite.update()
    suite.update().stdout.fnmatch_lines(
        [
            "same: full-pocket_sst-opt-0.4m-n2",
            "  accuracy                70.0 % (identical, 8 seeds)",
            "  step                    2.500 yardsticks (=)",
            "  peak                    1.00 MiB (=)",
        ]
    )
    suite.suite(methods=("full", "icl", "lora", "pbft"))
    suite.update()
    suite.record(**{name: {"step": 2.54} for name in ("full", "icl", "lora", "pbft")})
    result = suite.update()
    result.stdout.fnmatch_lines(["= 4 cases as they were, bit for bit, their times within 3%"])
    result.stdout.no_fnmatch_line("*full-pocket_sst*")
    suite.record(full={"step": 2.7}, **{name: {"step": 2.54} for name in ("icl", "lora", "pbft")})
    suite.update().stdout.fnmatch_lines(
        ["*: full-*", "  step                    2.513 -> 2.700 yardsticks (+7.4 %)"]
    )


def test_an_update_keeps_learned_noise_and_the_windows_of_the_same_code(suite):
    suite.suite(methods=("full",))
    suite.update()
    first = json.loads(suite.file("full").read_text())
    assert first["noise"] == {}
    suite.record(full={"process": "q"})
    suite.update()
    again = json.loads(suite.file("full").read_text())
    assert [window["process"] for window in again["windows"]] == ["p"] * 3 + ["q"] * 3
    assert again["noise"] == {}
    suite.record(full={"scores": [score + 0.05 for score in SCORES[::-1]]})
    suite.update()
    moved = json.loads(suite.file("full").read_text())
    assert 0 < moved["noise"]["accuracy"]["freedom"] <= 7
    assert len(moved["windows"]) == 3


def test_a_provisional_baseline_may_have_one_seed(suite):
    refused = suite.run("--update-baselines", "--ftcompare-seeds=1")
    assert refused.ret == 1
    refused.stdout.fnmatch_lines(["*too few seeds: 1 of at least 3*"])
    assert suite.names() == []
    suite.update("--ftcompare-seeds=1", "--ftcompare-provisional")
    assert len(json.loads(suite.file("full").read_text())["seed_results"]) == 1


def report_of(suite, *arguments):
    """Return the cases of a session's report, by method."""
    file = suite.pytester.path / "report.json"
    suite.run(*arguments, f"--ftcompare-report={file}")
    return {case["id"].split("-")[0]: case for case in json.loads(file.read_text())["cases"]}


def test_a_refused_update_is_not_called_identical_to_its_baseline(suite):
    suite.update()
    assert report_of(suite)["full"]["identical"]
    refused = report_of(suite, "--update-baselines", "--ftcompare-seeds=2")["full"]
    assert (refused["verdict"], refused["first_divergence"]) == ("invalid", "invariant")
    assert not refused["identical"]


def test_the_remark_on_headroom_follows_the_suites_table(suite):
    """The old baseline stays comparable: the declaration is part of neither id nor fingerprint."""

    def remarked():
        notes = report_of(suite)["full"]["notes"]
        return any(note.startswith("gained headroom: it is declared") for note in notes)

    suite.suite(judge_accuracy=False)
    suite.update()
    assert remarked()
    suite.suite()
    assert not remarked()
    suite.update()
    suite.suite(judge_accuracy=False)
    assert remarked()

"""Stale baselines: reported if the whole suite ran, removed if it was updated, never another's."""

import pytest
from recorded import SCORES, RecordedSuite

WORKERS = [(), ("-n2",)]
STALE = "*1 stale baseline, of cases that no table has any more*"
GONE = "cpu/quick/lora-pocket_sst-opt-0.4m-n2.json"


@pytest.fixture
def suite(pytester):
    """A suite that lost one method of its table after an update."""
    suite = RecordedSuite(pytester)
    suite.update()
    suite.suite(methods=("full", "icl"))
    return suite


def assert_kept(suite, result):
    """Check that nothing is reported as stale and the baseline is still there."""
    result.stdout.no_fnmatch_line("*stale baseline*")
    assert "lora" in suite.names()


@pytest.mark.parametrize("workers", WORKERS, ids=["without xdist", "n2"])
def test_a_stale_baseline_is_reported_and_an_update_of_the_whole_suite_removes_it(suite, workers):
    result = suite.run(*workers)
    assert result.ret == 0
    result.stdout.fnmatch_lines([STALE, f"  {GONE}"])
    assert suite.names() == ["full", "icl", "lora"]
    suite.update(*workers).stdout.fnmatch_lines(
        ["2 baselines written to*", f"{STALE[:-1]}: removed.", f"  - {GONE}"]
    )
    assert suite.names() == ["full", "icl"]
    suite.run(*workers).stdout.no_fnmatch_line("*stale baseline*")


@pytest.mark.parametrize(
    "selection",
    [
        ("-k", "full"),
        ("-m", "not slow", "--deselect", "test_quick.py::test_quick[icl-pocket_sst-opt-0.4m-n2]"),
        ("test_quick.py::test_quick[full-pocket_sst-opt-0.4m-n2]",),
        ("test_quick.py::test_quick",),
        ("--collect-only",),
    ],
    ids=["k", "deselect", "id", "function", "collect"],
)
@pytest.mark.parametrize("flag", ["--update-baselines", "--verbose"])
def test_nothing_is_stale_if_not_all_cases_were_selected(suite, selection, flag):
    assert_kept(suite, suite.run(flag, *selection))


def test_nothing_is_stale_with_last_failed(suite):
    suite.record(full={"scores": [score - 0.15 for score in SCORES]})
    assert suite.run().ret == 1
    assert_kept(suite, suite.run("--lf", "--update-baselines"))


@pytest.mark.parametrize("workers", WORKERS, ids=["without xdist", "n2"])
def test_a_session_in_which_a_test_failed_removes_nothing(suite, workers):
    suite.record(full={"raises": "expected a finite loss, got nan"})
    result = suite.run("--update-baselines", *workers)
    assert result.ret == 1
    result.stdout.fnmatch_lines([STALE, "*when all of it*", f"  {GONE}"])
    assert suite.names() == ["full", "icl", "lora"]


def test_nothing_is_stale_if_x_stopped_the_session(suite):
    suite.record(full={"raises": "expected a finite loss, got nan"})
    assert_kept(suite, suite.run("--update-baselines", "-x"))


def test_an_interrupted_session_removes_nothing(suite):
    suite.suite(methods=("full", "icl"), more="def test_then():\n    raise KeyboardInterrupt\n")
    result = suite.pytester.runpytest_subprocess(
        "-p", "pytest_ftcompare.plugin", "--update-baselines"
    )
    assert result.ret == pytest.ExitCode.INTERRUPTED
    assert suite.names() == ["full", "icl", "lora"]


def test_a_failed_test_of_another_file_keeps_stale_baselines(suite):
    suite.pytester.makepyfile(test_other="def test_other():\n    assert False\n")
    assert suite.run("--update-baselines").ret == 1
    assert suite.names() == ["full", "icl", "lora"]


def test_new_only_reports_and_removes_nothing(suite):
    suite.run("--update-baselines-new-only").stdout.fnmatch_lines([STALE, f"  {GONE}"])
    assert suite.names() == ["full", "icl", "lora"]


def test_a_baseline_of_another_profile_is_not_stale(pytester):
    suite = RecordedSuite(pytester)
    suite.suite(methods=("full", "icl"), tasks=("cola",), models=None)
    suite.update()
    assert suite.names() == ["full", "icl"]
    of_nightly = ("full-cola-opt-125m-n2", "full", "facebook/opt-125m")
    of_no_table = ("lora-cola-opt-125m-n2", "lora", "facebook/opt-125m")
    for name, method, model in (of_nightly, of_no_table):
        text = suite.file("full-pocket_cola").read_text()
        text = text.replace("full-pocket_cola-opt-1.4m-n2", name).replace(
            '"method": "full"', f'"method": "{method}"'
        )
        path = suite.baselines / "cpu" / "quick" / f"{name}.json"
        path.write_text(text.replace("pocket/opt-1.4m", model).replace('"pocket_cola"', '"cola"'))
    suite.update().stdout.no_fnmatch_line("*stale baseline*")
    assert suite.names() == ["full", "full", "icl", "lora"]


def test_a_case_of_another_profile_with_the_suites_model_is_not_stale(pytester):
    """The profile nightly has a task `cola`; the profile pocket gives that name another task."""
    suite = RecordedSuite(pytester)
    suite.suite(methods=("full",), tasks=("cola",))
    suite.update()
    text = suite.file("full").read_text().replace("pocket_cola", "cola")
    (suite.baselines / "cpu" / "quick" / "full-cola-opt-0.4m-n2.json").write_text(text)
    suite.update().stdout.no_fnmatch_line("*stale baseline*")


def test_a_file_of_the_same_name_that_was_not_collected_may_have_the_case(suite):
    suite.pytester.mkdir("a")
    suite.pytester.mkdir("b")
    (suite.pytester.path / "test_quick.py").rename(suite.pytester.path / "a" / "test_quick.py")
    text = (suite.pytester.path / "a" / "test_quick.py").read_text()
    (suite.pytester.path / "b" / "test_quick.py").write_text(
        text.replace("'full', 'icl'", "'lora',")
    )
    assert_kept(suite, suite.run("a", "--update-baselines"))
    assert_kept(suite, suite.run("a", "b", "--update-baselines", "--import-mode=importlib"))
    (suite.pytester.path / "b" / "test_quick.py").unlink()
    suite.update("a").stdout.fnmatch_lines([f"  - {GONE}"])


def test_a_case_of_a_class_that_was_not_collected_is_not_stale(suite):
    table = (
        "@pytest.mark.ftcompare(methods=('lora',), tasks=('pocket_sst',), shots=(2,), "
        "models=('pocket/opt-0.4m',))"
    )
    suite.suite(
        methods=("full", "icl"),
        more=f"class TestMore:\n    {table}\n    def test_more(self, gate):\n        gate()\n",
    )
    assert_kept(suite, suite.run("test_quick.py::test_quick", "--update-baselines"))
    assert_kept(suite, suite.run("--update-baselines"))


def test_nothing_is_stale_if_a_file_could_not_be_collected(suite):
    suite.pytester.makepyfile(test_broken="import no_such_module\n")
    assert_kept(suite, suite.run("--update-baselines", "--continue-on-collection-errors"))


def test_a_file_that_is_no_baseline_is_not_removed(suite):
    suite.file("lora").write_text("{")
    assert_kept(suite, suite.run("--update-baselines"))


def test_baselines_of_a_suite_that_did_not_run_are_left_alone(suite):
    (suite.baselines / "cpu" / "quick").rename(suite.baselines / "cpu" / "another")
    assert_kept(suite, suite.update())

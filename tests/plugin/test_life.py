"""A baseline's life: missing, written, compared, changed, updated; with and without workers."""

import json
from dataclasses import replace

import pytest
from recorded import RecordedSuite


def test_missing_then_written_then_the_same_then_changed_then_updated(shell):
    shell.suite(methods=("full", "icl"))
    result = shell.run()
    assert result.ret == 1
    result.stdout.fnmatch_lines(
        [
            "*Make its baseline:*",
            "*pytest --ftcompare-window=0.0 --update-baselines*",
            "*2 cases: 2 new.*",
        ]
    )
    assert shell.files() == []

    shell.update().stdout.fnmatch_lines(["*2 baselines written to*"])
    assert [file.name for file in shell.files()] == [
        "full-pocket_sst-opt-0.4m-n2-epochs=2.json",
        "icl-pocket_sst-opt-0.4m-n2-epochs=2.json",
    ]
    assert shell.files()[0].parts[-3:-1] == ("cpu", "quick")

    result = shell.run()
    assert result.ret == 0
    result.stdout.fnmatch_lines(
        ["*quick  *2  *2  2 same", "*Nothing changed in the environment*", "*2 cases: 2 same.*"]
    )

    shell.edit(r'"checkpoint bytes": \d+', '"checkpoint bytes": 7')
    result = shell.run()
    assert result.ret == 1
    result.stdout.fnmatch_lines(
        [
            "*First divergence: checkpoint bytes 7 -> *",
            "*If it is meant*",
            "*pytest --ftcompare-window=0.0 --update-baselines*",
        ]
    )

    shell.update()
    assert shell.run().ret == 0


@pytest.mark.parametrize("workers", ["-n0", "-n2"])
def test_a_baselines_life_is_the_same_under_workers(pytester, workers):
    """The cases train nothing; in the next test, workers train."""
    run = RecordedSuite(pytester)
    run.suite(methods=("full", "icl"))
    result = run.run(workers)
    assert result.ret == 1
    result.stdout.fnmatch_lines(
        ["*Make its baseline:*", "*pytest --update-baselines*", "*2 cases: 2 new.*"]
    )
    assert not run.baselines.exists()

    run.update(workers).stdout.fnmatch_lines(["*2 baselines written to*"])
    assert run.names() == ["full", "icl"]

    result = run.run(workers)
    assert result.ret == 0
    result.stdout.fnmatch_lines(
        ["*quick  *2  *2  2 same", "*Nothing changed in the environment*", "*2 cases: 2 same.*"]
    )

    run.record(full={"peak": 2**21})
    result = run.run(workers)
    assert result.ret == 1
    result.stdout.fnmatch_lines(
        ["*peak bytes 1.00 MiB -> 2.00 MiB*", "*pytest --update-baselines*"]
    )

    run.update(workers)
    assert run.run(workers).ret == 0


def test_an_update_writes_the_same_bytes_with_and_without_workers(shell):
    shell.update()
    (file,) = shell.files()
    alone = json.loads(file.read_text())
    shell.update("-n2")
    together = json.loads(file.read_text())
    # The second update keeps the windows of the first.
    windows = [*alone.pop("windows"), *together.pop("windows")]
    assert len({json.dumps(window["times"]) for window in windows}) == 1
    assert alone == together


def test_an_update_touches_only_the_cases_that_run(shell):
    shell.suite(methods=("full", "icl"))
    shell.update()
    before = {file.name: file.read_bytes() for file in shell.files()}
    shell.edit(r'"checkpoint bytes": \d+', '"checkpoint bytes": 7')
    edited = {file.name: file.read_bytes() for file in shell.files()}
    shell.update("-k", "full")
    after = {file.name: file.read_bytes() for file in shell.files()}
    full, icl = sorted(before)
    assert after[icl] == edited[icl]
    assert b'"checkpoint bytes": 7' not in after[full]


def test_an_update_with_collect_only_writes_nothing(shell):
    result = shell.run("--update-baselines", "--collect-only", "-q")
    assert result.ret == 0
    assert shell.files() == []


def test_an_update_with_x_keeps_what_was_accepted_before_the_stop(shell):
    shell.every_row()
    # Prompting is at the ceiling on this task.
    shell.suite(methods=("full", "icl", "lora"), extra="")
    result = shell.run("--update-baselines", "--ftcompare-seeds=3", "-x")
    assert result.ret == pytest.ExitCode.TESTS_FAILED
    assert [file.name.split("-")[0] for file in shell.files()] == ["full"]
    result.stdout.fnmatch_lines(
        ["*no headroom*", "*1 refused: their baselines stay as they were.*"]
    )


def test_an_update_with_x_under_workers_keeps_what_was_accepted(pytester):
    run = RecordedSuite(pytester)
    # Workers have this order too: the shortest first, the others as listed.
    run.suite(methods=("icl", "full", "lora"))
    run.record(full={"raises": "expected a finite loss"})
    result = run.run("--update-baselines", "-x", "-n1")
    assert result.ret == pytest.ExitCode.INTERRUPTED
    assert run.names() == ["icl"]
    result.stdout.fnmatch_lines(
        ["*expected a finite loss*", "*1 refused: their baselines stay as they were.*"]
    )


def test_last_failed_runs_the_case_that_failed(shell):
    shell.suite(methods=("full", "icl"))
    shell.update("-k", "icl")
    # With the cache, and without times, which are noise here.
    plugin = ("-p", "pytest_ftcompare.plugin", "--benchmark-disable")
    shell.pytester.runpytest_inprocess(*plugin)
    result = shell.pytester.runpytest_inprocess(*plugin, "--lf")
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["*1 case: 1 new.*"])


def test_junit_carries_the_verdict(shell):
    shell.run("--junit-xml=out.xml")
    assert '<property name="verdict" value="new"' in (shell.pytester.path / "out.xml").read_text()


def test_a_worse_outcome_fails_with_the_metrics_that_changed(shell, monkeypatch):
    from pytest_ftcompare.methods import full

    shell.every_row()
    shell.suite(tasks=("pocket_mnli",), shots=(64,), extra="options={'epochs': 8}")
    recipe = full.Full.recipes["pocket"]
    monkeypatch.setitem(full.Full.recipes, "pocket", replace(recipe, lr=5e-4))
    shell.update(seeds=5)
    monkeypatch.setitem(full.Full.recipes, "pocket", replace(recipe, lr=1e-6))
    result = shell.run()
    assert result.ret == 1
    result.stdout.fnmatch_lines(
        [
            "*full-pocket_mnli-opt-0.4m-n64-epochs=8: worse, its outcome got worse.*",
            "*accuracy *% -> *%: -* pt ± * (p=*, * seeds)*",
            "*First divergence: recipe lr 0.0005 -> 1e-06.*",
            "*pytest * --update-baselines "
            "'test_quick.py::test_quick[[]full-pocket_mnli-opt-0.4m-n64-epochs=8[]]'",
        ]
    )


def test_a_suite_without_cases_is_left_alone(pytester):
    pytester.makepyfile("def test_nothing(): pass")
    result = pytester.runpytest_inprocess("-p", "pytest_ftcompare.plugin")
    assert result.ret == 0
    result.stdout.no_fnmatch_line("*= ftcompare =*")

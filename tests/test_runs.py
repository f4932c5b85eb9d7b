"""A run's folder: gone with a run that ends, found again after one that does not, never one at work or of another key."""

import json

import pytest

from pytest_ftcompare import runs
from pytest_ftcompare.runs import ResumeError, begin, resume, start

KEY = {"torch": "2.13.0", "code": "a" * 12}


def die(run, *, results=("one",)):
    """Leave the folder as a process does that is killed: with what it finished, its lock free."""
    for name in results:
        file = run.folder / "results" / "suite" / f"{name}.json"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(json.dumps({"result": "{}", "refused": ""}))
    run.lock.release()


def test_a_session_without_cases_leaves_nothing(tmp_path):
    cache = tmp_path / "ftcompare"
    cache.mkdir()
    start(cache).close(finished=True)
    assert not cache.exists()


def test_a_run_that_ends_leaves_nothing_even_with_results(tmp_path):
    run = start(tmp_path)
    begin(run.folder, KEY)
    (run.folder / "results" / "suite").mkdir(parents=True)
    (run.folder / "results" / "suite" / "one.json").write_text("{}")
    run.close(finished=True)
    assert not run.folder.exists()


def test_an_interrupted_run_stays_if_it_finished_something(tmp_path):
    cache = tmp_path / "ftcompare"
    cache.mkdir()
    empty = start(cache)
    begin(empty.folder, KEY)
    empty.close(finished=False)
    assert not empty.folder.exists()
    run = start(cache := tmp_path)
    begin(run.folder, KEY)
    (run.folder / "results" / "suite").mkdir(parents=True)
    (run.folder / "results" / "suite" / "one.json").write_text(json.dumps({"result": "{}", "refused": ""}))
    run.close(finished=False)
    assert resume(cache, KEY).folder == run.folder


def test_the_latest_dead_run_is_resumed_and_what_was_refused_is_tried_again(tmp_path):
    first = start(tmp_path)
    begin(first.folder, KEY)
    die(first)
    second = start(tmp_path)
    begin(second.folder, KEY)
    (second.folder / "results" / "suite").mkdir(parents=True)
    (second.folder / "results" / "suite" / "refused.json").write_text(json.dumps({"result": None, "refused": "no memory"}))
    die(second, results=("one", "two"))
    run = resume(tmp_path, KEY)
    assert run.folder == second.folder
    assert sorted(file.name for file in run.folder.glob("*/suite/*.json")) == ["one.json", "two.json"]
    assert "which finished 2 cases" in run.note
    die(run, results=("three",))
    assert "which finished 3 cases" in resume(tmp_path, KEY).note


def test_a_run_at_work_is_left_alone(tmp_path):
    busy = start(tmp_path)
    begin(busy.folder, KEY)
    (busy.folder / "results" / "suite").mkdir(parents=True)
    (busy.folder / "results" / "suite" / "one.json").write_text(json.dumps({"result": "{}", "refused": ""}))
    run = resume(tmp_path, KEY)
    assert run.folder != busy.folder
    assert run.note == "no run left anything to resume: all cases run"


@pytest.mark.parametrize(
    ("key", "told"), [({"torch": "2.14.0"}, "torch 2.13.0 -> 2.14.0: all cases run"), ({"code": "b" * 12}, "code changed")]
)
def test_a_run_of_other_libraries_or_code_is_not_resumed(tmp_path, key, told):
    run = start(tmp_path)
    begin(run.folder, KEY)
    die(run)
    other = resume(tmp_path, KEY | key)
    assert other.folder != run.folder
    assert told in other.note


def test_only_the_latest_dead_runs_are_kept(tmp_path):
    dead = []
    for _ in range(runs.KEPT + 2):
        dead.append(start(tmp_path))
        begin(dead[-1].folder, KEY)
        die(dead[-1])
    assert [one.folder.exists() for one in dead] == [False, False, *[True] * runs.KEPT]


def test_without_a_cache_there_is_nothing_to_resume(tmp_path):
    with pytest.raises(ResumeError, match="expected pytest's cache"):
        resume(None, KEY)
    run = start(None)
    assert run.folder.is_dir()
    run.close(finished=False)
    assert not run.folder.exists()

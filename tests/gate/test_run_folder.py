"""A run folder is removed when its run ends. A dead run's folder is resumed if the keys match."""

import json
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace

import pytest

from pytest_ftcompare.gate import resume_key, run_folder
from pytest_ftcompare.gate.machine_speed import SPEEDS_FILE
from pytest_ftcompare.gate.project_config import ProjectConfig, read
from pytest_ftcompare.gate.run_folder import ResumeError, make_folder, resume, start_run
from pytest_ftcompare.measure import library_versions

KEY = {"torch": "2.13.0", "code": "a" * 12}


@pytest.fixture(autouse=True)
def days(monkeypatch):
    """Start each run a day after the last: folders are found by the time in their names."""

    class Calendar:
        today = datetime(2030, 1, 1, tzinfo=UTC)

        def now(self, _):
            self.today += timedelta(days=1)
            return self.today

    monkeypatch.setattr(run_folder, "datetime", Calendar())


def die(run, *, results=("one",)):
    """Leave the folder as a killed process does: with its results, and its lock free."""
    for name in results:
        file = run.folder / "results" / "suite" / f"{name}.json"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(json.dumps({"result": "{}", "refused": ""}))
    run.lock.release()


def test_a_session_without_cases_leaves_nothing(tmp_path):
    cache = tmp_path / "ftcompare"
    cache.mkdir()
    start_run(cache).close(finished=True)
    assert not cache.exists()


def test_a_run_that_ends_leaves_nothing_even_with_results(tmp_path):
    run = start_run(tmp_path)
    make_folder(run.folder, lambda: KEY)
    (run.folder / "results" / "suite").mkdir(parents=True)
    (run.folder / "results" / "suite" / "one.json").write_text("{}")
    run.close(finished=True)
    assert not run.folder.exists()


def test_an_interrupted_run_stays_if_it_has_results(tmp_path):
    cache = tmp_path / "ftcompare"
    cache.mkdir()
    empty = start_run(cache)
    make_folder(empty.folder, lambda: KEY)
    empty.close(finished=False)
    assert not empty.folder.exists()
    run = start_run(cache := tmp_path)
    make_folder(run.folder, lambda: KEY)
    (run.folder / "results" / "suite").mkdir(parents=True)
    (run.folder / "results" / "suite" / "one.json").write_text(
        json.dumps({"result": "{}", "refused": ""})
    )
    (run.folder / SPEEDS_FILE).write_text("[]")
    run.close(finished=False)
    resumed = resume(cache, KEY)
    assert resumed.folder == run.folder
    assert not (run.folder / SPEEDS_FILE).exists(), "how fast the machine was then"


def test_the_latest_dead_run_is_resumed_and_refused_cases_run_again(tmp_path):
    first = start_run(tmp_path)
    make_folder(first.folder, lambda: KEY)
    die(first)
    second = start_run(tmp_path)
    make_folder(second.folder, lambda: KEY)
    (second.folder / "results" / "suite").mkdir(parents=True)
    (second.folder / "results" / "suite" / "refused.json").write_text(
        json.dumps({"result": None, "refused": "no memory"})
    )
    die(second, results=("one", "two"))
    run = resume(tmp_path, KEY)
    assert run.folder == second.folder
    assert sorted(file.name for file in run.folder.glob("*/suite/*.json")) == [
        "one.json",
        "two.json",
    ]
    assert "which finished 2 cases" in run.note
    die(run, results=("three",))
    assert "which finished 3 cases" in resume(tmp_path, KEY).note


def test_an_active_run_is_not_resumed(tmp_path):
    busy = start_run(tmp_path)
    make_folder(busy.folder, lambda: KEY)
    (busy.folder / "results" / "suite").mkdir(parents=True)
    (busy.folder / "results" / "suite" / "one.json").write_text(
        json.dumps({"result": "{}", "refused": ""})
    )
    run = resume(tmp_path, KEY)
    assert run.folder != busy.folder
    assert run.note == "no run left anything to resume: all cases run"


@pytest.mark.parametrize(
    ("key", "note"),
    [
        ({"torch": "2.14.0"}, "torch 2.13.0 -> 2.14.0: all cases run"),
        ({"code": "b" * 12}, "code changed"),
    ],
)
def test_a_run_of_other_libraries_or_code_is_not_resumed(tmp_path, key, note):
    run = start_run(tmp_path)
    make_folder(run.folder, lambda: KEY)
    die(run)
    other = resume(tmp_path, KEY | key)
    assert other.folder != run.folder
    assert note in other.note


def test_results_that_a_resumed_run_did_not_need_are_kept(tmp_path):
    run = start_run(tmp_path)
    make_folder(run.folder, lambda: KEY)
    die(run, results=("one", "two"))
    run = resume(tmp_path, KEY)
    (run.folder / "results" / "suite").mkdir(exist_ok=True)
    # The resumed run uses this result only.
    (run.folder / "earlier" / "suite" / "one.json").rename(
        run.folder / "results" / "suite" / "one.json"
    )
    run.close(finished=True)
    assert "which finished 1 case" in resume(tmp_path, KEY).note


@pytest.mark.parametrize("broken", ["run.json", "results/suite/one.json"])
def test_half_a_file_of_a_crashed_machine_counts_as_missing(tmp_path, broken):
    run = start_run(tmp_path)
    make_folder(run.folder, lambda: KEY)
    die(run)
    (run.folder / broken).write_text("")
    resume(tmp_path, KEY).lock.release()


def test_a_lock_without_a_folder_is_removed(tmp_path):
    (tmp_path / "20260101-000000-000000.lock").touch()
    run = start_run(tmp_path)
    assert [lock.name for lock in tmp_path.glob("*.lock")] == [f"{run.folder.name}.lock"]


def test_a_key_holds_what_results_depend_on(tmp_path, monkeypatch):
    from pytest_ftcompare.gate.profiles import PROFILES

    names = dict.fromkeys((*resume_key.KEY_OPTIONS,), None) | {
        "project": ProjectConfig(),
        "profile": PROFILES["pocket"],
        "device": "cpu",
        "accept_file": tmp_path / "accept.toml",
    }
    settings = SimpleNamespace(
        **names | {"baselines": tmp_path / "baselines", "hub": tmp_path / "hub"}
    )
    (tmp_path / "baselines").mkdir()
    (tmp_path / "hub").mkdir()

    def changed(change):
        before = resume_key.make_key(settings, tmp_path, benchmarks=True)
        change()
        after = resume_key.make_key(settings, tmp_path, benchmarks=True)
        return {name for name in before if before[name] != after[name]}

    assert changed(lambda: None) == set()
    assert changed(lambda: (tmp_path / "report.html").write_text("a report")) == set()
    assert changed(lambda: (tmp_path / "accept.toml").write_text("")) == set()
    assert changed(lambda: (tmp_path / "conftest.py").write_text("x = 1")) == {"project"}
    assert changed(lambda: (tmp_path / "rows.jsonl").write_text("{}")) == {"project"}
    assert changed(lambda: (tmp_path / "hub" / "weights").write_bytes(b"0")) == {"hub's content"}
    assert changed(lambda: (tmp_path / "baselines" / "one.json").write_text("{}")) == {
        "baselines' content"
    }
    checkout = tmp_path / ".checkout"
    checkout.mkdir()
    distribution = SimpleNamespace(
        version="0.22.0.dev0",
        read_text=lambda _: json.dumps({"url": checkout.as_uri(), "dir_info": {"editable": True}}),
    )
    monkeypatch.setattr(library_versions, "distribution", lambda _: distribution)
    assert "peft" in changed(lambda: (checkout / "peft.py").write_text("fixed = True"))


@pytest.mark.parametrize(
    ("name", "files"),
    [
        ("rows.JSON", ["rows.JSON"]),
        ("rows.csv.gz", ["rows.csv.gz"]),
        ("part-*.parquet", ["part-0.parquet", "part-1.parquet"]),
        ("saved", ["saved/state.json", "saved/data-00000-of-00001.arrow"]),
        ("../beside/rows.tsv", ["../beside/rows.tsv"]),
    ],
)
def test_a_key_holds_the_data_of_the_projects_tasks(tmp_path, name, files):
    """Of every format, and beside the project: finished cases are of the data that they read."""
    root = tmp_path / "project"
    for file in files:
        (root / file).parent.mkdir(parents=True, exist_ok=True)
        (root / file).write_bytes(b"1")
    (root / "pyproject.toml").write_text(
        f'[tool.ftcompare.tasks.own]\ntrain = "{name}"\nlabels = ["a", "b"]\npattern = "{{text}}"\n'
    )

    def key():
        options = dict.fromkeys(resume_key.KEY_OPTIONS) | {"device": "cpu", "baselines": tmp_path}
        settings = SimpleNamespace(**options | {"project": read(root)}, accept_file=None)
        return resume_key.make_key(settings, root, benchmarks=False)

    before = key()
    assert key() == before
    (root / files[-1]).write_bytes(b"2")
    changed = key()
    assert {entry for entry in before if before[entry] != changed[entry]} == {"project"}


@pytest.mark.parametrize(("gpus", "names"), [([], {"threads"}), (["0"], set())])
def test_the_hosts_threads_count_on_a_cpu_only(tmp_path, monkeypatch, gpus, names):
    monkeypatch.setattr(resume_key.gpu_assignment, "visible_gpus", lambda *_: gpus)
    monkeypatch.setattr(resume_key.nvml, "driver", lambda: "580.1")
    options = dict.fromkeys(resume_key.KEY_OPTIONS) | {"device": "auto", "baselines": tmp_path}
    keys = [
        resume_key.make_key(
            SimpleNamespace(
                **options | {"threads": threads, "accept_file": None}, project=ProjectConfig()
            ),
            tmp_path,
            benchmarks=True,
        )
        for threads in (4, 5)
    ]
    assert {name for name in keys[0] if keys[0][name] != keys[1][name]} == names


def test_only_the_latest_dead_runs_are_kept(tmp_path):
    dead = []
    for _ in range(run_folder.MAX_DEAD_RUNS + 2):
        dead.append(start_run(tmp_path))
        make_folder(dead[-1].folder, lambda: KEY)
        die(dead[-1])
    assert [run.folder.exists() for run in dead] == [
        False,
        False,
        *[True] * run_folder.MAX_DEAD_RUNS,
    ]


def test_without_a_cache_there_is_nothing_to_resume(tmp_path):
    with pytest.raises(ResumeError, match="expected pytest's cache"):
        resume(None, KEY)
    run = start_run(None)
    assert run.folder.is_dir()
    run.close(finished=False)
    assert not run.folder.exists()

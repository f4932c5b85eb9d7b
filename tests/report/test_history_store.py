"""Test writing to a history: content, repeated runs, failures and concurrent processes."""

import json
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest
from documents import make_case, make_document

from pytest_ftcompare.report.history import HistoryError, append
from pytest_ftcompare.report.history.metric_values import points

TESTS = Path(__file__).parents[1]


def rows(path, query, *values):
    connection = sqlite3.connect(path)
    try:
        return connection.execute(query, values).fetchall()
    finally:
        connection.close()


def kept(case):
    return {name: (value, sd) for name, _, value, sd in points(case)}


def test_a_run_is_stored_with_its_cases_metrics_and_claims(tmp_path):
    path, document = (
        tmp_path / "h.db",
        make_document(8, environment={"commit": "abc", "torch": "2"}),
    )
    append(path, document)
    columns = "started, commit_id, profile, devices, command, failed, source, environment"
    assert rows(path, f"SELECT {columns} FROM runs") == [
        (
            document["started"],
            "abc",
            "pocket",
            "cpu",
            document["command"],
            1,
            "gate",
            '{"commit": "abc", "torch": "2"}',
        )
    ]
    case = document["cases"][1]
    query = (
        "SELECT metric, unit, value, sd, seeds, verdict, failed, accepted FROM history "
        'WHERE "case" = ? ORDER BY metric'
    )
    found = {row[0]: row[1:] for row in rows(path, query, case["id"])}
    assert set(found) == {*case["scores"], *(one["metric"] for one in case["costs"])}
    assert found["step"][:3] == ("s", pytest.approx(case["costs"][0]["new"]), None)
    assert found["accuracy"][1] == pytest.approx(case["scores"]["accuracy"])
    assert found["accuracy"][2] > 0
    assert found["accuracy"][3:] == (8, case["verdict"], int(case["failed"]), 0)
    claim = document["claims"][0]
    output = rows(
        path,
        "SELECT name, verdict, outcome, value, error, unit "
        "FROM outcomes JOIN claims ON id = claim_id",
    )
    assert output[0] == (claim["name"], "held", "reproduced", claim["estimate"]["value"], 0.6, "pt")
    assert len(output) == len(document["claims"])


def test_a_run_is_stored_with_the_time_of_suites_and_methods(tmp_path):
    path, document = tmp_path / "h.db", make_document(3)
    append(path, document)
    found = rows(path, "SELECT kind, name, seconds FROM spent")
    assert sorted(found) == sorted(
        (kind, *one) for kind, spent in document["spent"].items() for one in spent.items()
    )


def test_a_history_and_a_document_without_times_still_work(tmp_path):
    path, old = tmp_path / "h.db", make_document(3)
    del old["spent"]
    append(path, old)
    connection = sqlite3.connect(path)
    connection.execute("DROP TABLE spent")
    connection.close()
    append(path, make_document(3, seed=1))
    assert rows(path, "SELECT count(*) FROM runs") == [(2,)]
    assert rows(path, "SELECT count(DISTINCT run_id) FROM spent") == [(1,)]


def test_a_run_that_is_appended_twice_is_stored_once(tmp_path):
    path, document = tmp_path / "h.db", make_document(3)
    append(path, document)
    append(
        path, document | {"history": {"runs": [], "series": {}}}
    )  # what the history expected is none of the run
    assert rows(path, "SELECT count(*) FROM runs") == [(1,)]
    append(path, document | {"seconds": 1.0})
    assert rows(path, "SELECT id - min(id) OVER () FROM runs ORDER BY id") == [
        (0,),
        (1,),
    ]  # they began at one time


def test_runs_are_in_the_order_of_time_however_they_are_appended(tmp_path):
    path = tmp_path / "h.db"
    times = ["2030-01-02T02:00:00+00:00", "2030-01-01T22:00:00-05:00", "2029-01-01"]
    for number, started in enumerate(times):
        append(path, make_document(1, seed=number, started=started))
    assert [started for (started,) in rows(path, "SELECT started FROM runs ORDER BY id")] == [
        times[2],
        times[0],
        times[1],
    ]


def test_a_score_is_the_baselines_mean_plus_the_shift():
    case = make_case("same")  # seed 0 alone ran, and gave what it gave before
    seeds = [one["metrics"]["accuracy"] for one in case["baseline"]["seed_results"]]
    assert kept(case)["accuracy"] == (pytest.approx(sum(seeds) / len(seeds)), None)
    case["seed_results"][0]["metrics"]["accuracy"] += 0.125
    assert kept(case)["accuracy"][0] == pytest.approx(sum(seeds) / len(seeds) + 0.125)
    case["verdict"] = "incomparable"  # the baseline is of another experiment
    assert kept(case)["accuracy"][0] == pytest.approx(seeds[0] + 0.125)


def test_invalid_cases_unread_costs_and_scores_of_groups_have_no_points():
    case = make_case("new")
    assert not list(points(case | {"verdict": "invalid"}))
    case["costs"][0] |= {"new": 0.0, "outcome": "incomparable"}  # of an imported older report
    case["costs"][1] |= {"new": None}
    case["costs"][2] |= {"new": 0.0}  # a count may be zero
    case["seed_results"][0]["metrics"] |= {"loss": None, "accuracy/passive": 0.5}
    assert kept(case).keys() == {"accuracy", "accuracy_ood", "loss", "loss_ood", "peak bytes"}
    assert len(case["seed_results"]) > 1


def test_a_document_that_cannot_be_stored_leaves_nothing(tmp_path):
    path, document = tmp_path / "h.db", make_document(3)
    append(path, document)
    before = path.read_bytes()
    broken = make_document(3, seed=1)
    del broken["cases"][2]["seed_results"]
    with pytest.raises(KeyError, match="seed_results"):  # a session's documents have them all
        append(path, broken)
    with pytest.raises(HistoryError, match=r"ISO 8601 .* got 'yesterday'"):
        append(path, make_document(1, started="yesterday"))
    assert path.read_bytes() == before


WRITER = """\
import sys
from pathlib import Path
from documents import make_document
from pytest_ftcompare.report.history import append
for number in range(int(sys.argv[2]), int(sys.argv[2]) + 5):
    append(Path(sys.argv[1]), make_document(4, seed=number))
"""


def test_concurrent_processes_lose_nothing(tmp_path):
    """The first process also creates the file."""
    path = tmp_path / "h.db"
    started = [
        subprocess.Popen(
            [sys.executable, "-c", WRITER, path, str(5 * one)],
            cwd=TESTS,
            env={"PYTHONPATH": f"{TESTS.parent}"},
        )
        for one in range(4)
    ]
    assert [one.wait(timeout=120) for one in started] == [0] * 4
    assert rows(path, "SELECT count(*) FROM runs") == [(20,)]
    assert rows(path, "SELECT count(*) FROM results GROUP BY run_id") == [(4,)] * 20
    assert rows(path, "PRAGMA integrity_check") == [("ok",)]


KILLED = """\
import os, sys
from pathlib import Path
from pytest_ftcompare.report.history.database import writing
with writing(Path(sys.argv[1])) as connection:
    connection.execute("PRAGMA cache_size = 1")  # so that changes reach the file before the end
    connection.execute("UPDATE runs SET environment = ?", ("x" * 500000,))
    connection.execute("DELETE FROM points")
    os._exit(9)
"""


def test_a_writer_that_dies_halfway_leaves_the_history_as_it_was(tmp_path):
    path = tmp_path / "h.db"
    append(path, make_document(50))
    before = rows(path, "SELECT * FROM points")
    done = subprocess.run([sys.executable, "-c", KILLED, path], cwd=TESTS.parent, check=False)
    assert done.returncode == 9
    assert (tmp_path / "h.db-journal").exists()
    assert rows(path, "SELECT * FROM points") == before
    assert json.loads(rows(path, "SELECT environment FROM runs")[0][0])

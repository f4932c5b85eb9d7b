"""Test the import of PEFT's published results and of stored reports."""

import json
import sqlite3

import pytest
from documents import make_document
from method_comparison import generation, training, write

from pytest_ftcompare.__main__ import main
from pytest_ftcompare.report.history import append

NEWER = {"peft-version": "0.16.0.dev0", "peft-commit-hash": "5fe7f8f8abe914d3"}


def imported(path, folder, capsys):
    assert main(["history", "import", str(path), str(folder)]) == 0
    return capsys.readouterr().out.strip()


def rows(path, query):
    connection = sqlite3.connect(path)
    try:
        return connection.execute(query).fetchall()
    finally:
        connection.close()


def refused(path, folder, capsys):
    assert main(["history", "import", str(path), str(folder)]) == 2
    output = capsys.readouterr().err
    assert output.count("\n") == 1
    return output.removeprefix("ERROR: ").strip()


def test_a_run_has_one_study_stack_and_day(tmp_path, capsys):
    write(
        tmp_path / "old",
        training("lora/a", 0.5, day=1),
        training("lora/b", 0.4, day=1),
        training("lora/c", 0.3, day=2),
    )
    write(tmp_path / "new", training("lora/a", 0.48, day=2, package_info=NEWER))
    (tmp_path / "new" / "text.json").write_text(json.dumps(generation()))
    (tmp_path / "new" / "adapter_config.json").write_text('{"r": 8}')
    path = tmp_path / "h.db"
    assert (
        imported(path, tmp_path, capsys)
        == "results added: 5, sessions added: 0, there already: 0, other files: 1"
    )
    assert rows(
        path,
        "SELECT started, profile, commit_id, devices, failed, source FROM runs "
        "ORDER BY started, profile, commit_id DESC",
    ) == [
        (
            "2030-01-01T10:00:00+00:00",
            "MetaMathQA",
            "peft 0.15.2",
            "NVIDIA L40S",
            None,
            "method_comparison",
        ),
        (
            "2030-01-01T10:00:00+00:00",
            "text_generation_benchmark",
            "peft 0.15.2",
            "NVIDIA L40S",
            None,
            "method_comparison",
        ),
        (
            "2030-01-02T10:00:00+00:00",
            "MetaMathQA",
            "peft 0.15.2",
            "NVIDIA L40S",
            None,
            "method_comparison",
        ),
        (
            "2030-01-02T10:00:00+00:00",
            "MetaMathQA",
            "5fe7f8f8",
            "NVIDIA L40S",
            None,
            "method_comparison",
        ),
    ]
    accuracy = (
        "SELECT value FROM history "
        """WHERE "case" = 'lora/a' AND metric = 'accuracy' ORDER BY started"""
    )
    assert rows(path, accuracy) == [(0.5,), (0.48,)]
    units = rows(
        path,
        "SELECT DISTINCT metric, unit FROM history WHERE suite != 'MetaMathQA' ORDER BY metric",
    )
    assert units == [("allocated bytes, peak", "B"), ("token", "s")]


def test_an_import_adds_only_new_results(tmp_path, capsys):
    path, folder = tmp_path / "h.db", tmp_path / "results"
    write(folder, training("lora/a", 0.5))
    imported(path, folder, capsys)
    later = training("lora/a", 0.6)  # again on the same day and stack
    later["run_info"]["created_at"] = "2030-01-01T22:00:00+00:00"
    write(folder / "later", later, training("lora/b", 0.4))
    for _ in range(2):
        output = imported(path, folder, capsys)
    assert output == "results added: 0, sessions added: 0, there already: 3, other files: 0"
    assert rows(path, "SELECT count(*) FROM runs") == [(2,)]
    assert rows(
        path, """SELECT value FROM history WHERE metric = 'accuracy' ORDER BY started, "case" """
    ) == [
        (0.5,),
        (0.4,),
        (0.6,),
    ]


def test_a_failed_run_has_no_points(tmp_path, capsys):
    path = tmp_path / "h.db"
    write(tmp_path / "results", training("lora/a", status="cancelled"))
    imported(path, tmp_path / "results", capsys)
    assert rows(path, "SELECT verdict FROM results") == [("invalid",)]
    assert rows(path, "SELECT count(*) FROM points") == [(0,)]


def test_imported_reports_equal_appended_sessions(tmp_path, capsys):
    path, documents = tmp_path / "h.db", [make_document(3, seed=seed) for seed in range(2)]
    append(path, documents[0])
    for number, document in enumerate(documents):
        (tmp_path / f"{number}.json").write_text(json.dumps(document))
    assert (
        imported(path, tmp_path, capsys)
        == "results added: 0, sessions added: 1, there already: 1, other files: 0"
    )
    assert (
        imported(path, tmp_path / "1.json", capsys)
        == "results added: 0, sessions added: 0, there already: 1, other files: 0"
    )


def test_a_broken_file_is_reported_in_one_sentence_and_adds_nothing(tmp_path, capsys):
    path, folder = tmp_path / "h.db", tmp_path / "results"
    assert refused(path, folder, capsys).startswith(
        f"expected a folder with results at {folder}, found nothing there"
    )
    folder.mkdir()
    assert refused(path, folder, capsys).endswith(
        f"reports (*.json) at {folder}, found none: name another folder"
    )
    write(folder, training("lora/a"))
    file = folder / "z.json"
    file.write_text("{")
    assert refused(path, folder, capsys).startswith(
        f"{file} cannot be read as JSON (Expecting property name"
    )
    file.write_text(json.dumps(training("lora/b", status="success", metrics=[])))
    assert refused(path, folder, capsys).startswith(
        f"expected a result in {file}, but it lacks 'test accuracy'"
    )
    undated = training("lora/b")
    undated["run_info"]["created_at"] = ""
    file.write_text(json.dumps(undated))
    assert refused(path, folder, capsys).startswith(
        f"expected the time of the run in {file}, found none"
    )
    file.write_text(json.dumps(make_document(2) | {"schema": 99}))
    assert "of a newer schema than 1" in refused(path, folder, capsys)
    assert not path.exists()
    file.unlink()
    assert "expected a folder for the history" in refused(
        tmp_path / "none" / "h.db", folder, capsys
    )


@pytest.mark.parametrize("words", [["import"], ["import", "h.db"], ["import", "h.db", "a", "b"]])
def test_import_needs_a_history_and_a_folder(words, capsys):
    with pytest.raises(SystemExit, match="2"):
        main(["history", *words])
    assert "history import" in capsys.readouterr().err


def test_a_report_that_bisect_answered_is_the_same_session(tmp_path, capsys):
    path, document = tmp_path / "h.db", make_document(3)
    append(path, document)
    (tmp_path / "run.json").write_text(json.dumps({**document, "bisections": []}))
    assert "sessions added: 0, there already: 1" in imported(path, tmp_path, capsys)


@pytest.mark.parametrize("loss", [float("nan"), float("inf")])
def test_a_score_that_is_no_finite_number_is_no_point(tmp_path, capsys, loss):
    path, data = tmp_path / "h.db", training("lora/a", 0.5)
    data["train_info"]["metrics"][-1]["train loss"] = loss
    write(tmp_path / "results", data)
    assert imported(path, tmp_path / "results", capsys).startswith("results added: 1")
    metrics = {name for (name,) in rows(path, "SELECT DISTINCT metric FROM history")}
    assert "accuracy" in metrics
    assert "train loss" not in metrics

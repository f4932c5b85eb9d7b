"""Test `python -m pytest_ftcompare history`: terminals of any width, JSON, and usage errors."""

import io
import json
import os
import subprocess
import sys
from copy import deepcopy
from pathlib import Path

import pytest
from documents import make_document
from rich.console import Console
from test_main import BLOCKED

from pytest_ftcompare.__main__ import main
from pytest_ftcompare.report.history import append
from pytest_ftcompare.report.history.cli import _read_series
from pytest_ftcompare.report.history.terminal import show

ROOT = Path(__file__).parents[2]
LORA = "few_shot/lora-pocket_cola-opt-1.4m-n2"
EVIL = "evil[bold]\x1b[31m<b>\u202ename\n</b>"


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    """Write thirty nights.

    A new peft costs lora eight points from the 21st, accepted in the 22nd. icl is slower from the
    25th.
    """
    path = tmp_path_factory.mktemp("history") / "h.db"
    base = make_document(8)
    for night in range(30):
        document = deepcopy(base)
        document["started"] = f"2030-01-{1 + night:02}T02:00:00+00:00"
        document["environment"] |= {"commit": f"commit-{night}"} | (
            {"peft": "0.22.0"} if night >= 20 else {}
        )
        for case in document["cases"]:
            case["verdict"] = "same"
            case["accepted"] = night == 21
            if case["method"] == "lora" and night >= 20:
                for sample in case["seed_results"]:
                    sample["metrics"]["accuracy"] -= 0.08
            if case["method"] == "icl" and night >= 24:
                case["costs"] = [one | {"new": 2 * one["new"]} for one in case["costs"]]
        document["cases"][0]["id"] = EVIL
        append(path, document)
    return path


def screen(path, width, *, case="*", method="", metric="accuracy", last=100, encoding="utf-8"):
    file = io.TextIOWrapper(io.BytesIO(), encoding=encoding)
    show(
        Console(file=file, width=width, highlight=False),
        *_read_series(path, case, method, metric, last),
    )
    file.flush()
    lines = file.buffer.getvalue().decode(encoding).split("\n")
    assert all(len(line) <= width for line in lines)
    return [line.rstrip() for line in lines[:-1]]


def test_a_table_shows_each_case_over_runs_and_its_changes(path):
    shown = screen(path, 80, method="lora")
    assert shown[0] == "accuracy over runs: 2 cases, 2 changes of level, 0 not accepted"
    assert shown[2].split() == ["case", "last", "runs", "over", "runs", "changes"]
    name, last, runs, course, changes = shown[3].split()
    assert (name, runs, changes) == (LORA, "30", "1")
    assert last.endswith("%")
    assert set(course[:7]) == {"█"}
    assert set(course[9:]) == {"▁"}
    assert shown[6] == "Changes of level, the latest first:"
    assert shown[7] == "2030-01-21 02:00  commit-20  peft 0.21.2 -> 0.22.0"
    before, arrow, after, mark = shown[8].removeprefix(f"  {LORA}").split()
    assert (arrow, mark) == ("->", "accepted")
    assert float(before[:-1]) - float(after[:-1]) == pytest.approx(8, abs=0.11)


def test_one_case_is_shown_in_detail(path):
    shown = screen(path, 80, case=LORA)
    assert shown[2] == LORA
    assert shown[3] == "█" * 20 + "▁" * 10
    assert shown[5].startswith("30 runs, 2030-01-01 02:00 to 2030-01-30 02:00; lowest ")
    assert shown[-1].endswith("accepted")
    assert (
        screen(path, 80, case=LORA, last=5)[0] == "accuracy over runs: 1 case, 0 changes of level"
    )


def test_a_change_of_cost_without_an_update_is_not_accepted(path):
    shown = screen(path, 120, method="icl", metric="step")
    assert shown[0] == "step over runs: 1 case, 1 change of level, 1 not accepted"
    assert shown[-1].endswith("not accepted")
    assert shown[-1].count(" ms") == 2


@pytest.mark.parametrize("width", [40, 72, 80, 300])
def test_any_width_shows_all_names_and_values(path, width):
    shown = screen(path, width, metric="accuracy_ood")
    assert (
        sum("30" in line for line in shown) == 7
    )  # the runs of each case; the eighth gave nothing
    if width != 72 and width != 80:  # there a name may go on below, in its column
        assert "few_shot/prefix_tuning-pocket_cola-opt-1.4m-n2" in "".join(shown).replace(" ", "")


@pytest.mark.parametrize("width", [40, 300])
def test_control_characters_and_markup_in_names_are_printed_as_text(path, width):
    shown = "".join(screen(path, width, case="evil*"))
    assert r"evil[bold]\x1b[31m<b>\u202ename\n</b>" in shown
    assert shown.isprintable()


def test_a_terminal_without_unicode_gets_ascii_bars(path):
    shown = screen(path, 80, case=LORA, encoding="ascii")
    assert shown[3] == "%" * 20 + "_" * 10


def test_json_has_every_value(path, capsys):
    assert main(["history", str(path), "--method", "lora", "--last", "12", "--json"]) == 0
    output = json.loads(capsys.readouterr().out)
    assert output["metric"] == "accuracy"
    first = output["cases"][0]
    assert (first["suite"], first["case"], first["device"], first["method"]) == (
        *LORA.split("/"),
        "cpu",
        "lora",
    )
    assert len(first["runs"]) == 12
    change = first["changes"][0]
    assert (change["run"], change["accepted"], change["beside"]) == (
        2,
        True,
        ["peft 0.21.2 -> 0.22.0"],
    )
    assert first["runs"][2]["value"] == change["to"] == pytest.approx(change["from"] - 0.08)
    assert first["runs"][2] | {"value": 0, "sd": 0} == {
        **{
            "started": "2030-01-21T02:00:00+00:00",
            "commit": "commit-20",
            "value": 0,
            "sd": 0,
            "verdict": "same",
        }
    }


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (
            ["--metric", "f1"],
            "expected --metric to be one of accuracy, accuracy_ood, loss, loss_ood, step, ",
        ),
        (["--case", "x[y"], "expected cases for --case=x[y, found none in "),
        (["--method", "nope"], "expected cases for --case=* --method=nope, found none in "),
    ],
)
def test_an_unknown_metric_or_case_is_reported_in_one_sentence(path, words, expected, capsys):
    assert main(["history", str(path), *words]) == 2
    output = capsys.readouterr().err
    assert output.startswith(f"ERROR: {expected}")
    assert output.count("\n") == 1


def test_a_missing_history_is_reported(tmp_path, capsys):
    assert main(["history", str(tmp_path / "h.db")]) == 2
    assert capsys.readouterr().err.startswith(
        f"ERROR: expected a history at {tmp_path / 'h.db'}, found nothing there"
    )
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("number", ["0", "-1", "few"])
def test_last_must_be_a_positive_number(path, number, capsys):
    with pytest.raises(SystemExit, match="2"):
        main(["history", str(path), f"--last={number}"])
    assert f"expected a whole number above 0, got '{number}'" in capsys.readouterr().err


def test_it_needs_neither_pytest_nor_torch_and_a_pipe_gets_no_colour(path):
    output = subprocess.run(
        [sys.executable, "-c", BLOCKED, "history", path, "--method", "lora"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
        env={name: value for name, value in os.environ.items() if name != "FORCE_COLOR"}
        | {"COLUMNS": "80"},
    )
    assert (output.returncode, output.stderr) == (0, "")
    assert output.stdout.startswith("accuracy over runs: 2 cases")
    assert "\x1b" not in output.stdout


def test_the_docs_show_this_output(path):
    shown = [f"    {line}".rstrip() for line in screen(path, 80, method="lora")]
    assert "\n".join(shown) in (ROOT / "docs" / "history.md").read_text(encoding="utf-8")

"""Test the runner: it finds real faults, records each, and continues an interrupted run."""

from __future__ import annotations

import json
import shutil

import pytest

from . import FAULTS, run

LORA = "cpu/few_shot/lora-pocket_cola-opt-1.4m-n16.json"


def test_faults_of_loss_merging_and_saving_break_invariants(tmp_path):
    folder = tmp_path / "folder"
    baseline = folder / "baselines" / LORA
    baseline.parent.mkdir(parents=True)
    shutil.copy(run.ROOT / "baselines" / LORA, baseline)
    names = ["micro_batches_weighted_alike", "merged_without_scale", "adapters_not_saved"]
    run.main(tmp_path / "record.json", names, folder)
    record = json.loads((tmp_path / "record.json").read_text())["faults"]
    assert [entry["caught"] for entry in record.values()] == [0, 0, 0]
    divergences = [entry["cases"][baseline.stem]["divergences"][0] for entry in record.values()]
    for name, words in zip(
        names, ("accumulated micro-batches", "merged, the outputs", "saved"), strict=True
    ):
        assert record[name]["reached"]
        assert any(words in text for text in divergences), name
    assert "`adapters_not_saved`" in (tmp_path / "faults.md").read_text()


def test_a_fault_of_an_adapters_life_fails_its_check(tmp_path):
    name = "deleted_adapter_leaves_its_head"
    run.main(tmp_path / "record.json", [name], tmp_path / "folder")
    entry = json.loads((tmp_path / "record.json").read_text())["faults"][name]
    assert (entry["caught"], entry["gate"], entry["cases"]) == (0, None, {})
    head, pattern = entry["checks"].values()
    assert head.startswith("a deleted adapter must be gone from memory, tensors stay: ")
    assert pattern == ""
    assert json.loads((tmp_path / "folder" / "checks.json").read_text()) == dict.fromkeys(
        entry["checks"], ""
    )
    assert "The checks caught 1 of 1." in (tmp_path / "faults.md").read_text()


def test_a_check_that_fails_without_a_change_stops_the_run(monkeypatch, tmp_path):
    change = FAULTS["head_trains_at_inference"]

    def failing(folder, change, cases, checks=(), **_):
        return {"failures": dict.fromkeys(checks, "it is broken")}

    monkeypatch.setattr(run, "run", failing)
    with pytest.raises(SystemExit, match="to pass without a change, it fails: it is broken"):
        run.main(tmp_path / "record.json", [change.name], tmp_path)


@pytest.fixture
def two_faults(monkeypatch, tmp_path):
    """Replace the catalogue by two faults with made-up runs; return (fault, seeds) of each run."""
    chosen = {
        name: FAULTS[name] for name in ("micro_batches_weighted_alike", "merged_without_scale")
    }
    ran = []

    def made_up(folder, change, cases, checks=(), seeds=None, unchanged=False):
        if change is None:
            for case in cases:
                run._baseline(case, folder).parent.mkdir(parents=True, exist_ok=True)
                run._baseline(case, folder).touch()
            return {}
        ran.append((change.name, seeds))
        verdict = {
            "verdict": "undecided",
            "seeds": 8,
            "divergences": [],
            "notes": [],
            "comparisons": [],
            "costs": [],
        }
        return {
            "verdicts": {case.id: verdict for case in cases},
            "failures": {},
            "exit": 1,
            "reached": [],
            "broken": [],
        }

    monkeypatch.setattr(run, "changes", lambda: chosen)
    monkeypatch.setattr(run, "run", made_up)
    return ran


def test_a_run_continues_where_another_stopped(two_faults, tmp_path):
    file = tmp_path / "record.json"
    run.main(file, ["merged_without_scale"], tmp_path / "folder")
    run.main(file, [], tmp_path / "folder")
    assert two_faults == [
        (name, seeds)
        for name in ("merged_without_scale", "micro_batches_weighted_alike")
        for seeds in (1, None)
    ]
    assert len(json.loads(file.read_text())["faults"]) == 2


def test_an_undecided_case_is_recorded_as_open(two_faults, tmp_path):
    run.main(tmp_path / "record.json", ["merged_without_scale"], tmp_path / "folder")
    assert (
        json.loads((tmp_path / "record.json").read_text())["faults"]["merged_without_scale"][
            "caught"
        ]
        == "open"
    )


def test_an_unknown_change_is_refused(two_faults, tmp_path):
    with pytest.raises(SystemExit, match="'merging' is none: one of micro_batches_weighted_alike"):
        run.main(tmp_path / "record.json", ["merging"], tmp_path / "folder")


def test_a_run_without_an_upgrade_is_recorded_beside_the_run_with_one(two_faults, tmp_path):
    file, name = tmp_path / "record.json", "merged_without_scale"
    with pytest.raises(SystemExit, match=f"expected {name} on record with an upgrade first"):
        run.main(file, [name], tmp_path / "folder", unchanged=True)
    run.main(file, [name], tmp_path / "folder")
    run.main(file, [name], tmp_path / "folder", unchanged=True)
    run.main(file, [name], tmp_path / "folder")
    one = json.loads(file.read_text())["faults"][name]
    assert one["caught"] == one["unchanged"]["caught"] == "open"
    assert "| `merged_without_scale` |" in (tmp_path / "faults.md").read_text()

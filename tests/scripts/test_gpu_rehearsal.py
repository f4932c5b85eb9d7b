"""All of `make gpu` runs on a pretended GPU (tests/gpu_rehearsal.py)."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from scripts.gpu.pieces import PIECES
from tests.gpu_rehearsal import BROKEN
from tests.placement import NOT_PRETENDED

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def rehearsal(tmp_path_factory):
    """Rehearse; return the folder and what was printed."""
    folder = tmp_path_factory.mktemp("rehearsal")
    # The rehearsal's own sessions are neither workers nor tests of this one.
    environ = {name: text for name, text in os.environ.items() if not name.startswith("PYTEST_")}
    done = subprocess.run(
        [sys.executable, "-m", "tests.gpu_rehearsal", folder],
        cwd=ROOT,
        env=environ,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
    return folder, done.stdout


@pytest.fixture(scope="module")
def records(rehearsal):
    folder, _ = rehearsal
    return {
        name: json.loads((folder / "gpu" / "pretended-gpu" / f"{name}.json").read_text())
        for name in PIECES
    }


def failures(record):
    return {name: unit["failed"] for name, unit in record["units"].items() if "failed" in unit}


def test_every_piece_is_complete(records):
    assert not [name for name, record in records.items() if not record["complete"]]


def test_a_broken_method_is_told_and_gone_on_from(rehearsal, records):
    failed = failures(records["smoke"])
    assert {name.partition(",")[0] for name in failed} == {BROKEN, *NOT_PRETENDED}
    assert failed[f"{BROKEN}, bfloat16"] == "ArithmeticError: planted"
    assert f"{BROKEN}, bfloat16: ArithmeticError: planted" in rehearsal[1]


@pytest.mark.parametrize("name", [name for name in PIECES if name != "smoke"])
def test_nothing_fails_in_another_piece(records, name):
    assert records[name]["units"] and not failures(records[name])


def test_a_second_call_repeats_nothing(rehearsal):
    second = rehearsal[1].split("All units are on record.")[1]
    assert second.count("  0 units in ") == len(PIECES)


def test_fresh_processes_are_no_strangers_to_the_session(records):
    windows = [
        window
        for unit in records["timing"]["units"].values()
        for method in unit["values"]["windows"].values()
        for window in method
    ]
    assert windows
    assert not [window for window in windows if "another process" in window["disturbed"]]


def test_the_planted_fault_is_found(records):
    (fault,) = [unit for name, unit in records["faults"]["units"].items() if "copy" in name]
    assert "stray bytes" in fault["values"]["found by"]


def test_the_baselines_of_the_device_are_stored(rehearsal):
    folder = rehearsal[0] / "project" / "baselines" / "pretended-gpu"
    assert [file.parent.name for file in folder.rglob("*.json")] == ["tiny"]
    assert (folder / "constraints.txt").is_file()


def test_the_page_has_a_section_of_every_piece(rehearsal):
    page = (rehearsal[0] / "gpu.md").read_text()
    assert "## pretended-gpu" in page
    assert not [name for name in PIECES if f"\n### {name}: " not in page]

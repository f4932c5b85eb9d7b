"""Rehearse nights with nightly.yml's own steps: baselines, an upgrade with a fault, its end.

Each night is a session on the pretended GPU. The nights build on each other, so one test tells
their story.
"""

import json
import re

from pytest_ftcompare.gate.profiles import PROFILES
from tests.nightly import hub
from tests.nightly.rehearsal import DEVICE, FAULT, SHORT, Rehearsal

GATE = "Run the gate"


def test_the_hub_folder_has_the_profiles_models():
    profile = PROFILES["nightly"]
    assert set(hub.MODELS) == {*profile.models, *profile.bases.values()}


def test_nights_from_the_first_baselines_to_a_fault_and_its_end(tmp_path):
    rehearsal = Rehearsal(tmp_path, SHORT)
    rehearsal.kill_the_next_run()
    first = rehearsal.make_baselines()
    assert first.succeeded, first.output
    assert first.output[GATE].count("test session starts") == 2
    # A worker may finish its case after the session's end.
    assert re.search("resumes the run of .*, which finished [12] case", first.output[GATE])
    assert "2 cases: 2 new." in first.output[GATE]
    written = sorted((rehearsal.checkout / "baselines" / DEVICE).rglob("*.json"))
    assert [file.stem for file in written] == [
        "lora-cola-opt-125m-n16",
        "bitfit-mnli-opt-350m-n32",
    ]
    environment = json.loads(written[0].read_text())["environment"]
    assert environment["device"] == DEVICE
    # A run by hand with arguments says nothing in an issue.
    assert rehearsal.github_state()["issues"] == []

    version = rehearsal.upgrade_peft(FAULT)
    failed = rehearsal.runner.run()
    assert not failed.succeeded, failed.output
    (issue,) = rehearsal.github_state()["issues"]
    assert issue["state"] == "open"
    (text,) = issue["texts"]
    assert text.startswith("## ftcompare failed: 1 changed, 1 same of 2 cases\n")
    assert f"- peft {environment['peft']} -> {version}\n" in text
    assert "| outputs before any update |" in text
    assert "\n- changed: it computes something else than its baseline did" in text
    assert "actions/runs/2" in text
    assert "docs/nightly.md#a-regression" in text
    assert text.startswith(failed.summary.strip())

    rehearsal.git("revert", "--no-edit", "HEAD")
    repaired = rehearsal.runner.run()
    assert repaired.succeeded, repaired.output
    assert "2 cases: 2 same." in repaired.output[GATE]
    (issue,) = rehearsal.github_state()["issues"]
    assert (issue["state"], issue["texts"][1:]) == (
        "closed",
        ["Passed: https://github.example/us/gate/actions/runs/3"],
    )
    assert (tmp_path / "runner" / "home" / "ftcompare" / "history.sqlite").is_file()

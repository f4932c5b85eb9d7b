"""The process that prepares a case and times its work on request."""

import io
import json
from dataclasses import asdict
from pathlib import Path

import pytest

from pytest_ftcompare.gate.remote import PROTOCOL, RemoteProcess
from pytest_ftcompare.gate.serve import serve
from pytest_ftcompare.results.case import Case
from pytest_ftcompare.training.config import TrainingConfig

CASE = Case("quick", "lora", "pocket_sst", "pocket/opt-0.4m", 2, (("epochs", 2),))


def prepare(tmp_path):
    config = asdict(TrainingConfig("pocket")) | {"hub": None}
    return {"do": "prepare", "case": asdict(CASE), "config": config, "root": str(tmp_path)}


def answers(*requests):
    out = io.StringIO()
    serve(io.StringIO("".join(json.dumps(request) + "\n" for request in requests)), out)
    return [json.loads(line) for line in out.getvalue().splitlines()]


@pytest.fixture
def no_pause(monkeypatch):
    """Keep garbage collection on, which a server turns off in its own process."""
    from pytest_ftcompare.gate import serve

    monkeypatch.setattr(serve.gc, "disable", lambda: None)


def test_it_greets_with_its_protocol_and_answers_requests(tmp_path, no_pause):
    greeting, made, round_, probed, short, window = answers(
        prepare(tmp_path),
        {"do": "round", "piece": "step"},
        {"do": "probe"},
        {"do": "short_training"},
        {"do": "window", "seconds": 0.0},
    )
    assert greeting == {"protocol": PROTOCOL}
    assert made["pieces"] == ["step", "evaluation", "inference", "merged inference"]
    assert round_["seconds"] > 0
    assert set(round_) == {"seconds", "waited", "passed"}
    assert probed["probe"]["loss"] > 0
    assert isinstance(short["digest"], str)
    assert set(window["window"]["times"]) == set(made["pieces"])
    assert set(window["window"]["yardsticks"]) == {"kernels", "dispatch", "memory", "interpreter"}


def test_an_error_is_an_answer_and_the_next_request_is_served(tmp_path, no_pause):
    _, wrong, made = answers({"do": "round", "piece": "step"}, prepare(tmp_path))
    assert wrong["error"].startswith("AttributeError")
    assert made["pieces"]


def test_a_process_of_this_environment_times_a_case(tmp_path):
    with RemoteProcess() as process:
        made = process.prepare(CASE, TrainingConfig("pocket"), Path(tmp_path))
        assert process.pieces == made["pieces"]
        assert process.round("inference").seconds > 0


def test_library_objects_are_frozen_before_a_cases_objects_exist(tmp_path, monkeypatch):
    from pytest_ftcompare.measure import timer
    from pytest_ftcompare.training import prepare as prepare_module

    order = []
    monkeypatch.setattr(timer, "freeze_library_objects", lambda: order.append("freeze"))
    monkeypatch.setattr(prepare_module, "prepare", lambda *_: order.append("prepare"))
    answers(prepare(tmp_path))
    assert order == ["freeze", "prepare"]

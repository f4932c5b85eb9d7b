"""Another process that times: when it is refused as a reference, and how failures are reported."""

import json
import os
import sys
from pathlib import Path

import pytest

from pytest_ftcompare.gate import remote
from pytest_ftcompare.gate.remote import PROTOCOL, RemoteError, RemoteProcess, check_reference
from pytest_ftcompare.measure.cpu_contention import RoundTime

OURS = "{}.{}".format(*sys.version_info[:2])


@pytest.fixture
def interpreter(tmp_path):
    """Return a function that makes an interpreter which always runs the given program."""

    def make(program):
        file = tmp_path / "python"
        file.write_text(f"#!{sys.executable}\n{program}\n")
        file.chmod(0o755)
        return file

    return make


def says(**answer):
    return f"print({json.dumps(json.dumps(answer))}, flush=True)"


def test_this_interpreter_can_be_a_reference():
    check_reference(Path(sys.executable))


@pytest.mark.parametrize(
    ("program", "sentence"),
    [
        (says(python="3.9", protocol=1), f"expected Python {OURS}, as here, .* is Python 3.9"),
        (
            says(python=OURS, protocol=None),
            "has no pytest-ftcompare that can time: install it there",
        ),
        (says(python=OURS, protocol=99), f"expected protocol {PROTOCOL}, .* speaks 99"),
        ("print('hello')", "is no Python 3.11 or newer that runs"),
        ("raise SystemExit(3)", "is no Python 3.11 or newer that runs"),
    ],
)
def test_an_unsuitable_reference_is_refused_with_the_reason(interpreter, program, sentence):
    with pytest.raises(RemoteError, match=sentence):
        check_reference(interpreter(program))


def test_a_missing_reference_is_refused(tmp_path):
    with pytest.raises(RemoteError, match="there is none at"):
        check_reference(tmp_path / "none")


def test_a_process_of_another_protocol_is_refused_when_it_starts(interpreter):
    with pytest.raises(RemoteError, match=f"expected protocol {PROTOCOL}, .* speaks 2"):
        RemoteProcess(interpreter(says(protocol=2)))


@pytest.mark.parametrize(
    ("answer", "sentence"),
    [
        (
            "import sys; sys.exit('CUDA error: lost')",
            r"ended with status 1 at 'round' \(CUDA error: lost\)",
        ),
        ("print('Loading: 100 %', flush=True)", r"expected JSON from .*, got 'Loading: 100 %'"),
        (says(error="DataError: no rows"), "could not round: DataError: no rows"),
    ],
)
def test_a_missing_answer_is_reported_with_its_reason(interpreter, answer, sentence):
    program = f"{says(protocol=PROTOCOL)}\ninput()\n{answer}\ninput()"
    with RemoteProcess(interpreter(program)) as process, pytest.raises(RemoteError, match=sentence):
        process.round("step")


def test_many_warnings_do_not_block_the_process(interpreter):
    warns = "import sys; sys.stderr.write('a warning\\n' * 50_000)"
    program = f"{says(protocol=PROTOCOL)}\ninput()\n{warns}\n{says(seconds=0.5)}\ninput()"
    with RemoteProcess(interpreter(program)) as process:
        assert process.round("step") == RoundTime(0.5)


def test_a_reference_does_not_see_this_environments_libraries(interpreter, monkeypatch):
    monkeypatch.setenv("PYTHONPATH", "/somewhere")
    program = "import json, os; print(json.dumps({'protocol': os.environ.get('PYTHONPATH')}))"
    # The protocol is None, because PYTHONPATH was not passed on.
    with pytest.raises(RemoteError, match="can time"):
        RemoteProcess(interpreter(program))
    assert remote.PROTOCOL


@pytest.mark.parametrize("worker", [None, "gw0"])
def test_a_process_knows_the_session_that_it_belongs_to(interpreter, monkeypatch, worker):
    monkeypatch.delenv("FTCOMPARE_SESSION", raising=False)
    monkeypatch.delenv("PYTEST_XDIST_WORKER", raising=False)
    if worker:
        monkeypatch.setenv("PYTEST_XDIST_WORKER", worker)
    program = (
        f"import json, os; {says(protocol=PROTOCOL)}; input()\n"
        "print(json.dumps({'seconds': os.environ['FTCOMPARE_SESSION']}), flush=True)"
    )
    with RemoteProcess(interpreter(program)) as process:
        root = int(process.round("step").seconds)
    # Of an xdist worker, the controller is the root.
    assert root == (os.getppid() if worker else os.getpid())


def test_a_wrong_reference_ends_the_session_before_anything_runs(pytester):
    result = pytester.runpytest_inprocess(
        "-p", "pytest_ftcompare.plugin", "--ftcompare-reference=nowhere/python"
    )
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(
        ["*--ftcompare-reference: expected a Python interpreter, there is none at *nowhere/python*"]
    )


def test_a_process_that_hangs_is_killed(interpreter, monkeypatch):
    with RemoteProcess(interpreter(f"{says(protocol=PROTOCOL)}\ninput()\ninput()")) as process:
        monkeypatch.setattr(remote, "ANSWER_TIMEOUT", 0.1)
        with pytest.raises(
            RemoteError, match="did not answer 'round' within 0 seconds: it was ended"
        ):
            process.round("step")

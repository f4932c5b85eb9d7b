"""Start another process that times a case's work: a fresh one, or a reference's.

`serve.py` runs in that process. The two exchange lines of JSON through its standard input and
output: a greeting with the protocol's number, then an answer to each request. A failed request is
answered by an object with `error`. This module imports no torch, because the controller checks a
reference with it.
"""

from __future__ import annotations

import json
import os
import secrets
import subprocess
import sys
import tempfile
import threading
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any

from pytest_ftcompare.measure import host
from pytest_ftcompare.measure.cpu_contention import RoundTime
from pytest_ftcompare.results.case import Case

if TYPE_CHECKING:
    from pytest_ftcompare.training.config import TrainingConfig

PROTOCOL = 1  # version of requests and answers; raise it with an incompatible change
SERVER_MODULE = "pytest_ftcompare.gate.serve"
# Seconds in which an interpreter must report its version, chosen. A higher value waits longer for
# an interpreter that hangs.
VERSION_TIMEOUT = 30.0
# Seconds without an answer after which the process is killed, chosen: loading a model takes
# minutes. A higher value waits longer for a process that hangs.
ANSWER_TIMEOUT = 900.0
# A program that prints an interpreter's version and the protocol of its pytest-ftcompare.
VERSION_PROGRAM = """
import json, sys
try:
    from pytest_ftcompare.gate.remote import PROTOCOL as protocol
except ImportError:
    protocol = None
print(json.dumps({"python": "%d.%d" % sys.version_info[:2], "protocol": protocol}))
"""


class RemoteError(RuntimeError):
    """Another process cannot time; the message says why in one sentence."""


def check_reference(python: Path) -> None:
    """Raise `RemoteError` if the interpreter cannot be a reference."""
    if not python.is_file():
        raise RemoteError(f"expected a Python interpreter, there is none at {python}")
    answer = read_version(python)
    version = "{}.{}".format(*sys.version_info[:2])
    if answer["python"] != version:
        raise RemoteError(
            f"expected Python {version}, as here, {python} is Python {answer['python']}: "
            "make the reference's environment with this one's Python"
        )
    check_protocol(answer["protocol"], str(python))


def read_version(python: Path) -> dict[str, Any]:
    """Return an interpreter's version, `python`, and the `protocol` of its pytest-ftcompare."""
    try:
        process = subprocess.run(
            [str(python), "-P", "-c", VERSION_PROGRAM],
            env=variables_without_python_path(),
            capture_output=True,
            text=True,
            timeout=VERSION_TIMEOUT,
            check=True,
        )
        answer: dict[str, Any] = json.loads(process.stdout)
    except (OSError, subprocess.SubprocessError, ValueError) as error:
        raise RemoteError(f"{python} is no Python 3.11 or newer that runs ({error})") from None
    return answer


def check_protocol(protocol: object, python: str) -> None:
    """Raise `RemoteError` unless `protocol`, another process's, is the one of this module."""
    if protocol is None:
        raise RemoteError(
            f"{python} has no pytest-ftcompare that can time: install it there, this version "
            "or a worktree with --editable"
        )
    if protocol != PROTOCOL:
        raise RemoteError(
            f"expected protocol {PROTOCOL}, {python} speaks {protocol}: "
            "install this version of pytest-ftcompare there"
        )


def variables_without_python_path(**changes: str) -> dict[str, str]:
    """Return this process's environment without PYTHONPATH, so that each has its own libraries."""
    variables = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    return variables | changes


class RemoteProcess:
    """A process that prepares cases and times their work; leaving the context ends it."""

    def __init__(self, python: Path | None = None) -> None:
        """Start `python`, a reference's interpreter, or without it this one with its path."""
        self.python = str(python or sys.executable)
        # Times of one process share its effect.
        self.name = secrets.token_hex(4)
        changes = {host.SESSION_VARIABLE: str(host.session_root(os.environ))}
        if not python:
            changes["PYTHONPATH"] = os.pathsep.join(filter(None, sys.path))
        # The process would stop when an unread pipe is full; `close` closes the file.
        self._errors = tempfile.TemporaryFile()  # noqa: SIM115
        try:
            self._process = subprocess.Popen(
                [self.python, "-P", "-m", SERVER_MODULE],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=self._errors,
                text=True,
                env=variables_without_python_path(**changes),
            )
        except OSError as error:
            raise RemoteError(f"{self.python} does not start ({error.strerror})") from None
        self.pieces: list[str] = []
        try:
            check_protocol(self._read_answer("start").get("protocol"), self.python)
        except RemoteError:
            self.close()
            raise

    def __enter__(self) -> RemoteProcess:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Kill the process; it has nothing to save."""
        self._process.kill()
        self._process.communicate()
        self._errors.close()

    def prepare(self, case: Case, config: TrainingConfig, root: Path) -> dict[str, Any]:
        """Prepare the case's work in the process; `root` is the project's folder.

        Return the `fingerprint` of the experiment there, and the `pieces` of work to time.
        """
        self.pieces = []
        answer = self.request("prepare", case=asdict(case), config=_to_json(config), root=str(root))
        self.pieces = answer["pieces"]
        return answer

    def probe(self) -> dict[str, Any]:
        """Return the probe of the prepared case."""
        return dict(self.request("probe")["probe"])

    def short_training(self) -> str:
        """Return the digest of the prepared case's short training."""
        return str(self.request("short_training")["digest"])

    def round(self, piece: str) -> RoundTime:
        """Time one round of calls of a piece of work."""
        # Code of before 2026-11-30 reports no waits.
        return RoundTime(**self.request("round", piece=piece))

    def window(self, seconds: float) -> dict[str, Any]:
        """Take a window of the prepared case; return the fields of a `Window`."""
        return dict(self.request("window", seconds=seconds)["window"])

    def request(self, command: str, **arguments: Any) -> dict[str, Any]:
        """Send a request and return its answer; raise `RemoteError` if there is none."""
        assert self._process.stdin is not None
        try:
            self._process.stdin.write(json.dumps({"do": command, **arguments}) + "\n")
            self._process.stdin.flush()
        except OSError:
            # The process died; reading its answer reports that.
            pass
        return self._read_answer(command)

    def _read_answer(self, command: str) -> dict[str, Any]:
        line = self._read_line(command)
        try:
            answer: dict[str, Any] = json.loads(line)
        except ValueError:
            raise RemoteError(self._describe_end(command, line)) from None
        if "error" in answer:
            raise RemoteError(f"{self.python} could not {command}: {answer['error']}")
        return answer

    def _read_line(self, command: str) -> str:
        """Return the next line of output, "" if the process ended; kill one that hangs."""
        assert self._process.stdout is not None
        hung = threading.Event()

        def kill() -> None:
            hung.set()
            self._process.kill()

        timer = threading.Timer(ANSWER_TIMEOUT, kill)
        timer.daemon = True
        timer.start()
        try:
            line = self._process.stdout.readline()
        finally:
            timer.cancel()
        if hung.is_set() and not line:
            raise RemoteError(
                f"{self.python} did not answer '{command}' within {ANSWER_TIMEOUT:,.0f} seconds: "
                "it was ended"
            )
        return line

    def _describe_end(self, command: str, line: str) -> str:
        """Describe why the process gave no answer; `line` is what it printed instead."""
        if line:
            return f"expected JSON from {self.python}, got {line.strip()[:80]!r}"
        self._process.communicate()
        self._errors.seek(0)
        last_line = self._errors.read().decode(errors="replace").strip().rpartition("\n")[2]
        reason = f" ({last_line})" if last_line else ""
        return f"{self.python} ended with status {self._process.returncode} at '{command}'{reason}"


def _to_json(config: TrainingConfig) -> Mapping[str, Any]:
    fields = asdict(config)
    return fields | {"hub": str(config.hub) if config.hub else None}

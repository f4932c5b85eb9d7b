"""Another process that times a case's work: a fresh one of this environment, or one of a reference's.

`serve.py` is its other end. The two speak lines of JSON through its standard input and output: a
greeting with the protocol's number, then an answer to each request, an object with `error` where it
could not do what it was asked. Imports no torch, so the controller may check a reference with it.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import threading
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any

from pytest_ftcompare.results.case import Case

if TYPE_CHECKING:
    from pytest_ftcompare.training.config import TrainingConfig

PROTOCOL = 1  # of requests and answers; raise it when either end must know
MODULE = "pytest_ftcompare.gate.serve"
PATIENCE = 30.0  # seconds that an interpreter may take to say what it is
SILENCE = 900.0  # seconds without an answer after which the process is ended; loading a model takes some minutes
INTRODUCE = """
import json, sys
try:
    from pytest_ftcompare.gate.remote import PROTOCOL as protocol
except ImportError:
    protocol = None
print(json.dumps({"python": "%d.%d" % sys.version_info[:2], "protocol": protocol}))
"""


class RemoteError(RuntimeError):
    """Another process that cannot time; the message says why in one sentence."""


def check_reference(python: Path) -> None:
    """Raise `RemoteError` if the interpreter cannot serve as a reference of this one."""
    if not python.is_file():
        raise RemoteError(f"expected a Python interpreter, there is none at {python}")
    command = [str(python), "-P", "-c", INTRODUCE]
    try:
        done = subprocess.run(
            command,
            env=_environment(),
            capture_output=True,
            text=True,
            timeout=PATIENCE,
            check=True,
        )
        said = json.loads(done.stdout)
    except (OSError, subprocess.SubprocessError, ValueError) as error:
        raise RemoteError(f"{python} is no Python 3.11 or newer that runs ({error})") from None
    ours = "{}.{}".format(*sys.version_info[:2])
    if said["python"] != ours:
        raise RemoteError(
            f"expected Python {ours}, as here, {python} is Python {said['python']}: "
            "make the reference's environment with this one's Python"
        )
    check_protocol(said["protocol"], str(python))


def check_protocol(protocol: object, python: str) -> None:
    """Raise `RemoteError` unless the other end speaks this one's protocol."""
    if protocol is None:
        raise RemoteError(
            f"{python} has no pytest-ftcompare that can time: install it there, this version or a worktree with --editable"
        )
    if protocol != PROTOCOL:
        raise RemoteError(
            f"expected protocol {PROTOCOL}, {python} speaks {protocol}: install this version of pytest-ftcompare there"
        )


def _environment(**changes: str) -> dict[str, str]:
    """This process's, without what would put its libraries before another's."""
    kept = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    return kept | changes


class Remote:
    """A process that makes the work of cases and times it; a context, which ends the process."""

    def __init__(self, python: Path | None = None) -> None:
        """`python` is a reference's interpreter; without it, this one with its own path."""
        self.python = str(python or sys.executable)
        path = {} if python else {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
        # A pipe that nobody reads would stop the process when full; `close` closes the file.
        self._errors = tempfile.TemporaryFile()  # noqa: SIM115
        try:
            self._process = subprocess.Popen(
                [self.python, "-P", "-m", MODULE],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=self._errors,
                text=True,
                env=_environment(**path),
            )
        except OSError as error:
            raise RemoteError(f"{self.python} does not start ({error.strerror})") from None
        self.pieces: list[str] = []
        try:
            check_protocol(self._answer("start").get("protocol"), self.python)
        except RemoteError:
            self.close()
            raise

    def __enter__(self) -> Remote:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """End the process; it has nothing to save."""
        self._process.kill()
        self._process.communicate()
        self._errors.close()

    def prepare(self, case: Case, config: TrainingConfig, root: Path) -> dict[str, Any]:
        """Make the case's work; `root` is the project's folder. What its names mean there: the
        fingerprint of the experiment and the pieces that can be timed."""
        self.pieces = []
        said = self.ask("prepare", case=asdict(case), config=_plain(config), root=str(root))
        self.pieces = said["pieces"]
        return said

    def probe(self) -> dict[str, Any]:
        """The probe of the case that was prepared."""
        return dict(self.ask("probe")["probe"])

    def round(self, piece: str) -> float:
        """Seconds of one call of a piece, from one round of calls."""
        return float(self.ask("round", piece=piece)["seconds"])

    def window(self, seconds: float) -> dict[str, Any]:
        """A whole window of the case that was prepared, as a table of the fields of a `Window`."""
        return dict(self.ask("window", seconds=seconds)["window"])

    def ask(self, do: str, **request: Any) -> dict[str, Any]:
        """The answer to a request; `RemoteError` where there is none."""
        assert self._process.stdin is not None
        try:
            self._process.stdin.write(json.dumps({"do": do, **request}) + "\n")
            self._process.stdin.flush()
        except OSError:
            pass  # it has died: reading says so
        return self._answer(do)

    def _answer(self, do: str) -> dict[str, Any]:
        line = self._line(do)
        try:
            said: dict[str, Any] = json.loads(line)
        except ValueError:
            raise RemoteError(self._why_it_ended(do, line)) from None
        if "error" in said:
            raise RemoteError(f"{self.python} could not {do}: {said['error']}")
        return said

    def _line(self, do: str) -> str:
        """The next line of its output, "" where it ended; a process that hangs is ended."""
        assert self._process.stdout is not None
        hung = threading.Event()

        def end() -> None:
            hung.set()
            self._process.kill()

        patience = threading.Timer(SILENCE, end)
        patience.daemon = True
        patience.start()
        try:
            line = self._process.stdout.readline()
        finally:
            patience.cancel()
        if hung.is_set() and not line:
            raise RemoteError(
                f"{self.python} did not answer '{do}' within {SILENCE:,.0f} seconds: it was ended"
            )
        return line

    def _why_it_ended(self, do: str, line: str) -> str:
        if line:
            return f"expected JSON from {self.python}, it said {line.strip()[:80]!r}"
        self._process.communicate()
        self._errors.seek(0)
        last = self._errors.read().decode(errors="replace").strip().rpartition("\n")[2]
        because = f" ({last})" if last else ""
        return f"{self.python} ended with status {self._process.returncode} at '{do}'{because}"


def _plain(config: TrainingConfig) -> Mapping[str, Any]:
    fields = asdict(config)
    return fields | {"hub": str(config.hub) if config.hub else None}

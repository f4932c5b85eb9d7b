"""Serve a `remote.RemoteProcess`: prepare a case and time its work on request.

It runs as `python -m pytest_ftcompare.gate.serve` and ends with its standard input. Standard output
has only answers, because libraries' output goes to standard error.
"""

from __future__ import annotations

import gc
import json
import os
import sys
import time
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any, TextIO

from pytest_ftcompare.gate import project_config
from pytest_ftcompare.gate.remote import PROTOCOL
from pytest_ftcompare.results.case import Case

Answer = dict[str, Any]


class Server:
    """The prepared case, with a method for each request."""

    def __init__(self) -> None:
        self._root: Path | None = None

    def prepare(self, case: Answer, config: Answer, root: str) -> Answer:
        """Load the case's model and rows, and warm up its pieces of work."""
        from pytest_ftcompare.measure.reference_rounds import LocalSide
        from pytest_ftcompare.measure.timer import freeze_library_objects
        from pytest_ftcompare.training.config import TrainingConfig
        from pytest_ftcompare.training.prepare import prepare

        freeze_library_objects()
        self._register_project(Path(root))
        hub = Path(config["hub"]) if config["hub"] else None
        self._prepared = prepare(_make_case(case), TrainingConfig(**config | {"hub": hub}))
        self._side = LocalSide(self._prepared, time.perf_counter)
        gc.collect()
        # No collection may run within a round.
        gc.disable()
        return {"pieces": self._side.pieces, "fingerprint": self._prepared.fingerprint()}

    def _register_project(self, root: Path) -> None:
        """Register the tasks and methods of the project's pyproject.toml, once."""
        if self._root != root:
            project_config.read(root).register()
            self._root = root

    def probe(self) -> Answer:
        """Return the case's probe."""
        from pytest_ftcompare.checks.invariants import record_probe

        return {"probe": record_probe(self._prepared)[0]}

    def short_training(self) -> Answer:
        """Return the digest of the case's short training."""
        from pytest_ftcompare.training.short_training import digest_of_short_training

        return {"digest": digest_of_short_training(self._prepared, lambda *_: None)}

    def round(self, piece: str) -> Answer:
        """Time one round of a piece of work."""
        return asdict(self._side.round(piece))

    def window(self, seconds: float) -> Answer:
        """Take a window as the gate does."""
        from pytest_ftcompare.measure.timed_window import make_work, measure_window

        window, _ = measure_window(
            make_work(self._prepared), self._prepared.config.device, seconds, time.perf_counter
        )
        return {"window": asdict(window)}


def _make_case(fields: Answer) -> Case:
    options = tuple((name, _to_tuples(value)) for name, value in fields["options"])
    return Case(**fields | {"options": options})


def _to_tuples(value: Any) -> Any:
    return tuple(map(_to_tuples, value)) if isinstance(value, list) else value


def serve(requests: TextIO, answers: TextIO) -> None:
    """Answer each line of requests; an exception is an answer, too."""
    server = Server()
    commands: dict[str, Callable[..., Answer]] = {
        "prepare": server.prepare,
        "probe": server.probe,
        "short_training": server.short_training,
        "round": server.round,
        "window": server.window,
    }
    _send(answers, {"protocol": PROTOCOL})
    for line in requests:
        request = json.loads(line)
        try:
            answer = commands[request.pop("do")](**request)
        except Exception as error:
            answer = {"error": f"{type(error).__name__}: {error}"}
        _send(answers, answer)


def _send(answers: TextIO, answer: Answer) -> None:
    answers.write(json.dumps(answer) + "\n")
    answers.flush()


if __name__ == "__main__":
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    private = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    from pytest_ftcompare.training.library_logging import quiet

    quiet()
    serve(sys.stdin, private)

"""The process at the other end of `remote.Remote`: makes the work of a case and times it on request.

Run as `python -m pytest_ftcompare.gate.serve`; ends with its standard input. What libraries print
goes to standard error, so that standard output has answers alone.
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
    """The case at hand, and what can be asked of it."""

    def __init__(self) -> None:
        self._root: Path | None = None

    def prepare(self, case: Answer, config: Answer, root: str) -> Answer:
        """Read the case's model and rows, and make its pieces of work, warm."""
        from pytest_ftcompare.measure.reference_rounds import LocalSide
        from pytest_ftcompare.training.config import TrainingConfig
        from pytest_ftcompare.training.prepare import prepare

        self._add(Path(root))
        hub = Path(config["hub"]) if config["hub"] else None
        self._prepared = prepare(_case(case), TrainingConfig(**config | {"hub": hub}))
        self._here = LocalSide(self._prepared, time.perf_counter)
        gc.collect()
        gc.disable()  # not in the middle of a round
        return {"pieces": self._here.pieces, "fingerprint": self._prepared.fingerprint()}

    def _add(self, root: Path) -> None:
        """Once, what the project's pyproject.toml adds."""
        if self._root != root:
            project_config.read(root).add()
            self._root = root

    def probe(self) -> Answer:
        """What the case computes."""
        from pytest_ftcompare.checks.invariants import inspect

        return {"probe": inspect(self._prepared)[1]}

    def round(self, piece: str) -> Answer:
        """One round of a piece."""
        return {"seconds": self._here.round(piece)}

    def window(self, seconds: float) -> Answer:
        """One window, as the gate takes it."""
        from pytest_ftcompare.measure.timed_window import make_work, take

        window, _ = take(
            make_work(self._prepared), self._prepared.config.device, seconds, time.perf_counter
        )
        return {"window": asdict(window)}


def _case(fields: Answer) -> Case:
    options = tuple((name, _frozen(value)) for name, value in fields["options"])
    return Case(**fields | {"options": options})


def _frozen(value: Any) -> Any:
    return tuple(map(_frozen, value)) if isinstance(value, list) else value


def serve(requests: TextIO, answers: TextIO) -> None:
    """Answer each line; what goes wrong is an answer of its own."""
    server = Server()
    do: dict[str, Callable[..., Answer]] = {
        "prepare": server.prepare,
        "probe": server.probe,
        "round": server.round,
        "window": server.window,
    }
    _say(answers, {"protocol": PROTOCOL})
    for line in requests:
        request = json.loads(line)
        try:
            answer = do[request.pop("do")](**request)
        except Exception as error:
            answer = {"error": f"{type(error).__name__}: {error}"}
        _say(answers, answer)


def _say(answers: TextIO, answer: Answer) -> None:
    answers.write(json.dumps(answer) + "\n")
    answers.flush()


if __name__ == "__main__":
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    private = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    from pytest_ftcompare.training.library_logging import quiet

    quiet()
    serve(sys.stdin, private)

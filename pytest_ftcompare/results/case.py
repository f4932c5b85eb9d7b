"""Define a case: a method on a task, with a model, shots and options."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

Options = tuple[tuple[str, Any], ...]
ENGINES = ("loop", "trainer")  # this project's own loop, and transformers.Trainer


@dataclass(frozen=True)
class Case:
    """One (method, task, model, shots, options) of a suite.

    `options` override fields of the recipe or set options of the method; `output_mode` and `engine`
    are options too. `judge_accuracy=False` declares that the case has no headroom: its accuracy is
    shown, but not judged. A `timed` case carries the cost of its method for its suite.
    """

    suite: str
    method: str
    task: str
    model: str
    shots: int
    options: Options = ()
    judge_accuracy: bool = True
    timed: bool = False

    @property
    def id(self) -> str:
        """The test's id, and the baseline's file name without its ending."""
        changed = "".join(f"-{name}={value}" for name, value in self.options)
        return f"{self.method}-{self.task}-{self.model.rsplit('/', 1)[-1]}-n{self.shots}{changed}"

    @property
    def output_mode(self) -> str | None:
        """The output mode, None for the method's first."""
        return dict(self.options).get("output_mode")

    @property
    def engine(self) -> str:
        """The engine that trains the case, one of `ENGINES`."""
        return str(dict(self.options).get("engine", ENGINES[0]))

    def identity(self) -> dict[str, Any]:
        """Return what two results of one experiment share, besides data and base weights."""
        return {
            "method": self.method,
            "task": self.task,
            "model": self.model,
            "shots": self.shots,
            "options": dict(self.options),
        }

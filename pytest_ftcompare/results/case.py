"""A case: what is compared, frozen, and by which name. Knows neither torch nor pytest."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

Options = tuple[tuple[str, Any], ...]
ENGINES = ("loop", "trainer")  # this project's own loop, and transformers.Trainer


@dataclass(frozen=True)
class Case:
    """One (method, task, model, shots, options) of a suite.

    `options` override the method's recipe, by field or by its own option names; the option `ask` says in which of the
    method's ways the model is asked, the option `engine` what trains it. `judge_accuracy=False` declares that the case has
    no headroom: its accuracy is shown, never judged. A `timed` case carries the cost of its method for its suite.
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
        """The test's id and the baseline's file name."""
        changed = "".join(f"-{name}={value}" for name, value in self.options)
        return f"{self.method}-{self.task}-{self.model.rsplit('/', 1)[-1]}-n{self.shots}{changed}"

    @property
    def output_mode(self) -> str | None:
        """The way of asking, None for the method's first."""
        return dict(self.options).get("output_mode")

    @property
    def engine(self) -> str:
        """What trains the case, one of `ENGINES`."""
        return str(dict(self.options).get("engine", ENGINES[0]))

    def identity(self) -> dict[str, Any]:
        """What makes two results the same experiment, besides the data's and base model's content."""
        return {
            "method": self.method,
            "task": self.task,
            "model": self.model,
            "shots": self.shots,
            "options": dict(self.options),
        }

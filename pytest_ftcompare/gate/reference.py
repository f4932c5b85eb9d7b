"""Say which interpreter is the reference of a case: a given one.

remade_reference.py makes one from the baseline instead.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from pytest_ftcompare.gate.run_context import ReportStatus
from pytest_ftcompare.results.result import Result


class Reference(Protocol):
    """Another environment, whose process is timed in turn with this one's.

    Its text is the value of --ftcompare-reference.
    """

    def python_for(self, baseline: Result, report_status: ReportStatus) -> Path:
        """Return the interpreter that stands for a baseline; raise `RemoteError` without one."""


@dataclass(frozen=True)
class GivenReference:
    """An interpreter that the user names, for all cases."""

    python: Path

    def __str__(self) -> str:
        return str(self.python)

    def python_for(self, baseline: Result, report_status: ReportStatus) -> Path:
        return self.python

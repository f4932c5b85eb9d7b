"""Remember the last status of a case, which tells where an error came.

`out_of_memory.py` and `gpu_failure.py` name it in their sentences.
"""

from __future__ import annotations

from collections.abc import Callable


class LastStatus:
    """Passes each status on to `report`; `text` is the last one."""

    def __init__(self, report: Callable[[str], None]) -> None:
        self._report = report
        self.text = "loading"

    def __call__(self, text: str) -> None:
        self.text = text
        self._report(text)

"""A plugin that holds each case back until the terminal display has tried to draw its line.

So what a test sees does not depend on how fast the case is.
"""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

from pytest_ftcompare.gate import worker_status
from pytest_ftcompare.plugin.live_display import Display, TerminalDisplay
from pytest_ftcompare.results import atomic_write

FILE = "drawn.json"
BEGINS = '"loading"]'  # end of the first status of a case
LOOK = 0.005  # seconds between two checks of what was drawn
GUARD = 300  # seconds after which a display is taken to hang

write, draw, begin = worker_status.WorkerStatus._write, TerminalDisplay.draw, Display.__init__


def _leave(folder: Path, drawn: Any) -> None:
    atomic_write.write(folder / FILE, json.dumps(drawn), lasting=False)


def drawn_and_left(self: TerminalDisplay, lines: list[list[str]]) -> None:
    """Draw, and store the lines on the screen, or None if the screen cannot show any."""
    try:
        draw(self, lines)
    except (OSError, ValueError):
        _leave(self.progress.folder, None)
        raise
    _leave(self.progress.folder, lines)


def written_and_drawn(self: worker_status.WorkerStatus, file: Path, text: str) -> None:
    write(self, file, text)
    looks = 0
    while text.endswith(BEGINS) and _misses(self.folder, json.loads(text)):
        time.sleep(LOOK)
        looks += 1
        assert looks * LOOK < GUARD, f"not drawn: {text}"


def _misses(folder: Path, line: list[str]) -> bool:
    """Return whether a display exists that has not drawn the line yet."""
    if not (folder / FILE).exists():
        return False
    drawn = json.loads((folder / FILE).read_text())
    return drawn is not None and line not in drawn


def begun(self: Display, *arguments: Any) -> None:
    _leave(arguments[1].folder, [])
    begin(self, *arguments)


worker_status.WorkerStatus._write, TerminalDisplay.draw, Display.__init__ = (
    written_and_drawn,
    drawn_and_left,
    begun,
)

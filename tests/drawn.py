"""A plugin for sessions on a terminal: a case begins when the display has tried to draw its line.

So what is seen does not depend on how fast the case is beside the display's own period.
"""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

from pytest_ftcompare import atomic, told
from pytest_ftcompare.live import Display, Live

FILE = "drawn.json"
BEGINS = '"loading"]'  # the end of what a case tells first
LOOK = 0.005  # seconds between two looks at what was drawn
GUARD = 300  # seconds after which a display is taken to hang

write, draw, begin = told.Told._write, Live.draw, Display.__init__


def _leave(folder: Path, drawn: Any) -> None:
    atomic.write(folder / FILE, json.dumps(drawn), lasting=False)


def drawn_and_left(self: Live, lines: list[list[str]]) -> None:
    """Leave the lines that are on the screen, or None where it cannot show any."""
    try:
        draw(self, lines)
    except (OSError, ValueError):
        _leave(self.progress.folder, None)
        raise
    _leave(self.progress.folder, lines)


def written_and_drawn(self: told.Told, file: Path, text: str) -> None:
    write(self, file, text)
    looks = 0
    while text.endswith(BEGINS) and _misses(self.folder, json.loads(text)):
        time.sleep(LOOK)
        looks += 1
        assert looks * LOOK < GUARD, f"not drawn: {text}"


def _misses(folder: Path, line: list[str]) -> bool:
    """Whether there is a display which has not drawn the line yet."""
    if not (folder / FILE).exists():
        return False
    drawn = json.loads((folder / FILE).read_text())
    return drawn is not None and line not in drawn


def begun(self: Display, *arguments: Any) -> None:
    _leave(arguments[1].folder, [])
    begin(self, *arguments)


told.Told._write, Live.draw, Display.__init__ = written_and_drawn, drawn_and_left, begun

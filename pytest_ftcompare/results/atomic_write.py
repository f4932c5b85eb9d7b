"""Files that are whole or not there at all, also after a machine goes down."""

from __future__ import annotations

import os
from pathlib import Path


def write(path: Path, text: str, *, lasting: bool = True) -> None:
    """Write `text` to `path` in one move; a reader meets the old file or the new one. `lasting` waits for the disk."""
    part = path.with_name(f".{path.name}.{os.getpid()}.part")
    with part.open("w", encoding="utf-8") as file:
        file.write(text)
        if lasting:
            file.flush()
            os.fsync(file.fileno())
    os.replace(part, path)

"""Write a file completely or not at all, even if the machine goes down."""

from __future__ import annotations

import os
from pathlib import Path


def write(path: Path, text: str, *, lasting: bool = True) -> None:
    """Write `text` to `path` atomically: a reader sees the old file or the new one.

    `lasting` waits until the disk has it.
    """
    part = path.with_name(f".{path.name}.{os.getpid()}.part")
    with part.open("w", encoding="utf-8") as file:
        file.write(text)
        if lasting:
            file.flush()
            os.fsync(file.fileno())
    os.replace(part, path)

"""Write a session's document as HTML, Markdown or JSON, by the ending of the file.

`plugin` calls it for `--ftcompare-report`, and the command `report` for a stored document.
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Callable, Iterable
from pathlib import Path

from pytest_ftcompare.results import atomic_write
from pytest_ftcompare.results.result import Json


class ReportError(ValueError):
    """A report cannot be written; the message says what was expected and what to do."""


def _html(document: Json) -> str:
    from pytest_ftcompare.report.page.render import render

    return render(document)


def _markdown(document: Json) -> str:
    from pytest_ftcompare.report.markdown import render

    return render(document)


def _json(document: Json) -> str:
    return f"{json.dumps(document, indent=1)}\n"


RENDERINGS: dict[str, Callable[[Json], str]] = {".html": _html, ".md": _markdown, ".json": _json}


def check(paths: Iterable[Path]) -> None:
    """Raise `ReportError` for a path that cannot be written, before hours of training."""
    for path in paths:
        if path.suffix not in RENDERINGS:
            known = ", ".join(RENDERINGS)
            raise ReportError(
                f"--ftcompare-report: expected a file that ends in one of {known}, "
                f"got {path.name!r}"
            )
        if path.is_dir():
            raise ReportError(
                f"--ftcompare-report: expected a file, {path} is a folder: name a file in it"
            )
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryFile(dir=path.parent):
                pass
        except OSError as error:
            raise ReportError(
                f"--ftcompare-report: {path} cannot be written ({error.strerror}): "
                "make its folder writable, or name another"
            ) from None


def write(path: Path, document: Json) -> None:
    """Write one report, whole or not at all; raise OSError where that fails."""
    atomic_write.write(path, RENDERINGS[path.suffix](document))

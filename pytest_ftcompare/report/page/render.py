"""A session's document as one HTML page without network access: what a maintainer opens in the morning (docs/report.md).

Banner, tables, claims and audits stand in the HTML itself and need no script; scripts sort and filter the table, draw plots and
show a case. The figures behind those and the plotting library are packed: compressed, which browsers undo without a network.
The page's policy lets run the page's own two scripts, known by their digests, and nothing else, whatever a case is called.
"""

from __future__ import annotations

import base64
import gzip
import hashlib
import json
from functools import cache
from pathlib import Path
from typing import Any

import jinja2

from pytest_ftcompare.report.page import wording
from pytest_ftcompare.results.result import Json

FOLDER = Path(__file__).parent
# In the order in which they are read: what a later one uses stands in an earlier one.
SCRIPTS = (
    "dom",
    "format",
    "packed",
    "table",
    "figure",
    "scatter",
    "shots",
    "runs",
    "history",
    "case",
    "start",
)
DIGITS = 6  # significant ones of a figure that only a plot or a rounded cell shows


def render(document: Json) -> str:
    """The page of a document (`document.py`), in UTF-8 once written; equal documents give equal pages."""
    shown = _visible(document)
    script = "\n".join((FOLDER / f"{name}.js").read_text() for name in SCRIPTS)
    library, digest = _plotly()
    return _template().render(
        document=shown,
        words=wording,
        style=(FOLDER / "page.css").read_text(),
        script=script,
        data=_packed(
            json.dumps(
                {"cases": [_drawn(one) for one in shown["cases"]], "history": shown["history"]}
            )
        ),
        library=library,
        policy=f"default-src 'none'; style-src 'unsafe-inline'; img-src data:; script-src {_digest(script)} {digest}",
    )


@cache
def _template() -> jinja2.Template:
    environment = jinja2.Environment(
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=jinja2.StrictUndefined,
        loader=jinja2.FileSystemLoader(FOLDER),
    )
    return environment.get_template("page.html.j2")


@cache
def _plotly() -> tuple[str, str]:
    """The plotting library, packed, and its digest: half a second, once."""
    from plotly.offline import get_plotlyjs  # only a page needs it

    source = get_plotlyjs()
    return _packed(source), _digest(source)


def _packed(text: str) -> str:
    """Text as gzip in base64: for an HTML element of its own, in which no character can end it."""
    return base64.b64encode(gzip.compress(text.encode(), 9, mtime=0)).decode()


def _digest(script: str) -> str:
    """A script as a content security policy names it."""
    return f"'sha256-{base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()}'"


def _drawn(case: Json) -> Json:
    """What scripts show of a case: all but the environment that its baseline had, of which `changes` tells."""
    before = case["baseline"]
    return case | {
        "baseline": before and {"seed_results": before["seed_results"]},
        "identical": wording.identical(case),
    }


def _visible(value: Any) -> Any:
    """The document with control, formatting and half characters written out as `\\x1b`, and no more digits than it takes."""
    if isinstance(value, str):
        if value.isprintable():
            return value
        return "".join(
            c if c.isprintable() or c == "\n" else c.encode("unicode_escape").decode()
            for c in value
        )
    if isinstance(value, float):
        return float(f"{value:.{DIGITS}g}")
    if isinstance(value, dict):
        return {_visible(name): _visible(one) for name, one in value.items()}
    return [_visible(one) for one in value] if isinstance(value, list) else value

"""Render a session's document as one HTML page that needs no network (docs/report.md).

`report/formats.py` calls `render`. The HTML holds the banner, tables, claims and audits. Scripts
sort and filter the table, draw plots and show a case. Their data and the plotting library are
compressed; the browser unpacks them. The content security policy allows only the page's own two
scripts, by digest, so that no case name can run code.
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

from pytest_ftcompare.report.page import contents
from pytest_ftcompare.report.wording import allowance_lines, case_of
from pytest_ftcompare.results.result import Json

FOLDER = Path(__file__).parent
# The page runs them in this order; a script may use earlier ones.
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
# Significant digits of the page's numbers (chosen). More make the page larger.
DIGITS = 6


def render(document: Json) -> str:
    """Return the page of a document (`document.py`). Equal documents give equal pages."""
    printable = _printable(document)
    script = "\n".join((FOLDER / f"{name}.js").read_text() for name in SCRIPTS)
    library, digest = _plotly()
    data = {
        "cases": [_script_case(case) for case in printable["cases"]],
        "history": printable["history"],
        "cost_metrics": {"memory": contents.MEMORY_METRICS, "step": contents.STEP_METRICS},
    }
    return _template().render(
        document=printable,
        words=contents,
        style=(FOLDER / "page.css").read_text(),
        script=script,
        data=_packed(json.dumps(data)),
        library=library,
        policy=(
            "default-src 'none'; style-src 'unsafe-inline'; img-src data:; "
            f"script-src {_digest(script)} {digest}"
        ),
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
    """Return the packed plotting library and its digest. Takes half a second, once."""
    # Here, because only a page needs it.
    from plotly.offline import get_plotlyjs

    source = get_plotlyjs()
    return _packed(source), _digest(source)


def _packed(text: str) -> str:
    """Return text as gzip in base64, so that it cannot end its HTML element."""
    return base64.b64encode(gzip.compress(text.encode(), 9, mtime=0)).decode()


def _digest(script: str) -> str:
    """Return a script's digest as a content security policy states it."""
    return f"'sha256-{base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()}'"


def _script_case(case: Json) -> Json:
    """Return the case for the scripts, without its baseline's environment: `changes` has it."""
    before = case["baseline"]
    return case | {
        "baseline": before and {"seed_results": before["seed_results"]},
        "identical": contents.identical(case),
        "allowance_lines": list(allowance_lines(case_of(case))),
    }


def _printable(value: Any) -> Any:
    """Return the value with unprintable characters as `\\x1b` and numbers of `DIGITS` digits."""
    if isinstance(value, str):
        if value.isprintable():
            return value
        return "".join(
            character
            if character.isprintable() or character == "\n"
            else character.encode("unicode_escape").decode()
            for character in value
        )
    if isinstance(value, float):
        return float(f"{value:.{DIGITS}g}")
    if isinstance(value, dict):
        return {_printable(name): _printable(item) for name, item in value.items()}
    return [_printable(item) for item in value] if isinstance(value, list) else value

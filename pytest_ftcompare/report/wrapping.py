"""Sentences, and a table's rows on a terminal that is too narrow for them, over as many lines as they take."""

from __future__ import annotations

import re
import textwrap

WIDTH = 80
TOGETHER = re.compile(
    r"(?<=\S) (?=± |(pt|s|ms|min|MiB|seeds?)\b)|(?<=±) "
)  # a mean and its spread, a number and its unit
HARD = "\N{NO-BREAK SPACE}"


def wrapped(text: str, width: int = WIDTH) -> list[str]:
    """A sentence over lines of `width`, the later ones further in; a longer word, such as a case's id, stays whole."""
    indent = text[: len(text) - len(text.lstrip())]
    hard = TOGETHER.sub(HARD, text)
    lines = textwrap.wrap(
        hard, width, subsequent_indent=f"{indent}  ", break_on_hyphens=False, break_long_words=False
    )
    return [line.replace(HARD, " ") for line in lines]


def fitted(line: str, width: int) -> list[str]:
    """A line, a sentence or a table's row, as it is where it fits the terminal and 80 columns, or over several."""
    width = min(width, WIDTH)
    if len(line) <= width:
        return [line]
    return wrapped(re.sub("(?<=\\S) {2,}", "  ", line), width)

"""Wrap sentences, and the rows of tables on a terminal that is too narrow for them."""

from __future__ import annotations

import re
import textwrap

WIDTH = 80
# Spaces that do not break: between a mean and its spread, between a number and its unit.
TOGETHER = re.compile(r"(?<=\S) (?=± |(pt|s|ms|min|MiB|seeds?)\b)|(?<=±) ")
HARD = "\N{NO-BREAK SPACE}"


def wrapped(text: str, width: int = WIDTH) -> list[str]:
    """Wrap a sentence and indent its later lines; a long word, such as a case's id, stays whole."""
    indent = text[: len(text) - len(text.lstrip())]
    hard = TOGETHER.sub(HARD, text)
    lines = textwrap.wrap(
        hard, width, subsequent_indent=f"{indent}  ", break_on_hyphens=False, break_long_words=False
    )
    return [line.replace(HARD, " ") for line in lines]


def fitted(line: str, width: int) -> list[str]:
    """Fit a sentence or a table's row into the terminal and 80 columns, over several lines."""
    width = min(width, WIDTH)
    if len(line) <= width:
        return [line]
    return wrapped(re.sub("(?<=\\S) {2,}", "  ", line), width)

"""Sentences over as many lines as they take; rows made for 80 columns on a terminal that has fewer."""

from __future__ import annotations

import re
import textwrap

WIDTH = 80
TOGETHER = re.compile(r"(?<=\S) (?=± |(pt|s|ms|MiB|seeds?)\b)|(?<=±) ")  # a mean and its spread, a number and its unit
HARD = "\N{NO-BREAK SPACE}"


def wrapped(text: str, width: int = WIDTH) -> list[str]:
    """A sentence over lines of `width`, the later ones further in; a longer word, such as a case's id, stays whole."""
    indent = text[: len(text) - len(text.lstrip())]
    return textwrap.wrap(text, width, subsequent_indent=f"{indent}  ", break_on_hyphens=False, break_long_words=False)


def fitted(line: str, width: int) -> list[str]:
    """A line of the summary as it is, or where the terminal is narrower over several, broken between columns."""
    if width >= WIDTH or len(line) <= width:
        return [line]
    words = TOGETHER.sub(HARD, line.rstrip())
    indent = words[: len(words) - len(words.lstrip())]
    columns = re.sub(" {2,}", "  ", words.lstrip())
    return [one.replace(HARD, " ") for one in wrapped(indent + columns, width)]

"""Make text of others harmless in GitHub's Markdown, whatever characters it has.

`markdown.py` and `github.py` pass every name, note and error through here.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence

MAX_LENGTH = 300  # characters of a text; chosen: longer than any of this project's sentences
# Characters that a code span shows as they are.
PLAIN = re.compile(r"[\w .,:;/=+\-\[\]()'\"%<>→±×−…{}!?*@#$&^]+")
# A space without width, after which GitHub sees no mention and no number of an issue.
ZERO_WIDTH_SPACE = "&#8203;"


def clean(text: str, most: int = MAX_LENGTH) -> str:
    """Return one line of at most `most` characters, without control and format characters."""
    # Cut first: a text may be megabytes long, and cleaning shortens it.
    characters = (_visible(character) for character in text[: 9 * most])
    line = re.sub(" +", " ", "".join(characters)).strip()
    return line if len(line) <= most else f"{line[: most - 1]}…"


def _visible(character: str) -> str:
    if character.isspace():
        return " "
    is_invisible = unicodedata.category(character) in ("Cc", "Cf", "Cs")
    return "\N{REPLACEMENT CHARACTER}" if is_invisible else character


def code(text: str) -> str:
    """Write a name as code, in which GitHub sees no markup and no mention; fits a table's cell."""
    text = clean(text) or " "
    if PLAIN.fullmatch(text):
        return f"`{text}`"
    escaped = (
        character if character.isalnum() or character in " -." else f"&#{ord(character)};"
        for character in text
    )
    return f"<code>{''.join(escaped)}</code>"


def prose(text: str) -> str:
    """Write a sentence without markup, HTML, mentions or issue links; fits a table's cell."""
    text = clean(text)
    for character, entity in (("&", "&amp;"), ("<", "&lt;"), ("|", "&#124;"), ("$", "&#36;")):
        text = text.replace(character, entity)
    text = re.sub(r"([\\`*\[\]~])", r"\\\1", text)
    text = re.sub(r"(?<![A-Za-z0-9])_|_(?![A-Za-z0-9])", r"\\_", text)  # harmless within a word
    text = re.sub(r"@(?=\w)", f"@{ZERO_WIDTH_SPACE}", text)
    text = re.sub(r"(?<!&)#(?=\w)", f"#{ZERO_WIDTH_SPACE}", text)
    text = re.sub(r"(?i)\b(GH-)(?=\d)", rf"\1{ZERO_WIDTH_SPACE}", text)
    text = re.sub(r"(?i)(https?:|www\.)(?=\S)", rf"\1{ZERO_WIDTH_SPACE}", text)
    return re.sub(r"^([#>+=-]|\d+(?=[.)]))", _escaped_start, text)


def _escaped_start(match: re.Match[str]) -> str:
    """Escape what would begin a heading, a quotation or a list."""
    start = match[0]
    return f"{start}\\" if start.isdigit() else f"\\{start}"


def fence(lines: Sequence[str]) -> str:
    """Return a fence for a code block that none of its lines can end."""
    longest = max((len(ticks) for line in lines for ticks in re.findall("`+", line)), default=0)
    return "`" * max(3, longest + 1)

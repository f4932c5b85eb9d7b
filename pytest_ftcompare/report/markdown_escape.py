"""Text of others made harmless in GitHub's Markdown: names, notes and errors stay text, whatever characters are in them."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence

LONG = 300  # characters of a text, after which it is cut
PLAIN = re.compile(
    r"[\w .,:;/=+\-\[\]()'\"%<>→±×−{}!?*@#$&^]+"
)  # characters that a code span holds as they are
APART = (
    "&#8203;"  # a space without width, after which GitHub sees no name and no number of an issue
)


def clean(text: str, most: int = LONG) -> str:
    """One line without control, format and lone surrogate characters, at most so long."""
    kept = "".join(
        " " if one.isspace() else "\N{REPLACEMENT CHARACTER}" if _unseen(one) else one
        for one in text[: 9 * most]
    )
    kept = re.sub(" +", " ", kept).strip()
    return kept if len(kept) <= most else f"{kept[: most - 1]}…"


def _unseen(character: str) -> bool:
    return unicodedata.category(character) in ("Cc", "Cf", "Cs")


def code(text: str) -> str:
    """A name as code, in which GitHub looks for neither markup nor mentions; also in a table's cell."""
    text = clean(text) or " "
    if PLAIN.fullmatch(text):
        return f"`{text}`"
    return f"<code>{''.join(one if one.isalnum() or one in ' -.' else f'&#{ord(one)};' for one in text)}</code>"


def prose(text: str) -> str:
    """A sentence as text: no markup, no HTML, no mention, no reference to an issue; also in a table's cell."""
    text = (
        clean(text)
        .replace("&", "&amp;")
        .replace("<", "&lt;")
        .replace("|", "&#124;")
        .replace("$", "&#36;")
    )
    text = re.sub(r"([\\`*\[\]~])", r"\\\1", text)
    text = re.sub(r"(?<![A-Za-z0-9])_|_(?![A-Za-z0-9])", r"\\_", text)  # within a word it is none
    text = re.sub(r"@(?=\w)", f"@{APART}", text)
    text = re.sub(r"(?<!&)#(?=\w)", f"#{APART}", text)
    text = re.sub(r"(?i)\b(GH-)(?=\d)", rf"\1{APART}", text)
    text = re.sub(r"(?i)(https?:|www\.)(?=\S)", rf"\1{APART}", text)
    return re.sub(
        r"^([#>+=-]|\d+(?=[.)]))",
        lambda found: f"{found[0]}\\" if found[0].isdigit() else f"\\{found[0]}",
        text,
    )


def fence(lines: Sequence[str]) -> str:
    """What a block of these lines stands between, so that none of them ends it."""
    longest = max((len(one) for line in lines for one in re.findall("`+", line)), default=0)
    return "`" * max(3, longest + 1)

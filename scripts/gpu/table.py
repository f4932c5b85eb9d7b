"""A table that is printed on the terminal and on docs/gpu.md."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

WIDTH = 80  # columns of a terminal


@dataclass(frozen=True)
class Table:
    """A title, the names of the columns, and rows of texts."""

    title: str
    columns: Sequence[str]
    rows: Sequence[Sequence[str]]

    def markdown(self) -> Iterator[str]:
        """Yield lines of Markdown."""
        yield f"{self.title}:\n"
        yield f"| {' | '.join(self.columns)} |"
        yield f"| {' | '.join('---' for _ in self.columns)} |"
        for row in self.rows:
            yield f"| {' | '.join(cell.replace('|', '/') for cell in row)} |"

    def lines(self) -> Iterator[str]:
        """Yield lines for a terminal; the last column is cut if there is no room for it."""
        cells = [self.columns, *self.rows]
        widths = [max(len(row[column]) for row in cells) for column in range(len(self.columns))]
        yield f"  {self.title}"
        for row in cells:
            line = "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True))
            yield cut(f"    {line}".rstrip())


def cut(line: str) -> str:
    """Return a line that fits into a terminal."""
    return line if len(line) <= WIDTH else f"{line[: WIDTH - 3]}..."

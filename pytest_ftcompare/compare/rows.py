"""Which rows of a project's data are not those of the baseline: a line for each split, from short
digests of the rows."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence

RowDigests = Mapping[str, str]  # split -> the `row_digest` of each row, parted by blanks


def describe_row_changes(
    old: RowDigests, new: RowDigests, texts: Mapping[str, Sequence[str]]
) -> Iterator[str]:
    """What became of each split's rows; `texts` are those of the new ones."""
    for split in new:
        if split not in old:
            yield f"split {split} is new"
        elif what := _describe_change(old[split].split(), new[split].split(), texts[split]):
            yield f"split {split}: {what}"
    yield from (f"split {split} is gone" for split in old if split not in new)


def _describe_change(old: list[str], new: list[str], texts: Sequence[str]) -> str:
    if old == new:
        return ""
    if Counter(old) == Counter(new):
        at = next(k for k, (before, now) in enumerate(zip(old, new, strict=True)) if before != now)
        return f"the same {len(new)} rows in another order, from {_row(at, texts)} on"
    if new[: len(old)] == old:
        return f"{len(new) - len(old)} rows were appended, the first is {_row(len(old), texts)}"
    if old[: len(new)] == new:
        return f"its last {len(old) - len(new)} of {len(old)} rows are gone"
    text = [[row.partition(":")[0] for row in rows] for rows in (old, new)]
    if text[0] == text[1]:
        relabelled = [
            k for k, (before, now) in enumerate(zip(old, new, strict=True)) if before != now
        ]
        return f"{len(relabelled)} of {len(new)} rows have another label, the first is {_row(relabelled[0], texts)}"
    added, gone = Counter(new) - Counter(old), Counter(old) - Counter(new)
    said = [f"{gone.total()} of {len(old)} rows are gone"] if gone else []
    if added:
        at = next(k for k, row in enumerate(new) if row in added)
        said.append(f"{added.total()} of {len(new)} rows are new, the first is {_row(at, texts)}")
    return " and ".join(said)


def _row(at: int, texts: Sequence[str]) -> str:
    return f"row {at}, {texts[at][:60]!r}"

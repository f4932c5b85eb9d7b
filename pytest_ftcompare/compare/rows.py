"""Describe which rows of a project's data changed since the baseline: a line for each split.

The gate calls it with short digests of the rows.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence

from pytest_ftcompare.results.result import MAX_ROW_DIGESTS

# split -> the `row_digest` of each row, separated by blanks
RowDigests = Mapping[str, str]


def describe_row_changes(
    old: RowDigests, new: RowDigests, names: Mapping[str, Sequence[str]]
) -> Iterator[str]:
    """Yield a sentence for each split that changed; `names` are those of the new rows."""
    for split in new:
        if split not in old:
            yield f"split {split} is new"
        elif change := _describe_change(old[split].split(), new[split].split(), names[split]):
            yield f"split {split}: {change}"
    yield from (f"split {split} is gone" for split in old if split not in new)


def _first_difference(old: Sequence[str], new: Sequence[str]) -> int:
    """Return the index of the first digest that differs, or the shorter length if none does."""
    pairs = enumerate(zip(old, new, strict=False))
    return next(
        (number for number, (before, after) in pairs if before != after), min(len(old), len(new))
    )


def _describe_change(old: list[str], new: list[str], names: Sequence[str]) -> str:
    if old == new:
        return ""
    if MAX_ROW_DIGESTS in (len(old), len(new)):
        # The baseline may have more rows, whose digests it does not keep.
        index = _first_difference(old, new)
        compared = f"of the first {MAX_ROW_DIGESTS:,} rows, which are compared"
        if index == len(names):
            return f"{compared}, those after number {index} are gone"
        return f"{compared}, the first that changed is {names[index]}"
    if Counter(old) == Counter(new):
        first = names[_first_difference(old, new)]
        return f"the same {len(new)} rows in another order, from {first} on"
    if new[: len(old)] == old:
        return f"{len(new) - len(old)} rows were appended, the first is {names[len(old)]}"
    if old[: len(new)] == new:
        return f"its last {len(old) - len(new)} of {len(old)} rows are gone"
    text_digests = [[row.partition(":")[0] for row in rows] for rows in (old, new)]
    if text_digests[0] == text_digests[1]:
        relabelled = [
            number
            for number, (before, after) in enumerate(zip(old, new, strict=True))
            if before != after
        ]
        return (
            f"{len(relabelled)} of {len(new)} rows have another label, "
            f"the first is {names[relabelled[0]]}"
        )
    added, gone = Counter(new) - Counter(old), Counter(old) - Counter(new)
    parts = [f"{gone.total()} of {len(old)} rows are gone"] if gone else []
    if added:
        index = next(number for number, row in enumerate(new) if row in added)
        parts.append(f"{added.total()} of {len(new)} rows are new, the first is {names[index]}")
    return " and ".join(parts)

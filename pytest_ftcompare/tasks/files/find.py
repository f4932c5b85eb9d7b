"""Which files a name stands for: one file, every shard that a pattern matches, a folder of
`save_to_disk`."""

from __future__ import annotations

import re
from collections.abc import Iterable
from glob import has_magic
from pathlib import Path

from pytest_ftcompare.tasks.base import DataError

FORMATS = (".jsonl", ".ndjson", ".json", ".csv", ".tsv", ".parquet", ".arrow")
COMPRESSED = (".gz", ".bz2", ".xz")
SAVED = "state.json"  # in a folder that Dataset.save_to_disk wrote
SPLITS = "dataset_dict.json"  # in one that DatasetDict.save_to_disk wrote
SHARD = re.compile(
    r"(?P<of>.+)-(?P<number>\d+)-of-(?P<total>\d+)(?P<rest>\..+)"
)  # what datasets calls a shard
SHOWN = 5  # names that a message lists
TAKEN = f"{', '.join(FORMATS)}, any of the first five as .gz, .bz2 or .xz, or a folder of Dataset.save_to_disk"


def kind_of(path: Path) -> str:
    """The format that a file's name says, in whatever case and without that of a compression;
    "saved" for a folder."""
    if path.is_dir():
        return "saved"
    suffixes = [suffix.lower() for suffix in path.suffixes]
    if suffixes and suffixes[-1] in COMPRESSED:
        suffixes.pop()
    return suffixes[-1] if suffixes else ""


def split_of(root: Path, name: str, split: str) -> str:
    """The name of a split's folder in one that `DatasetDict.save_to_disk` wrote; any other name as
    it is."""
    folder = root / name
    return (
        f"{name}/{split}"
        if (folder / SPLITS).is_file() and (folder / split / SAVED).is_file()
        else name
    )


def files_of(root: Path, name: str) -> list[Path]:
    """The files in `root` that `name`, a path or a pattern of paths, stands for, in the order of
    their names.

    `DataError` where there is none that can be read, or where shards are not complete: one of
    several, or several without one. What looks like a pattern in `root` is none.
    """
    named = root / name
    if named.exists():
        paths = [named]
    elif has_magic(name):
        if named == Path(name):  # it is absolute
            root, name = Path(named.anchor), str(named.relative_to(named.anchor))
        paths = sorted(path for path in root.glob(name) if not path.name.startswith("."))
        if not paths:
            raise DataError(f"expected files that match {named}, there are none{_beside(named)}")
    else:
        raise DataError(f"expected rows in {named}, there is no such file{_beside(named)}")
    for path in paths:
        _check_kind(path)
    kinds = sorted({kind_of(path) for path in paths})
    if len(kinds) > 1:
        raise DataError(
            f"expected files of one format, {named} matches {' and '.join(kinds)}: name those of one"
        )
    check_shards(paths)
    return paths


def _beside(named: Path) -> str:
    """What lies where the file was expected."""
    folder = next((parent for parent in named.parents if parent.is_dir()), None)
    return f": {_content(folder)}" if folder is not None else ""


def _content(folder: Path) -> str:
    names = sorted(path.name for path in folder.iterdir() if not path.name.startswith("."))
    more = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
    return f"{folder} has {', '.join(names[:SHOWN]) or 'nothing'}{more}"


def _check_kind(path: Path) -> None:
    if not path.is_dir():
        if kind_of(path) not in FORMATS:
            raise DataError(f"expected rows in {TAKEN}; got {path}: convert it to one of these")
        return
    if splits := sorted(
        folder.name
        for folder in path.iterdir()
        if (path / SPLITS).is_file() and (folder / SAVED).is_file()
    ):
        raise DataError(
            f"expected the rows of one split, {path} has {', '.join(splits)}: name {path / splits[0]}"
        )
    if not (path / SAVED).is_file():
        raise DataError(
            f"expected a file, {path} is a folder that Dataset.save_to_disk did not write: {_content(path)}"
        )


def check_shards(paths: Iterable[Path]) -> None:
    """Refuse shards of which one is missing: half of the rows would be read as all of them."""
    by_set: dict[tuple[Path, str, int, str], set[int]] = {}
    for path in paths:
        if match := SHARD.fullmatch(path.name):
            key = (path.parent, match["of"], int(match["total"]), match["rest"])
            by_set.setdefault(key, set()).add(int(match["number"]))
    for (folder, of, total, rest), numbers in by_set.items():
        if missing := sorted(set(range(total)) - numbers):
            raise DataError(
                f"expected all {total} shards of {folder / of}, number {missing[0]} is missing: "
                f"name them as {of}-*{rest}, and see that all are there"
            )

"""Find the files that a name stands for: a file, matching shards, or a `save_to_disk` folder."""

from __future__ import annotations

import re
from collections.abc import Iterable
from glob import has_magic
from pathlib import Path

from pytest_ftcompare.tasks.base import DataError

FORMATS = (".jsonl", ".ndjson", ".json", ".csv", ".tsv", ".parquet", ".arrow")
COMPRESSED = (".gz", ".bz2", ".xz")
DATASET_FILE = "state.json"  # in a folder of Dataset.save_to_disk
SPLITS_FILE = "dataset_dict.json"  # in a folder of DatasetDict.save_to_disk
# The name that `datasets` gives a shard; until 2023 the hub added a digest of the content.
SHARD = re.compile(r"(?P<of>.+)-(?P<number>\d+)-of-(?P<total>\d+)(?:-[0-9a-f]{8,})?(?P<rest>\..+)")
MAX_LISTED = 5  # names in a message; chosen
READABLE = (
    f"{', '.join(FORMATS)}, any of the first five as .gz, .bz2 or .xz, "
    "or a folder of Dataset.save_to_disk"
)


def kind_of(path: Path) -> str:
    """Return a file's format by its ending: lower case, without a compression's ending.

    A folder is "saved".
    """
    if path.is_dir():
        return "saved"
    suffixes = [suffix.lower() for suffix in path.suffixes]
    if suffixes and suffixes[-1] in COMPRESSED:
        suffixes.pop()
    return suffixes[-1] if suffixes else ""


def split_of(root: Path, name: str, split: str) -> str:
    """Return the split's folder in a folder of `DatasetDict.save_to_disk`; else `name` itself."""
    folder = root / name
    return (
        f"{name}/{split}"
        if (folder / SPLITS_FILE).is_file() and (folder / split / DATASET_FILE).is_file()
        else name
    )


def files_of(root: Path, name: str) -> list[Path]:
    """Return the files in `root` that match `name`, a path or a pattern, in name order.

    Only `name` is a pattern, never `root`. Raise `DataError` if no file can be read, formats
    differ, or a shard is missing.
    """
    named = root / name
    if named.exists():
        paths = [named]
    elif has_magic(name):
        # An absolute name is a pattern from its own anchor.
        if named == Path(name):
            root, name = Path(named.anchor), str(named.relative_to(named.anchor))
        paths = sorted(path for path in root.glob(name) if not path.name.startswith("."))
        if not paths:
            raise DataError(
                f"expected files that match {named}, there are none{_folder_hint(named)}"
            )
    else:
        raise DataError(f"expected rows in {named}, there is no such file{_folder_hint(named)}")
    for path in paths:
        _check_kind(path)
    kinds = sorted({kind_of(path) for path in paths})
    if len(kinds) > 1:
        raise DataError(
            f"expected files of one format, {named} matches {' and '.join(kinds)}: "
            "name those of one"
        )
    check_shards(paths)
    return paths


def _folder_hint(named: Path) -> str:
    """Return a hint with the content of the folder where the file was expected."""
    folder = next((parent for parent in named.parents if parent.is_dir()), None)
    return f": {_list_folder(folder)}" if folder is not None else ""


def _list_folder(folder: Path) -> str:
    names = sorted(path.name for path in folder.iterdir() if not path.name.startswith("."))
    more = f" and {len(names) - MAX_LISTED} more" if len(names) > MAX_LISTED else ""
    return f"{folder} has {', '.join(names[:MAX_LISTED]) or 'nothing'}{more}"


def _check_kind(path: Path) -> None:
    if not path.is_dir():
        if kind_of(path) not in FORMATS:
            raise DataError(f"expected rows in {READABLE}; got {path}: convert it to one of these")
        return
    if splits := sorted(
        folder.name
        for folder in path.iterdir()
        if (path / SPLITS_FILE).is_file() and (folder / DATASET_FILE).is_file()
    ):
        raise DataError(
            f"expected the rows of one split, {path} has {', '.join(splits)}: "
            f"name {path / splits[0]}"
        )
    if not (path / DATASET_FILE).is_file():
        raise DataError(
            f"expected a file, {path} is a folder that Dataset.save_to_disk did not write: "
            f"{_list_folder(path)}"
        )


def check_shards(paths: Iterable[Path]) -> None:
    """Raise `DataError` if a shard is missing: half of the rows would pass as all of them."""
    by_set: dict[tuple[Path, str, int, str], set[int]] = {}
    for path in paths:
        if match := SHARD.fullmatch(path.name):
            key = (path.parent, match["of"], int(match["total"]), match["rest"])
            by_set.setdefault(key, set()).add(int(match["number"]))
    for (folder, prefix, total, rest), numbers in by_set.items():
        if missing := sorted(set(range(total)) - numbers):
            raise DataError(
                f"expected all {total} shards of {folder / prefix}, "
                f"number {missing[0]} is missing: "
                f"name them as {prefix}-*{rest}, and check that all are there"
            )

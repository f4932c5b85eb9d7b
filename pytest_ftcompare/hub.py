"""Where models and data sets lie: a folder laid out by hub id, or the hub itself at a pinned revision.

The layout is what `hf download ID --local-dir DIR/models/ID` leaves: `DIR/models/<id>/` and
`DIR/datasets/<id>/<split>.jsonl` (or .tsv, .parquet, `<split>-*.parquet`). The embedded pocket models and data lie in such
a folder too, so one piece of code reads all three.
"""

from __future__ import annotations

import csv
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal

from pytest_ftcompare.tasks.base import DataError

Kind = Literal["models", "datasets"]
EMBEDDED = Path(__file__).parent / "pocket" / "hub"
OTHERS = ["*.h5", "*.msgpack", "*.onnx", "flax_*", "tf_*"]  # weights of other frameworks
FORMATS = (".jsonl", ".tsv", ".parquet")


class HubError(LookupError):
    """A model or data set is not where it should be; the message says what to do."""


def locate(kind: Kind, name: str, folder: Path | None, revision: str | None = None) -> Path:
    """The folder of a model or data set: in the embedded hub, in `folder`, or downloaded at `revision`.

    A project's own data set is named by its file's path, and lies there.
    """
    if Path(name).is_absolute():
        return Path(name)
    if name.startswith("pocket/"):
        folder = EMBEDDED
    noun = kind.removesuffix("s")
    path = folder / kind / name if folder is not None else None
    if path is not None and path.is_dir():
        return path
    if revision is None:
        where = path or f"a folder --ftcompare-hub ({kind}/{name} in it)"
        raise HubError(
            f"expected the {noun} {name} in {where}, found none: fetch it with "
            f"'hf download {name} --repo-type {noun} --local-dir DIR/{kind}/{name}' and run with --ftcompare-hub=DIR"
        )
    from huggingface_hub import snapshot_download

    try:
        return Path(snapshot_download(name, repo_type=noun, revision=revision, ignore_patterns=OTHERS))
    except Exception as error:
        raise HubError(
            f"could not fetch {name} at {revision[:12]} from the hub ({type(error).__name__}): "
            "check the network, or give a local folder with --ftcompare-hub"
        ) from error


def read_split(folder: Path, split: str) -> Iterator[dict[str, Any]]:
    """The rows of a split, in file order."""
    found = [folder] if folder.is_file() else []
    found = found or [path for suffix in FORMATS for path in sorted(folder.rglob(f"{split}{suffix}"))]
    found = found or sorted(folder.rglob(f"{split}-*.parquet"))
    if not found:
        expected = ", ".join(f"{split}{suffix}" for suffix in FORMATS)
        present = ", ".join(sorted(path.name for path in folder.iterdir())) or "nothing"
        raise DataError(f"expected one of {expected} in {folder}, found {present}")
    first = found[0]
    if first.suffix == ".jsonl":
        yield from _jsonl(first)
    elif first.suffix == ".tsv":
        yield from _tsv(first)
    else:
        from datasets import load_dataset

        files = [str(path) for path in found]
        yield from load_dataset("parquet", data_files=files, split="train")


def _lines(path: Path) -> Iterator[tuple[int, str]]:
    """The lines of a text file with their numbers, from 1."""
    try:
        with path.open(encoding="utf-8", newline="\n") as file:
            yield from enumerate(file, start=1)
    except UnicodeDecodeError as error:
        raise DataError(f"expected UTF-8 in {path}, found a byte that is not at offset {error.start}") from None


def _jsonl(path: Path) -> Iterator[dict[str, Any]]:
    for number, line in _lines(path):
        try:
            row = json.loads(line)
        except json.JSONDecodeError as error:
            raise DataError(f"expected one JSON object a line in {path}, line {number} is not JSON ({error})") from None
        if not isinstance(row, dict):
            raise DataError(f"expected a JSON object in {path}, line {number} has {type(row).__name__}")
        yield row


def _tsv(path: Path) -> Iterator[dict[str, Any]]:
    """Rows under a line of column names; a column `label` has numbers."""
    csv.field_size_limit(sys.maxsize)  # a text may be longer than the module expects
    reader = csv.DictReader((line for _, line in _lines(path)), delimiter="\t", quoting=csv.QUOTE_NONE)
    for row in reader:
        if None in row or None in row.values():
            raise DataError(
                f"expected {len(reader.fieldnames or ())} columns in {path}, line {reader.line_num} has another number"
            )
        try:
            yield row | {"label": int(row["label"])} if "label" in row else row
        except ValueError:
            raise DataError(f"expected a number as label in {path}, line {reader.line_num} has {row['label']!r}") from None

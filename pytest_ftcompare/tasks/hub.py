"""Locate models and data sets in a hub folder, or download them at a pinned revision.

`training/prepare.py` and `gate/check_project.py` call this. A hub folder has the layout that
`hf download ID --local-dir DIR/models/ID` makes: `DIR/models/<id>/` and
`DIR/datasets/<id>/<split>.jsonl` (or .tsv, .parquet, `<split>-*.parquet`). The embedded pocket
models and data lie in such a folder too.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, Literal

from pytest_ftcompare.tasks import files
from pytest_ftcompare.tasks.base import DataError

Kind = Literal["models", "datasets"]
EMBEDDED = Path(__file__).parents[1] / "pocket" / "hub"
# Weights that PyTorch does not read.
OTHER_FRAMEWORKS = ["*.h5", "*.msgpack", "*.onnx", "flax_*", "tf_*"]
ADAPTER_FILES = ("adapter_config*.json", "adapter_model*.safetensors", "adapter_model*.bin")
# Adapter files that a message lists, chosen. Raising it makes messages longer.
MAX_NAMED_FILES = 4
FORMATS = (".jsonl", ".tsv", ".parquet")
QUOTES_ARE_TEXT = files.Format(quote="")


class HubError(LookupError):
    """A model or data set that is not found, or a model with an adapter.

    The message says how to fix it.
    """


def locate(kind: Kind, name: str, folder: Path | None, revision: str | None = None) -> Path:
    """Return the folder of a model or data set.

    It is in the embedded hub (`pocket/...`), in `folder`, or downloaded at `revision`. Raise
    `HubError` if it is not found, cannot be downloaded, or is a model's folder with an adapter.
    """
    path = _find_or_download(kind, name, folder, revision)
    if kind == "models":
        _refuse_adapter(path)
    return path


def _find_or_download(kind: Kind, name: str, folder: Path | None, revision: str | None) -> Path:
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
            f"'hf download {name} --repo-type {noun} --local-dir DIR/{kind}/{name}' "
            "and run with --ftcompare-hub=DIR"
        )
    from huggingface_hub import snapshot_download

    try:
        return Path(
            snapshot_download(
                name, repo_type=noun, revision=revision, ignore_patterns=OTHER_FRAMEWORKS
            )
        )
    except Exception as error:
        failure = f"could not fetch {name} at {revision[:12]} from the hub ({type(error).__name__})"
        raise HubError(
            f"{failure}: check the network, or give a local folder with --ftcompare-hub"
            if path is None
            else f"{failure}, and found none at {path}: check the network, or put it there"
        ) from error


def _refuse_adapter(path: Path) -> None:
    """Raise `HubError` if a model's folder has files of a PEFT adapter.

    transformers loads an adapter without a warning, on the weights of the folder or of the base
    model that the adapter names. It does not read adapters in sub-folders of a whole model.
    """
    has_config = (path / "config.json").is_file()
    folders = ("",) if has_config else ("", "*/")
    adapter_files = sorted(
        file
        for folder in folders
        for name in ADAPTER_FILES
        for file in path.glob(f"{folder}{name}")
    )
    if not adapter_files:
        return
    names = [str(file.relative_to(path)) for file in adapter_files]
    more = ", ..." if len(names) > MAX_NAMED_FILES else ""
    raise HubError(
        f"expected a model without an adapter in {path}, it has "
        f"{', '.join(names[:MAX_NAMED_FILES])}{more}{_adapter_origin(adapter_files)}: merge the "
        "adapter with the same peft, PeftModel.from_pretrained(base, folder).merge_and_unload(), "
        "and save_pretrained that model and its tokenizer in a new folder"
        f"{', or move the files of the adapter away' if has_config else ''}"
    )


def _adapter_origin(adapter_files: Iterable[Path]) -> str:
    """Return what the first readable adapter configuration says of its peft and base model."""
    for file in adapter_files:
        if file.suffix != ".json":
            continue
        try:
            config = dict(json.loads(file.read_text(encoding="utf-8")))
        except (OSError, ValueError, TypeError):
            continue
        version, base = config.get("peft_version"), config.get("base_model_name_or_path")
        facts = [f"saved by peft {version}"] if version else []
        facts += [f"for the base model {base}"] if base else []
        return f" ({', '.join(facts)})" if facts else ""
    return ""


def read_split(folder: Path, split: str) -> Iterator[dict[str, Any]]:
    """Yield a split's rows in file order. In a TSV file, quotes are text and `label` is an int.

    Raise `DataError` if the split's file is missing, in two folders, or not readable.
    """
    paths = [path for suffix in FORMATS for path in sorted(folder.rglob(f"{split}{suffix}"))]
    paths = paths or sorted(folder.rglob(f"{split}-*.parquet"))
    if not paths:
        expected = ", ".join(f"{split}{suffix}" for suffix in FORMATS)
        present = ", ".join(sorted(path.name for path in folder.iterdir())) or "nothing"
        raise DataError(f"expected one of {expected} in {folder}, found {present}")
    if len({path.parent for path in paths}) > 1:
        names = " and ".join(str(path.relative_to(folder)) for path in paths[:2])
        raise DataError(f"expected the split {split} once in {folder}, found {names}: keep one")
    if paths[0].name.startswith(f"{split}-"):
        files.check_shards(paths)
    else:
        paths = paths[:1]
    for path in paths:
        rows = files.rows(path, QUOTES_ARE_TEXT)
        yield from _with_int_labels(path, rows) if path.suffix == ".tsv" else rows


def _with_int_labels(path: Path, rows: Iterable[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    """Yield a TSV file's rows with `label` as an int instead of text."""
    for number, row in enumerate(rows):
        try:
            yield row | {"label": int(row["label"])} if "label" in row else row
        except ValueError:
            raise DataError(
                f"expected a number as label in {path}, row {number} has {row['label']!r}"
            ) from None

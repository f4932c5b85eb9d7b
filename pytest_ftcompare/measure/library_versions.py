"""The libraries that a result depends on, and what they were installed from, read without importing them."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Collection, Iterable, Iterator
from contextlib import suppress
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path
from typing import Any
from urllib.parse import urlparse

PACKAGES = (
    "torch",
    "transformers",
    "peft",
    "tokenizers",
    "accelerate",
    "bitsandbytes",
    "numpy",
    "safetensors",
)


def versions() -> dict[str, str]:
    """Each library's version, with what it was installed from where that was no index: "0.21.2 edited
    1f0c...", the digest of an editable checkout, or "0.21.2 at <commit>"; "not installed" where it is
    not. A version's local part is an entry of its own: "torch build" is "cpu" of 2.13.0+cpu."""
    installed = {}
    for name in PACKAGES:
        try:
            there = distribution(name)
        except PackageNotFoundError:
            installed[name] = "not installed"
            continue
        public, _, local = there.version.partition("+")
        installed[name] = public + _origin(json.loads(there.read_text("direct_url.json") or "{}"))
        if local:
            installed[f"{name} build"] = local
    return installed


def _origin(origin: dict[str, Any]) -> str:
    """What pip wrote of where a library came from: https://packaging.python.org/specifications/direct-url/."""
    if "vcs_info" in origin:
        return f" at {origin['vcs_info'].get('commit_id', 'unknown')}"
    folder = Path(urlparse(origin.get("url", "")).path)
    if not origin.get("dir_info", {}).get("editable") or not folder.is_dir():
        return ""
    return f" edited {digest(files(folder, {'.py'}), folder)}"


def files(root: Path, suffixes: Collection[str] = ()) -> Iterator[Path]:
    """The files below a folder, of these endings or all; not what is hidden, another environment's or compiled."""
    for at, folders, names in os.walk(root):
        if "pyvenv.cfg" in names:
            folders.clear()
            continue
        folders[:] = [one for one in folders if not one.startswith((".", "__pycache__"))]
        yield from (Path(at, one) for one in names if not suffixes or Path(one).suffix in suffixes)


def digest(paths: Iterable[Path], root: Path = Path("/")) -> str:
    """Twelve hex digits of the files' absolute paths, below `root`, and their contents."""
    content = hashlib.sha256()
    for file in sorted(paths):
        content.update(str(file.relative_to(root)).encode(errors="surrogateescape"))
        with suppress(OSError):  # gone, or not ours to read: its name counts
            content.update(file.read_bytes())
    return content.hexdigest()[:12]

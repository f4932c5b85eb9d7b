"""Read the versions and origins of the libraries that a result depends on, without importing them.

`environment.py` stores them with each result; `gate/resume_key.py` puts them into the resume key.
"""

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
    """Return each library's version, or "not installed".

    A library installed from git reads "0.21.2 at <commit>". An editable checkout reads
    "0.21.2 edited <digest of its files>". The local part of a version is an entry of its own:
    2.13.0+cpu gives "torch build": "cpu".
    """
    installed = {}
    for name in PACKAGES:
        try:
            library = distribution(name)
        except PackageNotFoundError:
            installed[name] = "not installed"
            continue
        public, _, local = library.version.partition("+")
        installed[name] = public + _origin(json.loads(library.read_text("direct_url.json") or "{}"))
        if local:
            installed[f"{name} build"] = local
    return installed


def _origin(origin: dict[str, Any]) -> str:
    """Return the suffix for pip's direct_url.json.

    https://packaging.python.org/specifications/direct-url/ has its format.
    """
    if "vcs_info" in origin:
        return f" at {origin['vcs_info'].get('commit_id', 'unknown')}"
    folder = Path(urlparse(origin.get("url", "")).path)
    if not origin.get("dir_info", {}).get("editable") or not folder.is_dir():
        return ""
    return f" edited {digest(package_files(folder, {'.py'}), folder)}"


def package_files(root: Path, suffixes: Collection[str] = ()) -> Iterator[Path]:
    """Yield the files below a folder with one of the suffixes, or all files.

    Hidden folders, virtual environments and compiled files are left out.
    """
    for parent, folders, names in os.walk(root):
        if "pyvenv.cfg" in names:
            folders.clear()
            continue
        folders[:] = [name for name in folders if not name.startswith((".", "__pycache__"))]
        yield from (
            Path(parent, name) for name in names if not suffixes or Path(name).suffix in suffixes
        )


def digest(paths: Iterable[Path], root: Path = Path("/")) -> str:
    """Return twelve hex digits of the files' paths relative to `root` and their contents."""
    content = hashlib.sha256()
    for file in sorted(paths):
        content.update(str(file.relative_to(root)).encode(errors="surrogateescape"))
        # If a file is gone or unreadable, only its name counts.
        with suppress(OSError):
            content.update(file.read_bytes())
    return content.hexdigest()[:12]

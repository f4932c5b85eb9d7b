"""The versions of the libraries that a result depends on, read without importing them."""

from __future__ import annotations

import hashlib
import json
from importlib.metadata import PackageNotFoundError, distribution, version
from pathlib import Path
from typing import Any
from urllib.parse import urlparse

PACKAGES = ("torch", "transformers", "peft", "tokenizers", "accelerate", "bitsandbytes", "numpy", "safetensors")


def versions() -> dict[str, str]:
    """Each library's version without its local part, "2.13.0" for 2.13.0+cpu; "not installed" where it is not."""
    found = {}
    for name in PACKAGES:
        try:
            found[name] = version(name).split("+")[0]
        except PackageNotFoundError:
            found[name] = "not installed"
    return found


def installed() -> dict[str, str]:
    """Each library's version with its local part and, where it was not installed from an index, what it was installed from:
    the digest of an editable checkout's files, or the commit."""
    found = {}
    for name in PACKAGES:
        try:
            there = distribution(name)
        except PackageNotFoundError:
            found[name] = "not installed"
            continue
        found[name] = there.version + _origin(json.loads(there.read_text("direct_url.json") or "{}"))
    return found


def _origin(origin: dict[str, Any]) -> str:
    """What pip wrote of where a library came from: https://packaging.python.org/specifications/direct-url/."""
    if "vcs_info" in origin:
        return f" at {origin['vcs_info'].get('commit_id', 'unknown')}"
    folder = Path(urlparse(origin.get("url", "")).path)
    if not origin.get("dir_info", {}).get("editable") or not folder.is_dir():
        return ""
    content = hashlib.sha256()
    for file in sorted(folder.rglob("*.py")):
        content.update(str(file).encode() + file.read_bytes())
    return f" edited {content.hexdigest()[:12]}"

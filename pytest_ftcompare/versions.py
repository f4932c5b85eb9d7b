"""The versions of the libraries that a result depends on, read without importing them."""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError, version

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

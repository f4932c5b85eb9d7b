"""Digest Python files by their parsed source, without comments and docstrings.

`environment.py` stores the digests, so that a new comment or a reformatted line is not an edit.
"""

from __future__ import annotations

import ast
import hashlib
from collections.abc import Iterable
from functools import cache
from pathlib import Path

DOCUMENTED = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)


def digest(files: Iterable[Path]) -> str:
    """Return twelve hex digits of the files' names and contents, in any order."""
    content = hashlib.sha256()
    # Not in the order of paths: the same files may lie in other folders elsewhere.
    for name, text in sorted(
        (file.name, _content(file, file.stat().st_mtime_ns)) for file in files
    ):
        content.update(name.encode() + text)
    return content.hexdigest()[:12]


@cache
def _content(file: Path, _: int) -> bytes:
    """Return the content to digest; the second argument, the file's mtime, is for the cache."""
    source = file.read_bytes()
    if file.suffix != ".py":
        return source
    try:
        return _dump(ast.parse(source)).encode(errors="surrogatepass")
    except SyntaxError:  # importing the file reports it
        return source


def _dump(node: object) -> str:
    """Return the tree as text, without empty fields, which differ between Python versions."""
    if isinstance(node, list):
        return f"[{','.join(map(_dump, node))}]"
    if not isinstance(node, ast.AST):
        return repr(node)
    if isinstance(node, DOCUMENTED) and ast.get_docstring(node, clean=False) is not None:
        node.body = node.body[1:]
    fields = ((name, value) for name, value in ast.iter_fields(node) if value not in (None, []))
    return f"{type(node).__name__}({','.join(f'{name}={_dump(value)}' for name, value in fields)})"

"""Digests of what Python files say: their parsed source, without comments and docstrings.

The environment of a result keeps them, so that a comment or a reformatted line is no edit.
"""

from __future__ import annotations

import ast
import hashlib
from collections.abc import Iterable
from functools import cache
from pathlib import Path

DOCUMENTED = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)


def digest(files: Iterable[Path]) -> str:
    """Twelve hex digits of the names and the contents of the files, whatever their order."""
    content = hashlib.sha256()
    for file in sorted(files):
        content.update(file.name.encode() + _content(file, file.stat().st_mtime_ns))
    return content.hexdigest()[:12]


@cache
def _content(file: Path, _: int) -> bytes:
    """What counts of a file; the second argument is its time of change, for the cache."""
    source = file.read_bytes()
    if file.suffix != ".py":
        return source
    try:
        return _dump(ast.parse(source)).encode(errors="surrogatepass")
    except SyntaxError:  # whoever imports it says so
        return source


def _dump(node: object) -> str:
    """The tree as text. Empty fields are left out: versions of Python differ in which they have."""
    if isinstance(node, list):
        return f"[{','.join(map(_dump, node))}]"
    if not isinstance(node, ast.AST):
        return repr(node)
    if isinstance(node, DOCUMENTED) and ast.get_docstring(node, clean=False) is not None:
        node.body = node.body[1:]
    fields = ((name, value) for name, value in ast.iter_fields(node) if value not in (None, []))
    return f"{type(node).__name__}({','.join(f'{name}={_dump(value)}' for name, value in fields)})"

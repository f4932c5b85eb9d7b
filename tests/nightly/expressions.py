"""Evaluate the expressions of a GitHub workflow, as far as nightly.yml uses them.

Values are text, booleans, and None for what a context does not have.
https://docs.github.com/actions/reference/workflows-and-actions/expressions describes them.
An expression with anything else raises `ExpressionError`, so that none is evaluated wrongly.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

Value = str | bool | None
Functions = Mapping[str, Callable[[], bool]]
STATUS_FUNCTIONS = ("success", "failure", "always", "cancelled")
TOKEN = re.compile(r"\s*(\|\||&&|==|!=|!|\(|\)|'(?:[^']|'')*'|[A-Za-z_][\w.-]*|\S)")


class ExpressionError(ValueError):
    """An expression that GitHub or this evaluator does not know."""


@dataclass
class Evaluator:
    """Evaluates expressions over `values` by dotted name and functions without arguments."""

    values: Mapping[str, Value]
    functions: Functions = field(default_factory=dict)
    _tokens: list[str] = field(default_factory=list)

    def substitute(self, text: str) -> str:
        """Replace each `${{ expression }}` in a text by its value."""
        return re.sub(r"\$\{\{(.*?)\}\}", lambda match: as_text(self.evaluate(match[1])), text)

    def condition(self, text: str | None) -> bool:
        """Return whether a step with this `if` runs; without a status function, on success."""
        text = "success()" if text is None else text.removeprefix("${{").removesuffix("}}")
        if not re.search(rf"\b({'|'.join(STATUS_FUNCTIONS)})\s*\(", text):
            text = f"success() && ({text})"
        return bool(self.evaluate(text))

    def evaluate(self, text: str) -> Value:
        """Return the value of an expression."""
        self._tokens = TOKEN.findall(text)
        value = self._either()
        if self._tokens:
            raise ExpressionError(f"expected the end of {text!r}, got {self._tokens[0]!r}")
        return value

    def _next(self) -> str:
        return self._tokens[0] if self._tokens else ""

    def _either(self) -> Value:
        value = self._both()
        while self._next() == "||":
            self._tokens.pop(0)
            other = self._both()
            value = value or other
        return value

    def _both(self) -> Value:
        value = self._comparison()
        while self._next() == "&&":
            self._tokens.pop(0)
            other = self._comparison()
            value = value and other
        return value

    def _comparison(self) -> Value:
        value = self._single()
        while self._next() in ("==", "!="):
            equal = self._tokens.pop(0) == "=="
            value = _equal(value, self._single()) is equal
        return value

    def _single(self) -> Value:
        token = self._tokens.pop(0) if self._tokens else ""
        if token == "!":
            return not self._single()
        if token == "(":
            value = self._either()
            self._expect(")")
            return value
        if token.startswith("'") and len(token) > 1:
            return token[1:-1].replace("''", "'")
        if self._next() == "(" and token in self.functions:
            self._expect("(")
            self._expect(")")
            return self.functions[token]()
        if token in self.values:
            return self.values[token]
        raise ExpressionError(
            f"expected one of {', '.join([*self.values, *self.functions])}, got {token!r}"
        )

    def _expect(self, token: str) -> None:
        if self._next() != token:
            raise ExpressionError(f"expected {token!r}, got {self._next()!r}")
        self._tokens.pop(0)


def _equal(first: Value, second: Value) -> bool:
    """Compare as GitHub does: texts without case, values of different types as numbers."""
    if isinstance(first, str) and isinstance(second, str):
        return first.lower() == second.lower()
    if type(first) is type(second):
        return first is second
    return _number(first) == _number(second)


def _number(value: Value) -> float:
    try:
        return float(value or 0)
    except ValueError:
        return float("nan")


def as_text(value: Value) -> str:
    """Return a value as GitHub writes it: "" for None, "true" and "false"."""
    return "" if value is None else str(value).lower() if isinstance(value, bool) else value

"""Read a session's document back from its JSON, for `report` and the history's import."""

from __future__ import annotations

import json
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

from pytest_ftcompare.results.result import Json, ResultError, fields_of

SCHEMA = Path(__file__).with_name("document.schema.json")
TYPES: dict[str, tuple[type, ...]] = {
    "object": (dict,),
    "array": (list,),
    "string": (str,),
    "number": (int, float),
    "integer": (int,),
    "boolean": (bool,),
    "null": (type(None),),
}


class DocumentError(ValueError):
    """A text is no document of this version; the message says what was expected and what came."""


@cache
def schema() -> Json:
    """Return the JSON Schema of a document."""
    content: Json = json.loads(SCHEMA.read_text(encoding="utf-8"))
    return content


def read(text: str) -> Json:
    """Parse a document; anything else raises `DocumentError` with one sentence.

    Fields of this version must be there with their types. Other fields, which a later version may
    have added to the same schema, stay.
    """
    number: int = schema()["properties"]["schema"]["const"]
    try:
        document = {"schema": number} | fields_of(text, number)
    except ResultError as error:
        raise DocumentError(str(error)) from None
    for problem in _problems(document, schema(), "it"):
        raise DocumentError(
            f"it is not a whole report, as --ftcompare-report=FILE.json writes it: {problem}"
        )
    return document


def _problems(value: Any, expected: Json, place: str) -> Iterator[str]:
    """Name missing fields and wrong types, which renderings rely on.

    The tests check documents against the whole schema with jsonschema; a user need not install it.
    """
    if "$ref" in expected:
        expected = schema()["$defs"][expected["$ref"].removeprefix("#/$defs/")]
    if "anyOf" in expected:  # this schema uses it only for "something, or null"
        if value is not None:
            yield from _problems(value, expected["anyOf"][0], place)
        return
    types = expected.get("type", [])
    types = [types] if isinstance(types, str) else types
    if types and not any(type(value) in TYPES[name] for name in types):
        yield f"expected {' or '.join(types)} at {place}, got {json.dumps(value)[:40]}"
    elif isinstance(value, dict):
        yield from (
            f"{place} has no {name!r}" for name in expected.get("required", ()) if name not in value
        )
        others = expected.get("additionalProperties") or {}
        for name, entry in value.items():
            schema_of_entry = expected.get("properties", {}).get(name, others)
            yield from _problems(entry, schema_of_entry, f"{place}.{name}")
    elif isinstance(value, list):
        for index, entry in enumerate(value):
            yield from _problems(entry, expected.get("items") or {}, f"{place}[{index}]")

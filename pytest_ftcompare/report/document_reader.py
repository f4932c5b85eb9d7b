"""A session's document read back from its JSON."""

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
    """A text is not a document that this version reads; the message says what was expected and what came."""


@cache
def schema() -> Json:
    """The JSON Schema of a document."""
    found: Json = json.loads(SCHEMA.read_text(encoding="utf-8"))
    return found


def read(text: str) -> Json:
    """A document from its JSON; anything else raises `DocumentError` with one sentence.

    What this version knows is there and of its type; what a later one has added to the same schema is left as it is.
    """
    number: int = schema()["properties"]["schema"]["const"]
    try:
        document = {"schema": number} | fields_of(text, number)
    except ResultError as error:
        raise DocumentError(str(error)) from None
    for found in _amiss(document, schema(), "it"):
        raise DocumentError(
            f"it is not a whole report, as --ftcompare-report=FILE.json writes it: {found}"
        )
    return document


def _amiss(value: Any, stated: Json, place: str) -> Iterator[str]:
    """What is not as the schema states, of fields and types: what renderings rest on; jsonschema, in the tests, sees more."""
    if "$ref" in stated:
        stated = schema()["$defs"][stated["$ref"].removeprefix("#/$defs/")]
    if "anyOf" in stated:  # something, or null
        if value is not None:
            yield from _amiss(value, stated["anyOf"][0], place)
        return
    types = (
        [stated.get("type", [])] if isinstance(stated.get("type"), str) else stated.get("type", [])
    )
    if types and not any(type(value) in TYPES[one] for one in types):
        yield f"expected {' or '.join(types)} at {place}, got {json.dumps(value)[:40]}"
    elif isinstance(value, dict):
        yield from (
            f"{place} has no {name!r}" for name in stated.get("required", ()) if name not in value
        )
        others = stated.get("additionalProperties") or {}
        for name, one in value.items():
            yield from _amiss(
                one, stated.get("properties", {}).get(name, others), f"{place}.{name}"
            )
    elif isinstance(value, list):
        for index, one in enumerate(value):
            yield from _amiss(one, stated.get("items") or {}, f"{place}[{index}]")

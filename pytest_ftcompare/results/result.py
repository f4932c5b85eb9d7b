"""Define results and their JSON, which a run writes, a baseline stores and a comparison reads.

A result keeps each seed's result, with one bit per test row, so that statistics can change without
new training. Floats are rounded when they are made, so that a written result reads back equal.
"""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

SCHEMA = 1
SIGNIFICANT_DIGITS = 7
# Rows of each split in a project's files that a result stores digests of; chosen. Raising it makes
# files longer.
MAX_ROW_DIGESTS = 5_000
# Draws of dropout in the probe's mean loss and SD; chosen. Raising it finds smaller changes and
# takes longer.
DROPOUT_DRAWS = 32
Json = dict[str, Any]


class ResultError(ValueError):
    """A text is not a readable result; the message states what was expected and what came."""


def rounded(value: float, digits: int = SIGNIFICANT_DIGITS) -> float:
    """Return `value` rounded to `digits` significant digits."""
    return float(f"{value:.{digits}g}")


def digest(value: object) -> str:
    """Return sixteen hex digits of the SHA-256 of the value's JSON, floats in full precision."""
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()[:16]


def row_digest(fields: Mapping[str, str], label: object) -> str:
    """Return six characters of the digest of a row's text, a colon and three of its label's."""
    return f"{digest(fields)[:6]}:{digest(label)[:3]}"


def pack(bits: Sequence[bool]) -> str:
    """Return bits as base64, most significant first."""
    number = int("1" + "".join("01"[bit] for bit in bits), 2)
    return base64.b64encode(number.to_bytes((len(bits) + 8) // 8, "big")).decode()


def unpack(text: str) -> list[bool]:
    """Return the bits that `pack` wrote."""
    number = int.from_bytes(base64.b64decode(text, validate=True), "big")
    return [bit == "1" for bit in f"{number:b}"[1:]]


@dataclass(frozen=True)
class Trace:
    """The course of a training.

    `digest` covers every update in full precision. `first_steps` are (loss, gradient norm) of the
    first updates. `curve` is the loss over the training.
    """

    digest: str
    first_steps: list[list[float]]
    curve: list[float]


@dataclass(frozen=True)
class SeedResult:
    """A seed's scores, predictions and trace.

    `training_rows` digests the rows that were drawn. `metrics` are shares or nats. `correct` has
    one packed bit per row of each split. `class_counts` counts predictions by class.
    `predictions_digest` digests the predictions. `rows_drawn` counts the rows that the method
    learned from, by task.
    """

    seed: int
    training_rows: str
    trace: Trace
    metrics: dict[str, float]
    correct: dict[str, str]
    class_counts: dict[str, list[int]]
    predictions_digest: str
    rows_drawn: dict[str, int] = field(default_factory=dict)


@dataclass(frozen=True)
class Window:
    """The readings of one timed window.

    `times` has for each piece of work (step, evaluation, inference, merged inference) the seconds
    of one call, then that call in yardsticks of kernels and of dispatch. `readings` are bytes and
    joules by metric; `unavailable` states why a metric could not be read. `device_state` is the
    device's state after the window. `disturbed` states why the window must not be judged, or is "".
    `process` is a random name of the process. `yardsticks` are seconds of one yardstick of each
    kind: the machine's speed in this window.
    """

    times: dict[str, list[float]]
    readings: dict[str, float] = field(default_factory=dict)
    unavailable: dict[str, str] = field(default_factory=dict)
    device_state: Json = field(default_factory=dict)
    disturbed: str = ""
    process: str = ""
    yardsticks: dict[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class Result:
    """All seeds' results of a case, its signature, probe, cost and environment.

    Only a timed case has `windows`. `noise` has for each metric the sum of squares and the degrees
    of freedom of earlier accepted results, and `noise_from` names these results
    (compare/noise_carryover.py). `rows` has the digests of the first `MAX_ROW_DIGESTS` rows of each
    split in a project's own files. `short_training` is the digest of seed 0's short training
    (training/short_training.py).
    """

    id: str
    suite: str
    identity: Json
    fingerprint: str
    environment: Json
    recipe: Json
    signature: Json
    probe: Json
    majority_share: dict[str, float]
    judge_accuracy: bool = True
    broken_invariants: list[str] = field(default_factory=list)  # invariants that do not hold
    seed_results: list[SeedResult] = field(default_factory=list)
    windows: list[Window] = field(default_factory=list)
    noise: dict[str, dict[str, float]] = field(default_factory=dict)
    noise_from: list[str] = field(default_factory=list)
    rows: dict[str, str] = field(default_factory=dict)
    short_training: str = ""

    def seed_result(self, seed: int) -> SeedResult | None:
        """Return the seed's result, or None."""
        return next((result for result in self.seed_results if result.seed == seed), None)

    def to_json(self) -> str:
        """Return the text of a result's file."""
        return f"{pretty({'schema': SCHEMA} | asdict(self))}\n"

    @classmethod
    def from_json(cls, text: str) -> Result:
        """Read a result; other text raises `ResultError` with one sentence."""
        data = fields_of(text, SCHEMA)
        try:
            seed_results = [
                SeedResult(**{**fields, "trace": Trace(**fields["trace"])})
                for fields in data.pop("seed_results")
            ]
            windows = [Window(**fields) for fields in data.pop("windows")]
            result = cls(seed_results=seed_results, windows=windows, **data)
            for seed_result in seed_results:
                for bits in seed_result.correct.values():
                    unpack(bits)
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise ResultError(f"its fields are not those of a result ({error})") from None
        return result


def fields_of(text: str, schema: int) -> Json:
    """Return the fields of a stored file, without its schema number, or raise `ResultError`."""
    if any(line.startswith(("<<<<<<<", ">>>>>>>")) for line in text.splitlines()):
        raise ResultError(
            "it has merge-conflict markers: take one side with git checkout --ours or --theirs"
        )
    try:
        data = json.loads(text)
    except json.JSONDecodeError as error:
        raise ResultError(
            f"it is not JSON ({error.msg}, line {error.lineno}): it may be half a file"
        ) from None
    if not isinstance(data, dict) or not isinstance(data.get("schema"), int):
        raise ResultError("it has no schema number: it is not a result of pytest-ftcompare")
    if data.pop("schema") > schema:
        raise ResultError(
            f"it is of a newer schema than {schema}, which this version reads: "
            "upgrade pytest-ftcompare"
        )
    return data


def pretty(value: object, indent: str = "") -> str:
    """Return JSON with sorted keys, one line for each entry, and lists of scalars on one line."""
    inner = f"{indent} "
    if isinstance(value, dict) and value:
        entries = (
            f"{inner}{json.dumps(key)}: {pretty(value[key], inner)}" for key in sorted(value)
        )
        return "{\n" + ",\n".join(entries) + f"\n{indent}}}"
    if isinstance(value, list) and any(isinstance(item, dict) for item in value):
        return (
            "[\n" + ",\n".join(f"{inner}{pretty(item, inner)}" for item in value) + f"\n{indent}]"
        )
    return json.dumps(value, ensure_ascii=False)

"""Samples and results, and their JSON: what a run leaves, what a baseline is, what the comparison reads. Plain Python.

A result keeps every seed's sample, with one bit per test example, so that statistics can change without training again.
Floats are rounded when a sample is made: a written result reads back equal, and its diff in git is short.
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
MAX_ROW_DIGESTS = 5_000  # of a split in a project's files, whose digests a result keeps
DROPOUT_DRAWS = 32  # of dropout, whose losses make a mean and an SD in the probe's record
Json = dict[str, Any]


class ResultError(ValueError):
    """A text is not a result that this version reads; the message says what was expected and what came."""


def rounded(value: float, digits: int = SIGNIFICANT_DIGITS) -> float:
    """`value` to so many significant digits."""
    return float(f"{value:.{digits}g}")


def digest(value: object) -> str:
    """Sixteen hex digits of the SHA-256 of the value's JSON; floats enter in full precision."""
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()[:16]


def row_digest(fields: Mapping[str, str], label: object) -> str:
    """Ten characters that tell a row: six of its text's digest, a colon and three of its label's."""
    return f"{digest(fields)[:6]}:{digest(label)[:3]}"


def pack(bits: Sequence[bool]) -> str:
    """Bits as base64, most significant first."""
    number = int("1" + "".join("01"[bit] for bit in bits), 2)
    return base64.b64encode(number.to_bytes((len(bits) + 8) // 8, "big")).decode()


def unpack(text: str) -> list[bool]:
    """The bits that `pack` wrote."""
    number = int.from_bytes(base64.b64decode(text, validate=True), "big")
    return [bit == "1" for bit in f"{number:b}"[1:]]


@dataclass(frozen=True)
class Trace:
    """How training went: a digest of every step in full precision, the first steps as (loss, gradient norm), the curve."""

    digest: str
    first_steps: list[list[float]]
    curve: list[float]


@dataclass(frozen=True)
class SeedResult:
    """What one seed gave.

    `subset` names the training rows drawn; `metrics` are shares or nats; `correct` has one packed bit for each example of a
    split; `predicted` counts the classes chosen; `predictions` digests the choices; `drawn` counts the rows that the method
    was given to learn from, by task.
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
    """What one timed window read, with the device alone.

    `times` has for each piece of work (step, evaluation, inference, merged inference) the seconds of
    one call, then that call in yardsticks of kernels and in yardsticks of dispatch. `yardsticks` are
    seconds of one yardstick of each kind: the machine's speed in this window. `readings` are bytes and
    joules by metric; `unread` says why a metric could not be read; `state` is what the device said of
    itself, `disturbed` why the window must not be judged, and `process` which process took it, by a
    random name.
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
    """All samples of a case, what it computes (signature, probe), what it costs, and the environment that it ran in.

    `windows` are the timed ones of a case that carries its method's cost; the others have none. `noise` has for each metric
    the sum of squares and the degrees of freedom of earlier accepted samples, and `learned` names those
    (compare/noise_carryover.py).
    `rows` has the digests of the first `ROWS` rows of each split that lies in a project's own files. `short_training` is
    what a baseline's few epochs of seed 0 gave (training/short_training.py).
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
        return next((one for one in self.seed_results if one.seed == seed), None)

    def to_json(self) -> str:
        return f"{pretty({'schema': SCHEMA} | asdict(self))}\n"

    @classmethod
    def from_json(cls, text: str) -> Result:
        """Read a result; anything else raises `ResultError` with one sentence."""
        data = fields_of(text, SCHEMA)
        try:
            samples = [
                SeedResult(**{**one, "trace": Trace(**one["trace"])})
                for one in data.pop("seed_results")
            ]
            windows = [Window(**one) for one in data.pop("windows")]
            result = cls(seed_results=samples, windows=windows, **data)
            for one in samples:
                for bits in one.correct.values():
                    unpack(bits)
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise ResultError(f"its fields are not those of a result ({error})") from None
        return result


def fields_of(text: str, schema: int) -> Json:
    """What a file of ours holds besides its schema's number; anything else raises `ResultError` with one sentence."""
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
            f"it is of a newer schema than {schema}, which this version reads: upgrade pytest-ftcompare"
        )
    return data


def pretty(value: object, indent: str = "") -> str:
    """JSON with sorted keys, an object's entries on lines of their own, lists of scalars on one line."""
    inner = f"{indent} "
    if isinstance(value, dict) and value:
        entries = (
            f"{inner}{json.dumps(key)}: {pretty(value[key], inner)}" for key in sorted(value)
        )
        return "{\n" + ",\n".join(entries) + f"\n{indent}}}"
    if isinstance(value, list) and any(isinstance(one, dict) for one in value):
        return "[\n" + ",\n".join(f"{inner}{pretty(one, inner)}" for one in value) + f"\n{indent}]"
    return json.dumps(value, ensure_ascii=False)

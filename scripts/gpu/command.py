"""Run pieces in order, each in its own process, and say what they gave."""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from pathlib import Path

from filelock import FileLock, Timeout

from scripts.gpu.card import identify
from scripts.gpu.piece import Piece, Run, Skipped
from scripts.gpu.pieces import PIECES
from scripts.gpu.process import call_apart, run_apart
from scripts.gpu.record import Record, RecordError
from scripts.gpu.scope import Scope
from scripts.gpu.table import cut

LOCK = ".lock"


class Refused(RuntimeError):
    """Nothing can be measured; the message says why in one sentence."""


def choose(names: Sequence[str]) -> list[Piece]:
    """Return the pieces with these names, or all; an unknown name raises `Refused`."""
    if unknown := [name for name in names if name not in PIECES]:
        raise Refused(f"expected pieces among {', '.join(PIECES)}; got {unknown[0]}")
    return [PIECES[name] for name in names or PIECES]


def run(
    pieces: Sequence[Piece],
    scope: Scope,
    records: Path,
    *,
    fresh: bool = False,
    retry: bool = False,
) -> int:
    """Run the pieces; their records lie in a folder of `records` named after the GPU.

    `fresh` drops the pieces' records first, and `retry` the units that failed. Return 0, or 1 if a
    piece's process died before it recorded anything. Raise `Refused` if the records forbid it.
    """
    # A CUDA context in this process would disturb the pieces, which must be alone on the GPU.
    card, versions = call_apart(identify, scope.start_method)
    folder = records / card.name
    folder.mkdir(parents=True, exist_ok=True)
    try:
        with FileLock(folder / LOCK, timeout=0):
            for piece in pieces if fresh else ():
                _path(folder, piece).unlink(missing_ok=True)
            # All records of a folder belong together, also those of pieces that do not run now.
            opened = {
                name: Record.open(_path(folder, piece), name, card, versions)
                for name, piece in PIECES.items()
            }
            return _run_all(pieces, scope, opened, retry=retry)
    except Timeout:
        raise Refused(
            f"expected to be alone with the records in {folder}, another `make gpu` has them: "
            "wait until it has ended"
        ) from None
    except RecordError as error:
        raise Refused(str(error)) from None


def _path(folder: Path, piece: Piece) -> Path:
    return folder / f"{piece.name}.json"


def _run_all(
    pieces: Sequence[Piece], scope: Scope, records: dict[str, Record], *, retry: bool
) -> int:
    stuck, unfinished = False, []
    for piece in pieces:
        record = records[piece.name]
        if retry and record.units:
            record.forget_failures()
        print(f"{piece.name}: {piece.purpose}", flush=True)
        start, before = time.monotonic(), len(record.units)
        try:
            units = piece.units(Run(scope, record, math.inf))
        except Skipped as reason:
            print(cut(f"  skipped: {reason}"), flush=True)
            continue
        if units.keys() <= record.units.keys():
            record.settle(complete=True)
        else:
            stuck |= run_apart(piece, scope, record)
        _say_result(piece, record, time.monotonic() - start, len(record.units) - before)
        if not record.complete:
            unfinished.append(piece.name)
    if unfinished:
        print(f"Not complete: {', '.join(unfinished)}. Run `make gpu` again to go on.")
    else:
        print("All units are on record. Now run `python -m scripts.docs_gpu`.")
    return int(stuck)


def _say_result(piece: Piece, record: Record, seconds: float, new: int) -> None:
    failed = [name for name, unit in record.units.items() if "failed" in unit]
    values = {name: unit["values"] for name, unit in record.units.items() if "values" in unit}
    for table in piece.tables(values) if values else ():
        for line in table.lines():
            print(line)
    if failed:
        print(cut(f"  failed: {'; '.join(failed)}"))
    print(
        f"  {new} units in {seconds:.0f} s, {len(record.units)} on record, {len(failed)} failed: "
        f"{record.path.name}",
        flush=True,
    )

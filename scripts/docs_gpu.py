"""Make docs/gpu.md from the records of `make gpu`: `python -m scripts.docs_gpu`.

The records are docs/gpu/<device>/<piece>.json.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from scripts.gpu.pieces import PIECES
from scripts.gpu.record import read
from scripts.gpu.table import Table

DOCS = Path(__file__).parents[1] / "docs"
RECORDS, PAGE = DOCS / "gpu", DOCS / "gpu.md"
HEAD = """# A GPU, measured

`make gpu` measures this machine's GPU in eight pieces. Each ends within eight minutes and leaves a
record, `docs/gpu/<device>/<piece>.json`. Call it again until no unit of work is left: what is on
record is not repeated. `python -m scripts.docs_gpu` makes this page from the records.

    make gpu                                   # all pieces, in order
    make gpu PIECES="smoke nvml"               # some of them
    make gpu OPTIONS=--retry                   # repeat the units that failed
    make gpu PIECES=plan OPTIONS=--fresh       # measure a piece again from its start
    FTCOMPARE_HUB=DIR make gpu PIECES=real     # real models from a hub folder
    make gpu REHEARSE=1                        # the same code on a pretended GPU, with tiny models

A unit that fails is recorded with its error, and the next one runs. A record belongs to one GPU,
driver and set of versions; another one is refused. Status 1 means that a piece's process died
before it recorded anything, status 2 that nothing could run. The rehearsal takes some two minutes
on two cores.
"""
# What each piece settles in the project.
SETTLES: Mapping[str, str] = {
    "smoke": "which methods run on a GPU at all",
    "nvml": "which readings can be trusted, and how long an energy reading must be",
    "determinism": "where `identical` can be asked for, and the tolerances of the probe",
    "timing": "the noise of time, memory and energy in `results/cost_metrics.py`",
    "faults": "which faults of cost are found on a GPU",
    "plan": "how far the plan is from the allocator",
    "pocket": "`baselines/<device>` and its `constraints.txt`",
    "real": "that real models run",
}
NO_RECORD = "**No GPU has been measured yet.** The pieces will fill in:"


def page(records: Path) -> Iterator[str]:
    """Return the lines of docs/gpu.md."""
    yield HEAD
    devices = sorted({file.parent for file in records.glob("*/*.json")})
    if not devices:
        yield f"{NO_RECORD}\n"
    yield "| piece | measures | settles |"
    yield "| --- | --- | --- |"
    for name, piece in PIECES.items():
        yield f"| `{name}` | {piece.purpose} | {SETTLES[name]} |"
    for device in devices:
        yield f"\n## {device.name}"
        yield from _device({name: device / f"{name}.json" for name in PIECES})


def _device(files: Mapping[str, Path]) -> Iterator[str]:
    """Yield the section of a device; its records belong to one GPU and its versions."""
    records = {name: read(file) for name, file in files.items() if file.is_file()}
    first = next(iter(records.values()))
    versions = ", ".join(f"{name} {text}" for name, text in sorted(first["versions"].items()))
    yield f"\n{first['card']['memory'] / 2**30:.0f} GiB; {versions}.\n"
    rows = [
        (
            f"`{name}`",
            record["date"],
            str(len(record["units"])),
            str(len(_failures(record))),
            "; ".join(_remarks(record)),
        )
        for name, record in records.items()
    ]
    yield from Table("The records", ("piece", "date", "units", "failed", ""), rows).markdown()
    for name, record in records.items():
        values = {
            unit: done["values"] for unit, done in record["units"].items() if "values" in done
        }
        failures = Table("Units that failed", ("unit", "error"), list(_failures(record).items()))
        tables = [*(PIECES[name].tables(values) if values else ()), failures]
        if any(table.rows for table in tables):
            yield f"\n### {name}: {PIECES[name].purpose}"
        for table in tables:
            if table.rows:
                yield ""
                yield from table.markdown()


def _remarks(record: Mapping[str, Any]) -> Iterator[str]:
    if not record["complete"]:
        yield "not complete"
    states = {unit["code"] for unit in record["units"].values()}
    if len(states) > 1:
        yield f"units of {len(states)} states of the code: measure again with OPTIONS=--fresh"


def _failures(record: Mapping[str, Any]) -> dict[str, str]:
    """Return the error of each unit that failed."""
    units = record["units"].items()
    return {name: str(unit["failed"]) for name, unit in units if "failed" in unit}


def main() -> None:
    """Write the page."""
    PAGE.write_text("\n".join(page(RECORDS)) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()

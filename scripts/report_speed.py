"""How large the HTML report is and how long a browser takes to open it, with 200 and with 1,000 cases.

`python -m scripts.report_speed REPORT.json`, a report of a real session: its cases are repeated under other
names until there are as many. Prints the table of docs/report.md. Needs `playwright` and a Chromium.
"""

from __future__ import annotations

import gzip
import json
import shutil
import sys
import tempfile
import time
from collections.abc import Iterator
from itertools import count, islice
from pathlib import Path
from statistics import median

from playwright.sync_api import sync_playwright

from pytest_ftcompare.report.page.render import render
from pytest_ftcompare.results.result import Json

SIZES = (200, 1000)  # cases
OPENED = 5  # times each
MARKS = ("table", "ready")  # of the page: sorted and filtered by its reader; everything drawn


def with_copies(document: Json, cases: int) -> Json:
    """The document with so many cases, copies told apart by an option."""

    def copies() -> Iterator[Json]:
        for number in count():
            for one in document["cases"]:
                other = {
                    "id": f"{one['id']}-copy={number}",
                    "options": one["options"] | {"copy": number},
                }
                yield one | other if number else one

    return document | {"cases": list(islice(copies(), cases))}


def opening_times(page: str) -> dict[str, float]:
    """Milliseconds from the start of opening a page to each of its marks, the median of several, each in a new browser."""
    found: dict[str, list[float]] = {name: [] for name in MARKS}
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as playwright:
        file = Path(folder) / "report.html"
        file.write_text(page, encoding="utf-8")
        for _ in range(OPENED):
            browser = playwright.chromium.launch(
                executable_path=shutil.which("chromium"), args=["--no-sandbox"]
            )
            tab = browser.new_page()
            tab.goto(file.as_uri())
            tab.wait_for_selector("html[data-ready]")
            for name, times in found.items():
                times.append(
                    tab.evaluate("name => performance.getEntriesByName(name)[0].startTime", name)
                )
            browser.close()
    return {name: median(times) for name, times in found.items()}


def main(report: Path) -> None:
    document = json.loads(report.read_text(encoding="utf-8"))
    render(document)  # packs the plotting library, which is kept
    print(
        "| cases | size | as sent by a server with gzip | made in | table usable | everything drawn |"
    )
    print("| --- | --- | --- | --- | --- | --- |")
    for cases in SIZES:
        larger = with_copies(document, cases)
        start = time.perf_counter()
        page = render(larger)
        seconds = time.perf_counter() - start
        size, sent = len(page.encode()) / 1e6, len(gzip.compress(page.encode())) / 1e6
        table, drawn = opening_times(page).values()
        print(
            f"| {cases:,} | {size:.1f} MB | {sent:.1f} MB | {seconds:.1f} s | {table / 1e3:.1f} s | {drawn / 1e3:.1f} s |"
        )


if __name__ == "__main__":
    main(Path(sys.argv[1]))

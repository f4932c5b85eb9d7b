"""Measure the HTML report's size and the time to open it, with 200 and with 1,000 cases.

`python -m scripts.report_speed REPORT.json` prints the table of docs/report.md. It repeats the
cases of a real session's report under other names. Needs `playwright` and Chromium.
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
OPENINGS = 5  # of each page
# The page's performance marks: the table is usable, everything is drawn.
MARKS = ("table", "ready")


def with_copies(document: Json, cases: int) -> Json:
    """Return the document with this number of cases; an option distinguishes copies."""

    def copies() -> Iterator[Json]:
        for number in count():
            for case in document["cases"]:
                changes = {
                    "id": f"{case['id']}-copy={number}",
                    "options": case["options"] | {"copy": number},
                }
                yield case | changes if number else case

    return document | {"cases": list(islice(copies(), cases))}


def opening_times(page: str) -> dict[str, float]:
    """Return milliseconds from opening to each mark, the median over new browsers."""
    times_of: dict[str, list[float]] = {name: [] for name in MARKS}
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as playwright:
        file = Path(folder) / "report.html"
        file.write_text(page, encoding="utf-8")
        for _ in range(OPENINGS):
            browser = playwright.chromium.launch(
                executable_path=shutil.which("chromium"), args=["--no-sandbox"]
            )
            tab = browser.new_page()
            tab.goto(file.as_uri())
            tab.wait_for_selector("html[data-ready]")
            for name, times in times_of.items():
                times.append(
                    tab.evaluate("name => performance.getEntriesByName(name)[0].startTime", name)
                )
            browser.close()
    return {name: median(times) for name, times in times_of.items()}


def main(report: Path) -> None:
    document = json.loads(report.read_text(encoding="utf-8"))
    # Packs the plotting library once, so that it is not timed.
    render(document)
    print("| cases | size | with gzip | rendered in | table usable | everything drawn |")
    print("| --- | --- | --- | --- | --- | --- |")
    for cases in SIZES:
        larger = with_copies(document, cases)
        start = time.perf_counter()
        page = render(larger)
        seconds = time.perf_counter() - start
        size, sent = len(page.encode()) / 1e6, len(gzip.compress(page.encode())) / 1e6
        table, drawn = opening_times(page).values()
        print(
            f"| {cases:,} | {size:.1f} MB | {sent:.1f} MB | {seconds:.1f} s "
            f"| {table / 1e3:.1f} s | {drawn / 1e3:.1f} s |"
        )


if __name__ == "__main__":
    main(Path(sys.argv[1]))

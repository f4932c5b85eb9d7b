"""Store the results of runs in an SQLite file, and report metrics over runs (docs/history.md)."""

from pytest_ftcompare.report.history.database import HistoryError, check
from pytest_ftcompare.report.history.report_section import earlier_runs
from pytest_ftcompare.report.history.writer import append

__all__ = ["HistoryError", "append", "check", "earlier_runs"]

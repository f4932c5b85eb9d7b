"""The history of runs: an SQLite file to which each run can add its results, and what it tells of them (docs/history.md)."""

from pytest_ftcompare.report.history.database import HistoryError, check
from pytest_ftcompare.report.history.report_section import for_document
from pytest_ftcompare.report.history.writer import append

__all__ = ["HistoryError", "append", "check", "for_document"]

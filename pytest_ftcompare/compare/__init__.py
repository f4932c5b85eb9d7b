"""Results against baselines: environment, differences, statistics, audits, verdicts. Plain Python: no torch, no pytest.

As a library: `compare` one result with its baseline, `compare_suites` two sets of them, `read` a folder (docs/compare.md).
"""

from pytest_ftcompare.compare.compare_results import compare, compare_suites
from pytest_ftcompare.compare.session_verdict import SessionVerdict
from pytest_ftcompare.compare.verdict import CaseVerdict
from pytest_ftcompare.results.result_folders import FolderError, read

__all__ = ["CaseVerdict", "FolderError", "SessionVerdict", "compare", "compare_suites", "read"]

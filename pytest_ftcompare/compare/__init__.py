"""Compare results with baselines: environment, divergences, statistics, audits and verdicts.

The folder needs neither torch nor pytest. As a library, `compare` judges one result, and
`compare_suites` two sets of results that `read` loaded from folders (docs/compare.md).
"""

from pytest_ftcompare.compare.compare_results import compare, compare_suites
from pytest_ftcompare.compare.session_verdict import SessionVerdict
from pytest_ftcompare.compare.verdict import CaseVerdict
from pytest_ftcompare.results.result_folders import FolderError, read

__all__ = ["CaseVerdict", "FolderError", "SessionVerdict", "compare", "compare_suites", "read"]

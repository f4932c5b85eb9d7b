"""Results against baselines: environment, differences, statistics, audits, verdicts. Plain Python: no torch, no pytest.

As a library: `compare` one result with its baseline, `compare_suites` two sets of them, `read` a folder (docs/compare.md).
"""

from pytest_ftcompare.compare.folders import FolderError, read
from pytest_ftcompare.compare.overall import Overall
from pytest_ftcompare.compare.suites import compare, compare_suites
from pytest_ftcompare.compare.verdict import Judgement

__all__ = ["FolderError", "Judgement", "Overall", "compare", "compare_suites", "read"]

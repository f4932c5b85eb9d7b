"""End a command with its exit status: an error that the user can remove is one sentence."""

from __future__ import annotations

import sys
from collections.abc import Callable

from pytest_ftcompare.environments.cache_folder import CacheError
from pytest_ftcompare.environments.checkout import CheckoutError
from pytest_ftcompare.environments.environment_cache import EnvironmentRefused
from pytest_ftcompare.environments.installer import InstallError
from pytest_ftcompare.environments.requirements import RequirementError
from pytest_ftcompare.upgrade.history import HistoryError
from pytest_ftcompare.upgrade.session import TryError

OK, WORSE, USAGE, INTERRUPTED = 0, 1, 2, 130
ERRORS = (
    CacheError,
    CheckoutError,
    EnvironmentRefused,
    HistoryError,
    InstallError,
    RequirementError,
    TryError,
)


def exit_status(work: Callable[[], int]) -> int:
    """Return the status that `work` returns, or that of the error that ended it."""
    try:
        return work()
    except ERRORS as error:
        print(f"ERROR: {error}", file=sys.stderr)
        return USAGE
    except KeyboardInterrupt:
        print("interrupted: the same command goes on with what is finished", file=sys.stderr)
        return INTERRUPTED

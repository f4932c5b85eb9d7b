"""pytest-ftcompare: a regression gate for fine-tuning stacks.

The methods lie in `methods/` beside this package in a clone, and inside it in a wheel. In a clone
`pytest_ftcompare/methods` is a link to them, so a name means the same either way.
"""

from pathlib import Path

__version__ = "0.1.0"

# For pytest_ftcompare.suites, and for methods where the checkout made no link.
_clone = Path(__file__).resolve().parents[1]
if (_clone / "methods" / "base.py").is_file():
    __path__.append(str(_clone))

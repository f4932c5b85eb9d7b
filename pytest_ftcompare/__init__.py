"""pytest-ftcompare: a regression gate for fine-tuning stacks.

In a clone, `methods/` lies beside this package, and `pytest_ftcompare/methods` links to it. In a
wheel, it lies inside. The import name is `pytest_ftcompare.methods` in both.
"""

from pathlib import Path

__version__ = "0.1.0"

# Finds pytest_ftcompare.suites, and methods if the checkout made no link.
_clone = Path(__file__).resolve().parents[1]
if (_clone / "methods" / "base.py").is_file():
    __path__.append(str(_clone))

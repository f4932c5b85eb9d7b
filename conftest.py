"""Load the plugin in a clone, where it is not installed."""

import sys

if "pytest_ftcompare.plugin" not in sys.modules:
    pytest_plugins = ["pytest_ftcompare.plugin"]

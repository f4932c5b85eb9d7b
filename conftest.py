"""The root of the clone: the plugin is on without being installed."""

import sys

if "pytest_ftcompare.plugin" not in sys.modules:
    pytest_plugins = ["pytest_ftcompare.plugin"]

"""Gate one environment against another, and search for what made cases fail.

`try_upgrade.py` gates an upgrade, `bisection.py` searches; `session.py` runs pytest for both.
"""

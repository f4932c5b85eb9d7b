"""Tables of cases and of claims, one file per suite.

This is a package so that `--pyargs` finds it when installed.
"""

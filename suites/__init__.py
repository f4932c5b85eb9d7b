"""WHAT is compared: tables of cases and of claims, one file a suite; a package so that `--pyargs` finds it installed."""

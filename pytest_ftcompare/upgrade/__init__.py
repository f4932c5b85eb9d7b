"""Try an upgrade: make an environment with it, and gate it against the one that runs.

`try_upgrade.py` is the command; `lock.py` says what an environment has, `installer.py` what a
change brings with it, and `environments.py` makes and keeps environments.
"""

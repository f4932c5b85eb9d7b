"""Make and keep environments of Python: what one has, what a change brings, what is installed.

`lock.py` says what an environment has, `requirements.py` and `installer.py` what a change brings
with it, and `environment_cache.py` makes and keeps environments.
"""

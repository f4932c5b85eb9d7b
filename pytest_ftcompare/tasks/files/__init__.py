"""Data files as people bring them: which files a name stands for, and the rows in them, read as
written or refused.

Called by hub.py for the splits of a task. A file that can be read in two ways is refused with what
to say in `format = { ... }`; nothing is guessed.
"""

from pytest_ftcompare.tasks.files.find import FORMATS, check_shards, files_of, split_of
from pytest_ftcompare.tasks.files.format import Format, make_format
from pytest_ftcompare.tasks.files.read import rows

__all__ = ["FORMATS", "Format", "check_shards", "files_of", "make_format", "rows", "split_of"]

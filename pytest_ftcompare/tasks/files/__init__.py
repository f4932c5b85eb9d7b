"""Find and read a project's data files in text and Arrow formats.

`custom.py` and `hub.py` call this. A file that can be read in two ways is refused, and the message
names the setting to add to `format = { ... }`.
"""

from pytest_ftcompare.tasks.files.find import FORMATS, check_shards, files_of, split_of
from pytest_ftcompare.tasks.files.format import Format, make_format
from pytest_ftcompare.tasks.files.read import rows

__all__ = ["FORMATS", "Format", "check_shards", "files_of", "make_format", "rows", "split_of"]

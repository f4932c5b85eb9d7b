"""Digests of parsed source: what counts as an edit."""

import pytest

from pytest_ftcompare.measure.source_digest import digest

SOURCE = '''"""Says what it is."""

RATE = 0.5


class Model:
    """A class."""

    def run(self, rows):
        """A function."""
        return [row * RATE for row in rows]  # why
'''


def of(tmp_path, text, name="model.py"):
    file = tmp_path / name
    file.write_text(text)
    return digest([file])


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("  # why", ""),
        ('"""A function."""', '"""Another word."""'),
        ('"""Says what it is."""\n', ""),
        ("\n\n\nclass", "\nclass"),
        ("[row * RATE for row in rows]", "[\n            row * RATE for row in rows\n        ]"),
    ],
)
def test_comments_docstrings_and_layout_are_no_edit(tmp_path, old, new):
    assert old in SOURCE
    before = of(tmp_path, SOURCE)
    (tmp_path / "model.py").unlink()
    assert of(tmp_path, SOURCE.replace(old, new)) == before


@pytest.mark.parametrize(
    ("old", "new"), [("0.5", "0.25"), ("row * RATE", "RATE * row"), ("run", "ran")]
)
def test_what_it_computes_or_is_called_is_an_edit(tmp_path, old, new):
    before = of(tmp_path, SOURCE)
    (tmp_path / "model.py").unlink()
    assert of(tmp_path, SOURCE.replace(old, new)) != before


def test_names_count_and_their_order_does_not(tmp_path):
    for name in ("a.py", "b.py"):
        (tmp_path / name).write_text("x = 1")
    files = [tmp_path / "a.py", tmp_path / "b.py"]
    assert digest(files) == digest(files[::-1])
    assert digest(files[:1]) != digest(files[1:])


def test_other_files_than_python_count_by_their_bytes(tmp_path):
    assert of(tmp_path, "x  # a", "rows.jsonl") != of(tmp_path, "x  # bb", "rows.jsonl")
    assert of(tmp_path, "def f(:") != of(tmp_path, "def g(:")

"""The page docs/gpu.md is made from the records of `make gpu`."""

import pytest

from scripts import docs_gpu
from scripts.gpu.card import Card
from scripts.gpu.pieces import PIECES
from scripts.gpu.record import Record
from scripts.gpu.table import WIDTH, Table

CARD = Card("nvidia-h200", "0123456789ab", 141 << 30)


def text(folder):
    return "\n".join(docs_gpu.page(folder)) + "\n"


def test_the_page_of_gpus_is_generated_from_their_records():
    assert docs_gpu.PAGE.read_text() == text(docs_gpu.RECORDS)


def test_without_a_record_the_page_says_so_and_what_each_piece_will_fill_in(tmp_path):
    page = text(tmp_path)
    assert "**No GPU has been measured yet.**" in page
    assert not [name for name in PIECES if f"| `{name}` | " not in page]
    assert docs_gpu.SETTLES.keys() == PIECES.keys()


def test_a_record_gives_its_tables_and_its_failures(tmp_path):
    record = Record.open(tmp_path / CARD.name / "plan.json", "plan", CARD, {"torch": "2.13.0"})
    values = {"planned bytes": 4 << 30, "allocated bytes": 5 << 30}
    record.finish("lora, 2 layers", 1.0, values=values)
    record.finish("qlora, 2 layers", 1.0, failed="ValueError: a | b")
    page = text(tmp_path)
    assert "No GPU has been measured" not in page
    assert "## nvidia-h200\n\n141 GiB; torch 2.13.0.\n" in page
    assert "| 2 layers | lora | 4.000 | 5.000 | +25.0% |" in page
    assert "| qlora, 2 layers | ValueError: a / b |" in page
    assert CARD.digest not in page


@pytest.mark.parametrize("name", PIECES)
def test_a_piece_of_which_nothing_was_done_has_no_table(name):
    assert list(PIECES[name].tables({})) == []


def test_a_table_fits_a_terminal():
    table = Table("A title", ("name", "text"), [("short", "x" * 200), ("longer", "y")])
    lines = list(table.lines())
    assert lines[1] == "    name    text" and max(map(len, lines)) == WIDTH

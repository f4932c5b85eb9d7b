"""A record of `make gpu` belongs to one GPU and its versions, and keeps what was done."""

from dataclasses import replace

import pytest

from scripts.gpu.card import Card
from scripts.gpu.record import Record, RecordError

CARD = Card("nvidia-h200", "0123456789ab", 150 << 30)
VERSIONS = {"torch": "2.13.0", "driver": "575.57.08"}


@pytest.fixture
def path(tmp_path):
    return tmp_path / "nvidia-h200" / "smoke.json"


def opened(path, card=CARD, versions=VERSIONS):
    return Record.open(path, "smoke", card, versions)


def without_code(unit):
    """Return a unit without the digest of the code, which it must have."""
    assert len(unit["code"]) == 12
    return {name: value for name, value in unit.items() if name != "code"}


def test_units_are_read_back_with_what_they_gave(path):
    record = opened(path)
    record.finish("lora", 1.234, values={"loss": 0.5})
    record.finish("oft", 2.0, failed="ValueError: no")
    record.settle(complete=True)
    again = opened(path)
    assert again.complete
    assert {name: without_code(unit) for name, unit in again.units.items()} == {
        "lora": {"seconds": 1.23, "values": {"loss": 0.5}},
        "oft": {"seconds": 2.0, "failed": "ValueError: no"},
    }


def test_a_record_does_not_hold_the_uuid_in_clear(path):
    opened(path).settle(complete=False)
    assert CARD.digest in path.read_text() and "GPU-" not in path.read_text()


@pytest.mark.parametrize(
    ("card", "versions", "words"),
    [
        (replace(CARD, digest="ba9876543210"), VERSIONS, "expected a record of this GPU"),
        (CARD, VERSIONS | {"torch": "2.14.0"}, "(torch 2.13.0 -> 2.14.0)"),
        (CARD, VERSIONS | {"driver": "580.1"}, "(driver 575.57.08 -> 580.1)"),
    ],
)
def test_a_record_of_another_gpu_or_of_other_versions_is_refused(path, card, versions, words):
    opened(path).finish("lora", 1.0, values={})
    with pytest.raises(RecordError, match="--fresh") as refused:
        opened(path, card, versions)
    assert words in str(refused.value) and str(path) in str(refused.value)
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"piece": "smoke"'])
def test_another_file_is_refused(path, text):
    path.parent.mkdir()
    path.write_text(text)
    with pytest.raises(RecordError, match="expected a record of `make gpu`"):
        opened(path)


def test_a_unit_in_which_a_process_died_is_noted(path):
    opened(path).begin("lora")
    record = opened(path)
    assert record.tries("lora") == 1 and not record.units
    record.begin("lora")
    record.cancel("lora")
    assert opened(path).tries("lora") == 0


def test_failures_are_forgotten_to_be_tried_again(path):
    record = opened(path)
    record.finish("lora", 1.0, values={})
    record.finish("oft", 1.0, failed="ValueError: no")
    record.settle(complete=True)
    record.forget_failures()
    assert opened(path).units.keys() == {"lora"} and not opened(path).complete


def test_a_complete_record_without_failures_stays_complete(path):
    record = opened(path)
    record.finish("lora", 1.0, values={})
    record.settle(complete=True)
    record.forget_failures()
    assert opened(path).complete

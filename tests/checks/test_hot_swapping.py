"""A fault of hot-swapping in a running PEFT is found."""

import pytest
from peft.utils import hotswap

from pytest_ftcompare.checks import hot_swapping, tiny_models
from pytest_ftcompare.checks.hot_swapping import check_hotswapping
from pytest_ftcompare.compare import known_faults
from pytest_ftcompare.results.case import Case
from pytest_ftcompare.training.config import TrainingConfig
from pytest_ftcompare.training.prepare import prepare

pytestmark = pytest.mark.filterwarnings("ignore::UserWarning")
CASE = Case("test", "lora", "pocket_sst", "tiny/llama", 4, (("output_mode", "pattern"),))


@pytest.fixture
def lora(tmp_path):
    tiny_models.save("llama", tmp_path)
    return prepare(CASE, TrainingConfig("pocket", max_length=128, hub=tmp_path))


def test_a_hot_swap_with_the_old_scale_is_found(lora, monkeypatch):
    known = [fault.sentence for fault in known_faults.HOT_SWAP_FAULTS["layers"]][:2]
    broken, refused = check_hotswapping(lora, None)
    assert [sentence.startswith(start) for sentence, start in zip(broken, known, strict=True)] == [
        True,
        True,
    ]
    assert len(refused) == 3
    monkeypatch.setattr(hotswap, "_update_scaling", lambda *_, **__: None)
    (first, *_), _ = check_hotswapping(lora, None)
    assert first.startswith("hot-swapped for an adapter of another scale, an adapter must keep its")


def test_a_hot_swap_that_is_not_done_is_found(lora, monkeypatch):
    monkeypatch.setattr(hot_swapping, "hotswap_adapter", lambda *_, **__: None)
    (first, *_), _ = check_hotswapping(lora, None)
    assert first.startswith("hot-swapped for an adapter of equal shape, an adapter must keep its")


def test_refused_operations_are_told(lora, monkeypatch):
    def refusing(*_, **__):
        raise NotImplementedError("no adapter of this kind is swapped")

    monkeypatch.setattr(hot_swapping, "hotswap_adapter", refusing)
    broken, refused = check_hotswapping(lora, None)
    assert (broken, len(refused)) == ([], 6)

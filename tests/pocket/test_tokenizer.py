"""Test the tokenizer's files: transformers 4 and 5 know the class that they name."""

import json

import pytest

from pytest_ftcompare.pocket.tokenizer import save_tokenizer, train_tokenizer
from pytest_ftcompare.tasks.hub import locate

MODELS = ("opt-0.4m", "opt-1.4m", "opt-1.4m-instruct")


def config(folder):
    return json.loads((folder / "tokenizer_config.json").read_text())


@pytest.mark.parametrize("model", MODELS)
def test_the_embedded_tokenizers_are_as_the_script_saves_them(model, tmp_path):
    from transformers import AutoTokenizer

    embedded = locate("models", f"pocket/{model}", None, None)
    save_tokenizer(AutoTokenizer.from_pretrained(embedded), tmp_path)
    for name in ("tokenizer_config.json", "tokenizer.json"):
        assert (tmp_path / name).read_text() == (embedded / name).read_text()


def test_a_new_tokenizer_names_a_class_that_transformers_4_and_5_know(tmp_path):
    train_tokenizer(tmp_path, count=20)
    written = config(tmp_path)
    assert written["tokenizer_class"] == "PreTrainedTokenizerFast"
    assert not {"backend", "is_local", "local_files_only"} & written.keys()

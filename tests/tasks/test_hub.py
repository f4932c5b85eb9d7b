"""Test where models and data lie: a local folder, pinned downloads, three file formats."""

import json
from pathlib import Path

import pytest
from datasets import Dataset, load_dataset

from pytest_ftcompare import tasks
from pytest_ftcompare.tasks import DataError
from pytest_ftcompare.tasks.hub import EMBEDDED, OTHER_FRAMEWORKS, HubError, locate, read_split

ROWS = [{"sentence": "the dog sleeps .", "label": 1}, {"sentence": 'a "quoted" cat', "label": 0}]


def test_jsonl_tsv_and_parquet_give_the_same_rows(tmp_path):
    (tmp_path / "a.jsonl").write_text("".join(f"{json.dumps(row)}\n" for row in ROWS))
    (tmp_path / "b.tsv").write_text(
        "sentence\tlabel\n" + "".join(f"{row['sentence']}\t{row['label']}\n" for row in ROWS)
    )
    Dataset.from_list(ROWS).to_parquet(tmp_path / "c-00000-of-00001.parquet")
    assert [list(read_split(tmp_path, name)) for name in "abc"] == [ROWS] * 3


def test_a_missing_split_lists_the_files_that_exist(tmp_path):
    (tmp_path / "train.jsonl").write_text("")
    with pytest.raises(DataError, match=r"expected one of test\.jsonl, .* found train\.jsonl"):
        list(read_split(tmp_path, "test"))


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (b'{"a": 1}\n{"a"', "line 2 is not JSON"),
        (b"\xff\xfe", "expected UTF-8"),
        (b"[1]\n", "line 1 has list"),
    ],
)
def test_an_invalid_data_file_names_file_and_line(tmp_path, content, sentence):
    (tmp_path / "train.jsonl").write_bytes(content)
    with pytest.raises(DataError, match=sentence):
        list(read_split(tmp_path, "train"))


@pytest.mark.parametrize("suffix", ["jsonl", "tsv"])
def test_a_line_of_ten_million_characters_is_a_row_like_others(tmp_path, suffix):
    long = "x" * 10_000_000
    lines = {"jsonl": f'{{"sentence": "{long}"}}\n', "tsv": f"sentence\n{long}\n"}[suffix]
    (tmp_path / f"train.{suffix}").write_text(lines)
    assert list(read_split(tmp_path, "train")) == [{"sentence": long}]


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (
            b"sentence\tlabel\nx\tno\n",
            r"expected a number as label in .*train\.tsv, row 0 has 'no'",
        ),
        (
            b"sentence\tlabel\nx\t1\ty\n",
            r"expected a table in .*train\.tsv: its header has 2 columns, line 2 has another",
        ),
        (
            b"sentence\tlabel\nx\n",
            r"expected a table in .*train\.tsv: its header has 2 columns, line 2 has another",
        ),
        (
            "sentence\tlabel\né\t1\n".encode("latin-1"),
            "expected UTF-8 in .*, the byte at offset 15 is not UTF-8",
        ),
    ],
)
def test_an_invalid_table_names_file_and_line(tmp_path, content, sentence):
    (tmp_path / "train.tsv").write_bytes(content)
    with pytest.raises(DataError, match=sentence):
        list(read_split(tmp_path, "train"))


def test_a_missing_model_says_how_to_fetch_it(tmp_path):
    with pytest.raises(HubError, match="hf download org/name --repo-type model --local-dir"):
        locate("models", "org/name", tmp_path)


def test_an_id_without_a_folder_or_a_pinned_revision_is_refused():
    with pytest.raises(HubError, match="expected the model org/name in a folder --ftcompare-hub"):
        locate("models", "org/name", None)


def test_a_pinned_id_is_downloaded_at_its_revision(monkeypatch, tmp_path):
    import huggingface_hub

    asked = []
    monkeypatch.setattr(
        huggingface_hub,
        "snapshot_download",
        lambda *args, **named: asked.append((args, named)) or tmp_path,
    )
    assert locate("models", "org/name", None, "abc") == tmp_path
    assert asked == [
        (
            ("org/name",),
            {"repo_type": "model", "revision": "abc", "ignore_patterns": OTHER_FRAMEWORKS},
        )
    ]


@pytest.mark.parametrize(
    ("folder", "what_to_do"),
    [
        (None, ": check the network, or give a local folder with --ftcompare-hub"),
        ("hub", ", and found none at hub/models/org/name: check the network, or put it there"),
    ],
)
def test_a_download_that_fails_is_one_sentence(monkeypatch, folder, what_to_do):
    import huggingface_hub

    def fails(*_, **__):
        raise ConnectionError("unreachable")

    monkeypatch.setattr(huggingface_hub, "snapshot_download", fails)
    with pytest.raises(HubError) as caught:
        locate("models", "org/name", folder and Path(folder), "abc")
    failure = "could not fetch org/name at abc from the hub (ConnectionError)"
    assert str(caught.value) == failure + what_to_do


def adapter(folder, *names, **config):
    """Write an adapter's files, with the configuration that PEFT writes."""
    folder.mkdir(parents=True, exist_ok=True)
    for name in names or ("adapter_config.json", "adapter_model.safetensors"):
        (folder / name).write_text(json.dumps({"peft_type": "LORA", **config}))


ORIGIN = {"peft_version": "0.21.2", "base_model_name_or_path": "org/base"}
BOTH = "adapter_config.json, adapter_model.safetensors"
ADAPTERS = {
    "one": (
        lambda folder: adapter(folder, **ORIGIN),
        f"{BOTH} (saved by peft 0.21.2, for the base model org/base): merge",
    ),
    "two, the second in a sub-folder": (
        lambda folder: (adapter(folder, **ORIGIN), adapter(folder / "second")),
        f"{BOTH}, second/adapter_config.json, second/adapter_model.safetensors (",
    ),
    "two in sub-folders": (
        lambda folder: (adapter(folder / "a", **ORIGIN), adapter(folder / "b")),
        "it has a/adapter_config.json, a/adapter_model.safetensors, b/adapter_config.json, ",
    ),
    "two side by side": (
        lambda folder: adapter(folder, *BOTH.split(", "), "adapter_model_2.safetensors"),
        f"it has {BOTH}, adapter_model_2.safetensors: merge",
    ),
    "of a newer peft": (
        lambda folder: adapter(folder, peft_version="9.0", peft_type="NEW", new_key=1),
        f"{BOTH} (saved by peft 9.0): merge",
    ),
    "with an absolute path": (
        lambda folder: adapter(folder, **(ORIGIN | {"base_model_name_or_path": "/home/a/base"})),
        ", for the base model /home/a/base): merge",
    ),
    "in shards": (
        lambda folder: adapter(folder, *(f"adapter_model-{k}-of-9.bin" for k in range(9))),
        "adapter_model-3-of-9.bin, ...: merge",
    ),
    "half a file": (
        lambda folder: (adapter(folder), (folder / "adapter_config.json").write_text("{")),
        f"{BOTH}: merge",
    ),
}


@pytest.mark.parametrize("whole", [False, True])
@pytest.mark.parametrize("kind", ADAPTERS)
def test_a_model_with_an_adapter_is_refused(tmp_path, kind, whole):
    make, sentence = ADAPTERS[kind]
    folder = tmp_path / "models" / "org" / "name"
    make(folder)
    if whole:
        (folder / "config.json").write_text("{}")
        if kind == "two in sub-folders":
            assert locate("models", "org/name", tmp_path) == folder, "transformers reads no adapter"
            return
        sentence = sentence.split(", second/")[0]
    with pytest.raises(HubError) as raised:
        locate("models", "org/name", tmp_path)
    message = str(raised.value)
    assert message.startswith(f"expected a model without an adapter in {folder}, it has ")
    assert sentence in message and ".merge_and_unload(), and save_pretrained that" in message
    assert message.endswith(", or move the files of the adapter away") is whole


def test_a_download_with_an_adapter_is_refused_and_a_data_set_is_not(monkeypatch, tmp_path):
    import huggingface_hub

    monkeypatch.setattr(huggingface_hub, "snapshot_download", lambda *_, **__: tmp_path)
    adapter(tmp_path)
    with pytest.raises(HubError, match="expected a model without an adapter"):
        locate("models", "org/name", None, "abc")
    assert locate("datasets", "org/name", None, "abc") == tmp_path


def test_datasets_reads_the_same_embedded_rows():
    file = EMBEDDED / "datasets" / "pocket" / "cola" / "test.jsonl"
    expected = load_dataset("json", data_files=str(file), split="train")
    assert list(expected) == list(read_split(file.parent, "test"))


@pytest.mark.parametrize("name", [name for name in tasks.NAMES if name.startswith("pocket")])
def test_every_embedded_task_reads_and_its_splits_share_no_row(name):
    task = tasks.load(name)
    seen = [
        {
            json.dumps(dict(one.fields))
            for one in task.convert(
                split, read_split(locate("datasets", source.dataset, None), source.split)
            )
        }
        for split, source in task.splits().items()
    ]
    assert all(len(one) >= (70 if task.generative else 200) for one in seen)
    assert not seen[0] & seen[1] and not seen[0] & seen[2] and not seen[1] & seen[2]

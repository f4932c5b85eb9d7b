"""Test real rows with real models: the same experiment in each file format.

`FTCOMPARE_HUB=DIR` as in test_real_models.py: CoLA as CSV and as sharded Parquet, English
instructions as conversations.
"""

import csv
import json
import os
from pathlib import Path

import pytest
from datasets import Dataset
from transformers import AutoTokenizer

from pytest_ftcompare import tasks
from pytest_ftcompare.results.case import Case
from pytest_ftcompare.tasks.custom import make_task
from pytest_ftcompare.tasks.hub import read_split
from pytest_ftcompare.training.config import TrainingConfig
from pytest_ftcompare.training.prepare import prepare

HUB = Path(os.environ.get("FTCOMPARE_HUB", ""))
SMOL = "HuggingFaceTB/SmolLM2-135M-Instruct"
MINILM = "sentence-transformers/all-MiniLM-L6-v2"
ROWS = 400

pytestmark = pytest.mark.skipif(
    not HUB.name, reason="FTCOMPARE_HUB names no folder with real models and data: docs/hub.md"
)


def prepared(monkeypatch, root, model, **table):
    if not (HUB / "models" / model).is_dir():
        pytest.skip(f"{HUB} has no models/{model}")
    monkeypatch.setitem(tasks.ADDED, "mine", make_task("mine", table, root))
    return prepare(
        Case("t", "full", "mine", model, 8), TrainingConfig("paper", max_length=256, hub=HUB)
    )


def test_cola_is_the_same_experiment_as_csv_and_as_shards(tmp_path, monkeypatch):
    rows = [
        {"text": row["sentence"], "kind": ("no", "yes")[row["label"]]}
        for row, _ in zip(
            read_split(HUB / "datasets/nyu-mll/cola", "train"), range(ROWS), strict=False
        )
    ]
    (tmp_path / "rows.jsonl").write_text("".join(f"{json.dumps(row)}\n" for row in rows))
    with (tmp_path / "rows.csv").open("w", newline="") as file:
        csv.writer(file).writerows([("text", "kind"), *(row.values() for row in rows)])
    for number in range(2):
        shard = Dataset.from_list(rows).shard(2, number, contiguous=True)
        shard.to_parquet(tmp_path / f"rows-{number:05}-of-00002.parquet")
    table = {"label": "kind", "labels": ["no", "yes"], "text_template": "{text}"}
    made = [
        prepared(monkeypatch, tmp_path, MINILM, train=train, **table)
        for train in ("rows.jsonl", "rows.csv", "rows-*.parquet")
    ]
    assert len({one.fingerprint() for one in made}) == 1
    assert sum(map(len, made[0].examples.values())) > 0.9 * ROWS


def test_instructions_are_conversations_as_the_model_writes_them(tmp_path, monkeypatch):
    asked = [
        {
            "messages": [
                {"role": "user", "content": row["instruction"]},
                {"role": "assistant", "content": row["output"]},
            ]
        }
        for row, _ in zip(
            read_split(HUB / "datasets/llamafactory/alpaca_en_demo", "train"),
            range(60),
            strict=False,
        )
    ]
    (tmp_path / "chat.jsonl").write_text("".join(f"{json.dumps(row)}\n" for row in asked))
    made = prepared(
        monkeypatch,
        tmp_path,
        SMOL,
        train="chat.jsonl",
        chat="messages",
        answer="messages",
        text_template="{messages}",
    )
    tokenizer = AutoTokenizer.from_pretrained(HUB / "models" / SMOL)
    by_answer = {row["messages"][1]["content"]: row["messages"][:1] for row in asked}
    for one in made.examples["train"]:
        theirs = tokenizer.apply_chat_template(
            by_answer[one.label], tokenize=True, add_generation_prompt=True
        )
        assert tokenizer(one.fields["messages"])["input_ids"] == list(theirs["input_ids"])

"""Write the embedded data sets as JSON lines: train pool, test and out-of-domain test of each task.

`scripts/make_pocket.py` calls `make_data`. Labels are balanced, rows are distinct, and no two
splits share a row. The order is part of the data.
"""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from pytest_ftcompare.pocket import acceptability, entailment, entities, sentiment
from pytest_ftcompare.pocket.grammar import HELD_OUT, SEEN, Rng
from pytest_ftcompare.pocket.instructions import Instruction, instruction
from pytest_ftcompare.pocket.requests import request
from pytest_ftcompare.pocket.sums import problem

Row = dict[str, Any]
SIZES = {"train": 1600, "test": 400, "ood": 400}
HALF_SIZE_TASKS = ("sst", "ner", "instructions")


def _acceptability(
    constructions: tuple[acceptability.Construction, ...], ood: bool
) -> Callable[[Rng], Row]:
    def make(rng: Rng) -> Row:
        construction = rng.choice(constructions)
        good, bad = construction(rng, HELD_OUT if ood and rng.random() < 0.5 else SEEN)
        label = rng.randrange(2)
        sentence = acceptability.finish(good if label else bad)
        return {"sentence": sentence, "label": label, "construction": construction.__name__}

    return make


def _entailment(inferences: tuple[entailment.Inference, ...], ood: bool) -> Callable[[Rng], Row]:
    def make(rng: Rng) -> Row:
        inference = rng.choice(inferences)
        premise, hypothesis, entailed = inference(
            rng, HELD_OUT if ood and rng.random() < 0.5 else SEEN
        )
        return {
            "premise": f"{premise} .",
            "hypothesis": f"{hypothesis} .",
            "label": 0 if entailed else 1,
            "construction": inference.__name__,
        }

    return make


def _sentiment(make: Callable[[Rng], sentiment.Review]) -> Callable[[Rng], Row]:
    def row(rng: Rng) -> Row:
        text, good = make(rng)
        return {"sentence": f"{text} .", "label": int(good)}

    return row


def _tagged(make: Callable[[Rng], entities.Tagged]) -> Callable[[Rng], Row]:
    def row(rng: Rng) -> Row:
        tokens, tags = make(rng)
        return {"tokens": list(tokens), "tags": [entities.TAGS.index(tag) for tag in tags]}

    return row


def instruction_row(item: Instruction) -> Row:
    """Return a request as a row of its data set."""
    return {
        "kind": item.kind,
        "instruction": item.instruction,
        "input": item.input,
        "output": item.output,
    }


MAKERS: dict[str, dict[str, Callable[[Rng], Row]]] = {
    "cola": {
        "train": _acceptability(acceptability.IN_DOMAIN, False),
        "test": _acceptability(acceptability.IN_DOMAIN, False),
        "ood": _acceptability(acceptability.OUT_OF_DOMAIN, True),
    },
    "mnli": {
        "train": _entailment(entailment.IN_DOMAIN, False),
        "test": _entailment(entailment.IN_DOMAIN, False),
        "ood": _entailment(entailment.OUT_OF_DOMAIN, True),
    },
    "sst": {
        "train": _sentiment(sentiment.review),
        "test": _sentiment(sentiment.review),
        "ood": _sentiment(sentiment.shifted_review),
    },
    "ner": {
        "train": _tagged(entities.sentence),
        "test": _tagged(entities.sentence),
        "ood": _tagged(entities.shifted_sentence),
    },
    "instructions": dict.fromkeys(("train", "test"), lambda rng: instruction_row(instruction(rng))),
    "requests": {
        "train": lambda rng: instruction_row(request(rng)),
        "test": lambda rng: instruction_row(request(rng)),
        "ood": lambda rng: instruction_row(request(rng, shifted=True)),
    },
    "sums": {
        "train": lambda rng: instruction_row(problem(rng)),
        "test": lambda rng: instruction_row(problem(rng)),
        "ood": lambda rng: instruction_row(problem(rng, shifted=True)),
    },
}


def _distinct(make: Callable[[Rng], Row], rng: Rng, count: int, seen: set[str]) -> list[Row]:
    """Return `count` new rows, balanced between labels if rows have one."""
    rows: list[Row] = []
    wanted = {0: count // 2, 1: count - count // 2}
    tries = 0
    while len(rows) < count:
        if (tries := tries + 1) > 400 * count:
            raise RuntimeError(
                f"{make} gives fewer than {count} distinct rows: make its grammar richer"
            )
        row = make(rng)
        key = json.dumps(
            {
                name: value
                for name, value in row.items()
                if name not in ("label", "tags", "construction")
            }
        )
        if key in seen or wanted.get(row.get("label", 0), 1) == 0:
            continue
        if "label" in row:
            wanted[row["label"]] -= 1
        seen.add(key)
        rows.append(row)
    return rows


def write_jsonl(path: Path, rows: Iterable[Row]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(
        "".join(f"{json.dumps(row, ensure_ascii=False)}\n" for row in rows), encoding="utf-8"
    )


def make_data(target: Path, seed: int = 11) -> None:
    """Write `target/<task>/<split>.jsonl` for every task."""
    for task, splits in MAKERS.items():
        seen: set[str] = set()
        for split, make in splits.items():
            # These tasks have fewer distinct sentences.
            size = SIZES[split] // 2 if task in HALF_SIZE_TASKS else SIZES[split]
            rng = random.Random(f"{seed} {task} {split}")
            write_jsonl(target / task / f"{split}.jsonl", _distinct(make, rng, size, seen))

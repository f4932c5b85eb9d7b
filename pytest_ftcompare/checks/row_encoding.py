"""Rows on their way to the model: what must hold of their text and of their label, without a baseline and without a model."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import cycle, islice

from pytest_ftcompare.training.prepare import Prepared
from pytest_ftcompare.training.trial import Trial


def as_read(prepared: Prepared) -> Iterator[str]:
    """A text that is too long is cut to what the model reads, and keeps the side that the model is asked at."""
    ask, rows, text = prepared.ask, prepared.examples["train"], ""
    for power in range(ask.max_length.bit_length() + 1):  # as many rows as tokens are too long, unless they are blank
        text = " ".join(str(field) for one in islice(cycle(rows), 2**power) for field in one.fields.values())
        if not ask.fits(text):
            break
    else:
        return
    whole, read = ask.tokenizer(text, verbose=False)["input_ids"], ask.encode([text])[0]
    half = ask.max_length // 2  # a tokenizer may put tokens of its own at either end
    kept = read[:half] == whole[:half] if ask.ask == "head" else read[-half:] == whole[-half:]
    if half and not kept:
        yield f"a text that is too long must keep its {'begin' if ask.ask == 'head' else 'end'}, it does not"
    if len(read) > ask.max_length:
        yield f"a text must be cut to the {ask.max_length} tokens that the model reads, it has {len(read)}"


def as_labelled(prepared: Prepared) -> Iterator[str]:
    """Each training row is learned with its own label."""
    trial = Trial(prepared, 0, prepared.case.shots)
    own = [one.label for one in trial.support]
    if prepared.ask.ask == "answer" or not all(isinstance(one, int) for one in own):
        return
    learned = trial.labels.tolist()
    if others := sum(one != other for one, other in zip(learned, own, strict=True)):
        yield f"each training row must have its own label, {others} of {len(own)} have another"

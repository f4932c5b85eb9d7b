"""Rows on their way to the model: what must hold of their text and of their label, without a baseline and without a model."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import cycle, islice

from pytest_ftcompare.training.prepare import PreparedCase
from pytest_ftcompare.training.prepared_seed import PreparedSeed


def check_truncation(prepared: PreparedCase) -> Iterator[str]:
    """A text that is too long is cut to what the model reads, and keeps the side that the model is asked at."""
    interface, rows, text = prepared.interface, prepared.examples["train"], ""
    for power in range(
        interface.max_length.bit_length() + 1
    ):  # as many rows as tokens are too long, unless they are blank
        text = " ".join(
            str(field) for one in islice(cycle(rows), 2**power) for field in one.fields.values()
        )
        if not interface.fits(text):
            break
    else:
        return
    whole, read = interface.tokenizer(text, verbose=False)["input_ids"], interface.encode([text])[0]
    half = interface.max_length // 2  # a tokenizer may put tokens of its own at either end
    kept = (
        read[:half] == whole[:half]
        if interface.output_mode == "head"
        else read[-half:] == whole[-half:]
    )
    if half and not kept:
        yield f"a text that is too long must keep its {'begin' if interface.output_mode == 'head' else 'end'}, it does not"
    if len(read) > interface.max_length:
        yield f"a text must be cut to the {interface.max_length} tokens that the model reads, it has {len(read)}"


def check_labels(prepared: PreparedCase) -> Iterator[str]:
    """Each training row is learned with its own label."""
    context = PreparedSeed(prepared, 0, prepared.case.shots)
    own = [one.label for one in context.support]
    if prepared.interface.output_mode == "answer" or not all(isinstance(one, int) for one in own):
        return
    learned = context.labels.tolist()
    if others := sum(one != other for one, other in zip(learned, own, strict=True)):
        yield f"each training row must have its own label, {others} of {len(own)} have another"

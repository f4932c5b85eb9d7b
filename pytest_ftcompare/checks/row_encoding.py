"""Check the text and the label of rows, without a baseline or a model. `invariants.py` calls it."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import cycle, islice

from pytest_ftcompare.training.prepare import PreparedCase
from pytest_ftcompare.training.prepared_seed import PreparedSeed


def check_truncation(prepared: PreparedCase) -> Iterator[str]:
    """Check that a long text is cut to the model's length and keeps the side that is read."""
    interface, rows, text = prepared.interface, prepared.examples["train"], ""
    # 2**power rows of at least a token each are too long in the end, unless all are blank.
    for power in range(interface.max_length.bit_length() + 1):
        text = " ".join(
            str(value) for row in islice(cycle(rows), 2**power) for value in row.fields.values()
        )
        if not interface.fits(text):
            break
    else:
        return
    whole, encoded = (
        interface.tokenizer(text, verbose=False)["input_ids"],
        interface.encode([text])[0],
    )
    # Only half is compared: a tokenizer may add tokens at either end.
    half = interface.max_length // 2
    kept = (
        encoded[:half] == whole[:half]
        if interface.output_mode == "head"
        else encoded[-half:] == whole[-half:]
    )
    if half and not kept:
        yield (
            "a text that is too long must keep its "
            f"{'begin' if interface.output_mode == 'head' else 'end'}, it does not"
        )
    if len(encoded) > interface.max_length:
        yield (
            f"a text must be cut to the {interface.max_length} tokens that the model reads, "
            f"it has {len(encoded)}"
        )


def check_labels(prepared: PreparedCase) -> Iterator[str]:
    """Check that each training row is learned with its own label."""
    context = PreparedSeed(prepared, 0, prepared.case.shots)
    labels = [example.label for example in context.support]
    if prepared.interface.output_mode == "answer" or not all(
        isinstance(label, int) for label in labels
    ):
        return
    learned = context.labels.tolist()
    if others := sum(target != label for target, label in zip(learned, labels, strict=True)):
        yield f"each training row must have its own label, {others} of {len(labels)} have another"

"""Invariants that take several models or many passes, for tiny models: all that a case is inspected for, and these."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from typing import Any

import torch
from torch import nn

from pytest_ftcompare.checks.invariants import (
    TOLERANCE,
    State,
    check,
    first_changed,
    relative_difference,
    copy_state,
)
from pytest_ftcompare.checks.peft_adapters import check_adapters
from pytest_ftcompare.checks.probe import ROWS_PER_CLASS, ProbedModel, without_dropout
from pytest_ftcompare.methods.base import Rows, Stage
from pytest_ftcompare.training.evaluate import class_logits
from pytest_ftcompare.training.prepare import PreparedCase
from pytest_ftcompare.training.prepared_seed import PreparedSeed
from pytest_ftcompare.training.train import Training, trainable

UPDATES = 2  # AdaLoRA's least
ROWS = 3  # of a batch, of different lengths
NEW_TOKENS = 3  # tokens


def _first_stage(prepared: PreparedCase, model: nn.Module) -> Stage:
    """The method's first stage on this model, as it starts."""
    torch.manual_seed(0)
    return next(iter(prepared.method.stages(model, PreparedSeed(prepared, 0, ROWS_PER_CLASS))))


def _check_batch_loss(model: nn.Module, stage: Stage) -> Iterator[str]:
    without_dropout(model)
    with torch.no_grad():
        together = stage.loss(model, stage.rows[:ROWS], stage.targets[:ROWS])
        alone = [stage.loss(model, [stage.rows[at]], stage.targets[[at]]) for at in range(ROWS)]
    if (off := relative_difference(together, torch.stack(alone).mean())) > TOLERANCE:
        yield f"the loss of a batch must be the mean of its rows' own, whatever the padding, it differs by {off:.2g}"


def _train(prepared: PreparedCase, model: nn.Module, stage: Stage) -> State:
    training = Training(model, prepared.method, stage, UPDATES, seed=0)
    for _ in range(UPDATES):
        training.update(list(range(ROWS)))
    return copy_state(model)


def _check_first_stage(prepared: PreparedCase) -> Iterator[str]:
    """The first stage's loss, and its updates with dropout: they repeat to the last bit, and move nothing that is frozen."""
    torch.manual_seed(0)
    # Two copies: weights that lie as a file has them are summed in another order than weights that
    # were allocated, and end in other last digits. Quantised models are read from the file each time.
    model, another = (copy.deepcopy(one) for one in [prepared.adapted()] * 2)
    stage = _first_stage(prepared, model)
    yield from _check_batch_loss(model, stage)
    trains = trainable(model)
    frozen = {name: one for name, one in copy_state(model).items() if name not in trains}
    first = _train(prepared, model, stage)
    if name := first_changed(model, frozen):
        yield f"{name} is frozen, training moved it"
    second = _train(prepared, another, _first_stage(prepared, another))
    if name := next(
        (name for name, one in first.items() if not torch.equal(one, second[name])), None
    ):
        yield f"from the same state and seed the same updates must follow, {name} ends elsewhere"


def _check_padding_side(prepared: PreparedCase, probed: ProbedModel) -> Iterator[str]:
    """A head reads the last token of the text, on whichever side the padding lies; encoders count positions from the left."""
    interface = prepared.interface
    if interface.output_mode != "head" or interface.kind != "decoder":
        return
    interface.tokenizer.padding_side = "right"
    right = class_logits(probed.model, interface, probed.rows)
    interface.tokenizer.padding_side = "left"
    if (off := relative_difference(probed.outputs, right)) > TOLERANCE:
        yield f"padded on the right, the outputs must be those of padding on the left, they differ by {off:.2g}"


@torch.inference_mode()
def _generate(prepared: PreparedCase, model: Any, rows: Rows, **how: Any) -> torch.Tensor:
    """Scores of the vocabulary for the first tokens that it writes, (rows, tokens, vocabulary)."""
    model.eval()
    ends = {"eos_token_id": None, "pad_token_id": prepared.interface.tokenizer.pad_token_id}
    wanted = {
        "do_sample": False,
        "return_dict_in_generate": True,
        "output_logits": True,
        "max_new_tokens": NEW_TOKENS,
    }
    found = model.generate(**prepared.interface.collate(rows), **wanted, **ends, **how)
    return torch.stack(found.logits, dim=1)


def _check_generation(prepared: PreparedCase, probed: ProbedModel) -> Iterator[str]:
    """Writing with the keys and values of what was read, and beside a longer row, is writing without."""
    if prepared.interface.output_mode != "answer":
        return
    rows = sorted(probed.rows, key=len)
    short, both = [rows[0]], [rows[0], rows[-1]]
    alone = _generate(prepared, probed.model, short)
    if (
        off := relative_difference(alone, _generate(prepared, probed.model, short, use_cache=False))
    ) > TOLERANCE:
        yield f"with kept keys and values it must write what it writes without, its scores differ by {off:.2g}"
    if (off := relative_difference(alone, _generate(prepared, probed.model, both)[:1])) > TOLERANCE:
        yield f"beside a longer row it must write what it writes alone, its scores differ by {off:.2g}"
    if (
        off := relative_difference(
            alone[:, 0], class_logits(probed.model, prepared.interface, short)
        )
    ) > TOLERANCE:
        yield f"it must write the token that its scores name, they differ by {off:.2g}"


def check_all(prepared: PreparedCase) -> list[str]:
    """The invariants that are broken, all of them."""
    probed, _, broken = check(prepared)
    if prepared.method.trains:
        broken += _check_first_stage(prepared)
    broken += [
        *_check_padding_side(prepared, probed),
        *_check_generation(prepared, probed),
        *check_adapters(prepared, probed),
    ]
    return broken

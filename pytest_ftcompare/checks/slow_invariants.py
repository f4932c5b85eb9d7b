"""Check invariants that need several models or many passes, on tiny models.

suites/test_invariants.py calls `check_all`, which includes the checks of `invariants.py`.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator
from typing import Any

import torch
from torch import nn

from pytest_ftcompare.checks.errors import guarded
from pytest_ftcompare.checks.invariants import (
    TOLERANCE,
    State,
    check,
    copy_state,
    first_changed,
    relative_difference,
)
from pytest_ftcompare.checks.peft_adapters import check_adapters
from pytest_ftcompare.checks.probe import ROWS_PER_CLASS, ProbedModel, without_dropout
from pytest_ftcompare.methods.base import Rows, Stage
from pytest_ftcompare.training.evaluate import class_logits
from pytest_ftcompare.training.prepare import PreparedCase
from pytest_ftcompare.training.prepared_seed import PreparedSeed
from pytest_ftcompare.training.train import Training, trainable_parameters

UPDATES = 2  # the least that AdaLoRA takes
ROWS = 3  # of a batch, of different lengths; chosen
NEW_TOKENS = 3  # generated per row, chosen


def _first_stage(prepared: PreparedCase, model: nn.Module) -> Stage:
    """Return the method's first stage on this model, from seed 0."""
    torch.manual_seed(0)
    return next(iter(prepared.method.stages(model, PreparedSeed(prepared, 0, ROWS_PER_CLASS))))


def _check_batch_loss(model: nn.Module, stage: Stage) -> Iterator[str]:
    without_dropout(model)
    with torch.no_grad():
        batch = stage.loss(model, stage.rows[:ROWS], stage.targets[:ROWS])
        alone = [
            stage.loss(model, [stage.rows[number]], stage.targets[[number]])
            for number in range(ROWS)
        ]
    if (off := relative_difference(batch, torch.stack(alone).mean())) > TOLERANCE:
        yield (
            "the loss of a batch must be the mean of its rows' own, whatever the padding, "
            f"it differs by {off:.2g}"
        )


def _train(prepared: PreparedCase, model: nn.Module, stage: Stage) -> State:
    training = Training(model, prepared.method, stage, UPDATES, seed=0)
    for _ in range(UPDATES):
        training.update(list(range(ROWS)))
    return copy_state(model)


def _check_first_stage(prepared: PreparedCase) -> Iterator[str]:
    """Check the first stage's loss, and that its updates repeat and move no frozen tensor."""
    torch.manual_seed(0)
    # Two copies: weights in a file's layout are summed in another order than allocated weights, and
    # differ in their last digits. Quantised models are read from the file each time.
    model, another = (copy.deepcopy(adapted) for adapted in [prepared.adapted()] * 2)
    stage = _first_stage(prepared, model)
    yield from _check_batch_loss(model, stage)
    trains = trainable_parameters(model)
    frozen = {name: tensor for name, tensor in copy_state(model).items() if name not in trains}
    first = _train(prepared, model, stage)
    if name := first_changed(model, frozen):
        yield f"{name} is frozen, training moved it"
    second = _train(prepared, another, _first_stage(prepared, another))
    if name := next(
        (name for name, tensor in first.items() if not torch.equal(tensor, second[name])), None
    ):
        yield f"from the same state and seed the same updates must follow, {name} ends elsewhere"


def _check_padding_side(prepared: PreparedCase, probed: ProbedModel) -> Iterator[str]:
    """Check that a decoder's head reads the text's last token with padding on either side."""
    # Encoders count positions from the left, so only decoders are padded on either side.
    interface = prepared.interface
    if interface.output_mode != "head" or interface.model_kind != "decoder":
        return
    interface.tokenizer.padding_side = "right"
    right = class_logits(probed.model, interface, probed.rows)
    interface.tokenizer.padding_side = "left"
    if (off := relative_difference(probed.outputs, right)) > TOLERANCE:
        yield (
            "padded on the right, the outputs must be those of padding on the left, "
            f"they differ by {off:.2g}"
        )


@torch.inference_mode()
def _generate(prepared: PreparedCase, model: Any, rows: Rows, **options: Any) -> torch.Tensor:
    """Return the scores of the first generated tokens, (rows, tokens, vocabulary)."""
    model.eval()
    ends = {"eos_token_id": None, "pad_token_id": prepared.interface.tokenizer.pad_token_id}
    settings = {
        "do_sample": False,
        "return_dict_in_generate": True,
        "output_logits": True,
        "max_new_tokens": NEW_TOKENS,
    }
    generated = model.generate(**prepared.interface.collate(rows), **settings, **ends, **options)
    return torch.stack(generated.logits, dim=1)


def _check_generation(prepared: PreparedCase, probed: ProbedModel) -> Iterator[str]:
    """Check generation with cached keys and values, alone and beside a longer row."""
    if prepared.interface.output_mode != "answer":
        return
    rows = sorted(probed.rows, key=len)
    short, both = [rows[0]], [rows[0], rows[-1]]
    alone = _generate(prepared, probed.model, short)
    if (
        off := relative_difference(alone, _generate(prepared, probed.model, short, use_cache=False))
    ) > TOLERANCE:
        yield (
            "with kept keys and values it must write what it writes without, "
            f"its scores differ by {off:.2g}"
        )
    if (off := relative_difference(alone, _generate(prepared, probed.model, both)[:1])) > TOLERANCE:
        yield (
            "beside a longer row it must write what it writes alone, "
            f"its scores differ by {off:.2g}"
        )
    if (
        off := relative_difference(
            alone[:, 0], class_logits(probed.model, prepared.interface, short)
        )
    ) > TOLERANCE:
        yield f"it must write the token that its scores name, they differ by {off:.2g}"


def check_all(prepared: PreparedCase) -> list[str]:
    """Return all broken invariants, fast and slow."""
    probed, _, broken = check(prepared)
    checks = {
        "padding on the right": _check_padding_side(prepared, probed),
        "generation": _check_generation(prepared, probed),
        "handling adapters": check_adapters(prepared, probed),
    }
    if prepared.method.trains:
        checks = {"training": _check_first_stage(prepared), **checks}
    for name, sentences in checks.items():
        broken += guarded(name, sentences)
    return broken

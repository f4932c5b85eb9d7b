"""Check what PEFT promises of an adapter's whole life, beyond the training of a single one.

suites/test_adapters.py calls `check_lifecycle` on tiny models. The gate's cases train and save one
adapter; users also load it for inference, put a second one beside it, switch, combine, delete,
merge twice and resume. An operation that PEFT refuses with an error promises nothing;
the suite states which methods refuse which operation.
"""

from __future__ import annotations

import copy
import tempfile
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from peft import PeftModel
from safetensors.torch import load_file

from pytest_ftcompare.checks.errors import error_sentence
from pytest_ftcompare.checks.invariants import ROUNDING, TOLERANCE, copy_state, relative_difference
from pytest_ftcompare.checks.probe import ROWS_PER_CLASS
from pytest_ftcompare.methods.base import Rows, Stage
from pytest_ftcompare.training.evaluate import class_logits
from pytest_ftcompare.training.prepare import PreparedCase
from pytest_ftcompare.training.prepared_seed import PreparedSeed
from pytest_ftcompare.training.train import Training

FIRST, SECOND, COMBINED = "default", "second", "combined"  # names of adapters
# Updates before an adapter is saved. AdaLoRA has cut its ranks by then, which one update cannot
# show. Raising it costs time and shows nothing more.
UPDATES = 6
RESUME_AFTER = 3  # updates before the adapter is saved and resumed; chosen as the middle
ROWS = 4  # of an update; chosen, so that an update takes milliseconds
# Names that contain the first adapter's, or are contained in it. PEFT must take them.
PLAIN_NAMES = (f"{FIRST}_2", FIRST[1:])
COMBINATIONS = ("linear", "cat", "svd")  # of add_weighted_adapter
WEIGHTS_FILE = "adapter_model.safetensors"  # PEFT's name
# What PEFT raises for an operation that it does not support.
REFUSALS = (ValueError, TypeError, NotImplementedError)


@dataclass(frozen=True)
class TrainedAdapter:
    """A PEFT model after training, its outputs, and the folder that its adapter is saved in."""

    prepared: PreparedCase
    model: Any
    rows: Rows
    outputs: torch.Tensor
    folder: Path
    tolerance: float  # where the same is computed in another way

    def copy(self) -> Any:
        """Return a model of its own for a check to change."""
        return copy.deepcopy(self.model)

    def with_second(self, **options: Any) -> Any:
        """Return a copy with the saved adapter loaded as a second one."""
        model = self.copy()
        model.load_adapter(str(self.folder), SECOND, **options)
        return model

    def for_inference(self) -> Any:
        """Load the adapter as PEFT documents it for inference, on a fresh base model."""
        base: Any = self.prepared.loaded().model
        return PeftModel.from_pretrained(base, str(self.folder))

    def difference(self, model: Any) -> float:
        """Return how far the outputs of a model are from the trained adapter's."""
        return relative_difference(
            self.outputs, class_logits(model, self.prepared.interface, self.rows)
        )


def _trained_names(model: Any) -> set[str]:
    """Return the names of the parameters that require a gradient."""
    return {name for name, parameter in model.named_parameters() if parameter.requires_grad}


def _belongs_to(name: str, adapter: str) -> bool:
    return adapter in name.split(".")


def _count(names: set[str]) -> str:
    """Count tensors and name the first: "3 do, first x.y"."""
    return f"{len(names)} do, first {min(names)}"


# Who trains


def _check_switched_off_and_on(adapter: TrainedAdapter) -> Iterator[str]:
    model = adapter.copy()
    trained = _trained_names(model)
    with model.disable_adapter():
        others = _trained_names(model) - trained
    if others:
        yield f"while the adapter is disabled, no other tensor must train, {_count(others)}"
    if changed := trained ^ _trained_names(model):
        yield (
            "disabled and enabled again, the adapter must train what it trained, "
            f"others do: {_count(changed)}"
        )


def _check_inference(adapter: TrainedAdapter) -> Iterator[str]:
    model = adapter.for_inference()
    trained = _trained_names(model)
    if trained:
        yield f"loaded for inference, no tensor must train, {_count(trained)}"
    with model.disable_adapter():
        pass
    if unfrozen := _trained_names(model) - trained:
        yield (
            "loaded for inference, no tensor must train after disabling and enabling, "
            f"{_count(unfrozen)}"
        )
    if (off := adapter.difference(model)) > ROUNDING:
        yield (
            f"loaded for inference, the outputs must be the trained ones, they differ by {off:.2g}"
        )


def _check_second_for_inference(adapter: TrainedAdapter) -> Iterator[str]:
    model = adapter.with_second()
    trained = _trained_names(model)
    if second := {name for name in trained if _belongs_to(name, SECOND)}:
        yield f"a second adapter loaded for inference must not train, {_count(second)}"
    if changed := _trained_names(adapter.model) ^ (trained - second):
        yield (
            "beside a second adapter the first must train what it trained, "
            f"others do: {_count(changed)}"
        )


def _check_trainable_second(adapter: TrainedAdapter) -> Iterator[str]:
    model = adapter.for_inference()
    frozen = {name for name, _ in model.named_parameters()} - _trained_names(model)
    model.load_adapter(str(adapter.folder), SECOND, is_trainable=True)
    if unfrozen := frozen & _trained_names(model):
        yield (
            "beside a trainable second adapter a first one for inference must stay frozen, "
            f"tensors of it train: {_count(unfrozen)}"
        )


def _check_switching(adapter: TrainedAdapter) -> Iterator[str]:
    model = adapter.with_second()
    before = _trained_names(model)
    model.set_adapter(SECOND)
    if first := {name for name in _trained_names(model) if _belongs_to(name, FIRST)}:
        yield f"with the second adapter active the first must not train, {_count(first)}"
    if not any(_belongs_to(name, SECOND) for name in _trained_names(model)):
        yield "with the second adapter active it must train, no tensor of it does"
    model.set_adapter(FIRST)
    if changed := before ^ _trained_names(model):
        yield (
            "active again, the first adapter must train what it trained, "
            f"others do: {_count(changed)}"
        )


# What is in memory and in files


def _check_deletion(adapter: TrainedAdapter) -> Iterator[str]:
    model = adapter.with_second()
    model.delete_adapter(SECOND)
    if kept := {name for name in copy_state(model) if _belongs_to(name, SECOND)}:
        yield f"a deleted adapter must be gone from memory, tensors stay: {_count(kept)}"
    if SECOND in model.peft_config:
        yield "a deleted adapter must be gone from memory, its config stays"
    if changed := _trained_names(adapter.model) ^ _trained_names(model):
        yield (
            "with the second adapter deleted the first must train what it trained, "
            f"others do: {_count(changed)}"
        )
    with tempfile.TemporaryDirectory() as folder:
        model.save_pretrained(folder)
        if (Path(folder) / SECOND).exists():
            yield "a deleted adapter must not be saved, its folder is there"


def _colliding_names(model: Any) -> list[str]:
    """Return names for a second adapter that contain the first's, or are those of modules."""
    path = next(name for name in sorted(copy_state(model)) if _belongs_to(name, FIRST)).split(".")
    modules = [part for part in path if part.isidentifier() and part not in ("base_model", "model")]
    # The outermost module of the path, and the one that carries the adapter.
    of_modules = [modules[0], modules[max(modules.index(FIRST) - 2, 0)]]
    return [*PLAIN_NAMES, *dict.fromkeys(name for name in of_modules if name != FIRST)]


def _check_saved_beside(adapter: TrainedAdapter) -> Iterator[str]:
    expected = load_file(str(adapter.folder / WEIGHTS_FILE))
    for name in _colliding_names(adapter.model):
        model = adapter.copy()
        try:
            model.load_adapter(str(adapter.folder), name)
        except (*REFUSALS, KeyError):
            if name in PLAIN_NAMES:
                raise
            continue
        with tempfile.TemporaryDirectory() as folder:
            model.save_pretrained(folder, selected_adapters=[FIRST])
            saved = load_file(str(Path(folder) / WEIGHTS_FILE))
        equal = [key for key in expected if key in saved and torch.equal(expected[key], saved[key])]
        if len(equal) != len(expected) or len(saved) != len(expected):
            saved_tensors = (
                f"{len(equal)} of its {len(expected)} tensors are in the file, with "
                f"{len(saved) - len(equal)} others"
            )
            if name in PLAIN_NAMES:
                yield (
                    f"beside an adapter called {name!r} the first must be saved as it is alone, "
                    f"{saved_tensors}"
                )
            else:
                yield (
                    f"beside an adapter called like a module, {name!r}, the first must be saved as "
                    f"it is alone, {saved_tensors}"
                )


# Adapters combined and merged


def _check_combination(adapter: TrainedAdapter) -> Iterator[str]:
    """Check that an adapter of weight one is itself, alone and beside one of weight zero."""
    if not hasattr(adapter.model.base_model, "add_weighted_adapter"):
        return
    is_lora = adapter.model.peft_config[FIRST].peft_type == "LORA"
    differences = {}
    for kind in COMBINATIONS if is_lora else ("weight",):
        options = {"combination_type": kind} if is_lora else {}
        for names, weights in (([FIRST], [1.0]), ([FIRST, SECOND], [1.0, 0.0])):
            model = adapter.with_second()
            try:
                model.base_model.add_weighted_adapter(names, weights, COMBINED, **options)
            except REFUSALS:
                if len(names) == 1:
                    raise
                continue
            model.set_adapter(COMBINED)
            beside = "alone" if len(names) == 1 else "beside one of weight zero"
            differences[f"{kind} {beside}"] = adapter.difference(model)
    wrong = [f"{how} ({off:.2g})" for how, off in differences.items() if off > adapter.tolerance]
    if wrong:
        yield f"combined, an adapter of weight one must be itself, it differs by {', '.join(wrong)}"


def _check_merged_twice(adapter: TrainedAdapter) -> Iterator[str]:
    model = adapter.with_second()
    for operation in ("merge_adapter", "unmerge_adapter"):
        getattr(model, operation)()
        getattr(model, operation)()
        if (off := adapter.difference(model)) > adapter.tolerance:
            yield f"{operation} twice must keep the outputs, they differ by {off:.2g}"


def _check_merged_together(adapter: TrainedAdapter) -> Iterator[str]:
    model = adapter.with_second()
    model.base_model.set_adapter([FIRST, SECOND])
    interface, rows = adapter.prepared.interface, adapter.rows
    together = class_logits(model, interface, rows)
    for operation in ("merge_adapter", "unmerge_adapter"):
        getattr(model, operation)()
        off = relative_difference(together, class_logits(model, interface, rows))
        if off > adapter.tolerance:
            yield (
                f"two active adapters, {operation} must keep the outputs, they differ by {off:.2g}"
            )


# Saved, loaded, resumed


def _check_saved_by_the_method(adapter: TrainedAdapter) -> Iterator[str]:
    method = adapter.prepared.method
    with tempfile.TemporaryDirectory() as folder:
        method.save(adapter.model, Path(folder))
        restored = method.restore(adapter.prepared.loaded().model, Path(folder))
    if (off := adapter.difference(restored)) > ROUNDING:
        yield (
            f"after {UPDATES} updates, saved and loaded, the outputs must be the same, "
            f"they differ by {off:.2g}"
        )


def _stage(prepared: PreparedCase, model: Any) -> Stage:
    torch.manual_seed(0)
    return next(iter(prepared.method.stages(model, PreparedSeed(prepared, 0, ROWS_PER_CLASS))))


def _check_resumed(adapter: TrainedAdapter) -> Iterator[str]:
    """Check that a saved adapter, optimiser and schedule go on as if training had not stopped."""
    prepared, rows = adapter.prepared, list(range(ROWS))
    model: Any = prepared.adapted()
    straight = Training(model, prepared.method, _stage(prepared, model), UPDATES, seed=0)
    for _ in range(RESUME_AFTER):
        straight.update(rows)
    with tempfile.TemporaryDirectory() as folder:
        model.save_pretrained(folder)
        base: Any = prepared.loaded().model
        again: Any = PeftModel.from_pretrained(base, folder, is_trainable=True)
    states = copy.deepcopy([straight.optimizer.state_dict(), straight.schedule.state_dict()])
    resumed = Training(again, prepared.method, _stage(prepared, again), UPDATES, seed=0)
    resumed.optimizer.load_state_dict(states[0])
    resumed.schedule.load_state_dict(states[1])
    resumed.number = straight.number
    for training in (straight, resumed):
        torch.manual_seed(1)
        for _ in range(UPDATES - RESUME_AFTER):
            training.update(rows)
    ends = [class_logits(trained, prepared.interface, adapter.rows) for trained in (model, again)]
    if (off := relative_difference(*ends)) > adapter.tolerance:
        yield (
            "resumed from a saved adapter, training must end where it ends without a stop, "
            f"the outputs differ by {off:.2g}"
        )


Check = Callable[[TrainedAdapter], Iterator[str]]
CHECKS: Mapping[str, Check] = {
    "disabling and enabling": _check_switched_off_and_on,
    "loading for inference": _check_inference,
    "loading a second adapter": _check_second_for_inference,
    "loading a trainable second adapter": _check_trainable_second,
    "switching adapters": _check_switching,
    "deleting an adapter": _check_deletion,
    "saving one of two adapters": _check_saved_beside,
    "combining adapters": _check_combination,
    "saving a trained adapter": _check_saved_by_the_method,
    "resuming training": _check_resumed,
}
MERGE_CHECKS: Mapping[str, Check] = {
    "merging twice": _check_merged_twice,
    "merging two adapters": _check_merged_together,
}


def _train(prepared: PreparedCase, folder: Path, tolerance: float) -> TrainedAdapter:
    """Train an adapter on a few rows and save it."""
    torch.manual_seed(0)
    model: Any = prepared.adapted()
    stage = _stage(prepared, model)
    training = Training(model, prepared.method, stage, UPDATES, seed=0)
    for _ in range(UPDATES):
        training.update(list(range(ROWS)))
    model.save_pretrained(str(folder))
    outputs = class_logits(model, prepared.interface, stage.rows)
    return TrainedAdapter(prepared, model, stage.rows, outputs, folder, tolerance)


def check_lifecycle(
    prepared: PreparedCase, tolerance: float = TOLERANCE
) -> tuple[list[str], set[str]]:
    """Return a PEFT method's broken promises, each as a sentence, and the checks that it refuses.

    An error that is no refusal is its check's sentence.
    """
    broken: list[str] = []
    refused: set[str] = set()
    with tempfile.TemporaryDirectory() as folder:
        adapter = _train(prepared, Path(folder), tolerance)
        try:
            adapter.copy()
        except RuntimeError as error:
            return [error_sentence("a model with a trained adapter must be copied", error)], refused
        checks = {**CHECKS, **(MERGE_CHECKS if prepared.method.mergeable else {})}
        for name, check in checks.items():
            try:
                broken += check(adapter)
            except REFUSALS:
                refused.add(name)
            except Exception as error:
                broken.append(error_sentence(f"{name} must work or be refused", error))
    return broken, refused

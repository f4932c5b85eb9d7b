"""Train stages with transformers.Trainer: its optimiser, schedule, clipping, logging and callbacks.

`run_seed.py` uses `train` for cases with `engine=trainer`. Two things are this project's own: the
order of rows (`train.batch_orders`), and the weight of a micro-batch, its share of the update's
rows. For a `ModelDefinedLoss` the model computes the loss from labels (docs/engines.md).
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import chain, islice
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

import torch
from torch import nn
from torch.utils.data import DataLoader, Sampler
from transformers import (
    PrinterCallback,
    Trainer,
    TrainerCallback,
    TrainerControl,
    TrainerState,
    TrainingArguments,
)

from pytest_ftcompare.methods.base import Stage
from pytest_ftcompare.training.prepared_seed import ModelDefinedLoss
from pytest_ftcompare.training.train import (
    Progress,
    Step,
    TrainingError,
    batch_orders,
    check_finite,
)

if TYPE_CHECKING:
    from pytest_ftcompare.methods.base import Method, Recipe

Batch = dict[str, torch.Tensor]  # "numbers": row numbers, (rows,)


class RowSampler(Sampler[int]):
    """Row numbers in the loop's order; each iteration is the next epoch."""

    def __init__(self, count: int, recipe: Recipe, seed: int) -> None:
        self.count, self.batches = count, -(-count // recipe.batch_size)
        self.updates = batch_orders(count, recipe, seed)

    def __len__(self) -> int:
        return self.count

    def __iter__(self) -> Iterator[int]:
        return chain.from_iterable(islice(self.updates, self.batches))


class StageCallback(TrainerCallback):
    """Calls the method's hook after each step, and records what each update logs."""

    def __init__(
        self, model: nn.Module, method: Method, stage: Stage, seed: int, progress: Progress
    ) -> None:
        self.model, self.method, self.stage, self.seed, self.progress = (
            model,
            method,
            stage,
            seed,
            progress,
        )
        self.steps: list[Step] = []

    def on_train_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any
    ) -> None:
        torch.manual_seed(self.seed)
        self.method.after_step(self.model, 0, state.max_steps)

    def on_optimizer_step(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any
    ) -> None:
        self.method.after_step(self.model, state.global_step + 1, state.max_steps)

    def on_log(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,
        **arguments: Any,
    ) -> None:
        logs = arguments["logs"]
        if "grad_norm" not in logs:  # the summary at the end
            return
        step = Step(logs["loss"], float(logs["grad_norm"]))
        self.steps.append(
            check_finite(step, state.global_step, state.max_steps, self.seed, self.stage.recipe)
        )
        self.progress(state.global_step, state.max_steps, step.loss)


class StageTrainer(Trainer):
    """transformers.Trainer on a stage.

    It weighs micro-batches by rows. The Trainer alone counts labels, and the loss of a head ignores
    that count.
    """

    # `compute_loss` scales. Without this, the Trainer decides by the signature of the model's
    # forward.
    loss_is_scaled_for_ga = True

    def __init__(
        self,
        model: nn.Module,
        stage: Stage,
        seed: int,
        arguments: TrainingArguments,
        callback: StageCallback,
    ) -> None:
        super().__init__(model, arguments, callbacks=[callback])
        self.remove_callback(PrinterCallback)
        self.stage, self.sampler = stage, RowSampler(len(stage.rows), stage.recipe, seed)

    def get_train_dataloader(self) -> Any:
        loader: Any = DataLoader(
            range(self.sampler.count),  # type: ignore[arg-type]
            batch_size=self.args.train_batch_size,
            sampler=self.sampler,
            collate_fn=lambda numbers: {"numbers": torch.tensor(numbers)},
            # The loader draws a seed each epoch; without its own generator it would take dropout's.
            generator=torch.Generator(),
        )
        return self.accelerator.prepare(loader)

    def get_batch_samples(
        self, epoch_iterator: Iterator[Batch], *how_many: Any
    ) -> tuple[list[Batch], int]:
        batches, _ = super().get_batch_samples(epoch_iterator, *how_many)
        return batches, sum(len(batch["numbers"]) for batch in batches)

    def compute_loss(
        self,
        model: nn.Module,
        inputs: Batch,
        return_outputs: bool = False,
        num_items_in_batch: Any = None,
    ) -> Any:
        chosen = inputs["numbers"].tolist()
        rows, targets = [self.stage.rows[number] for number in chosen], self.stage.targets[chosen]
        if isinstance(self.stage.loss, ModelDefinedLoss):
            loss: Any = super().compute_loss(model, self.stage.loss.inputs(rows, targets))
        else:
            loss = self.stage.loss(model, rows, targets)
        return loss * (len(chosen) / num_items_in_batch)


def _arguments(
    recipe: Recipe, steps: int, seed: int, folder: str, device: torch.device
) -> TrainingArguments:
    arguments = TrainingArguments(
        folder,
        learning_rate=recipe.lr,
        num_train_epochs=recipe.epochs,
        per_device_train_batch_size=recipe.batch_size // recipe.micro_batches,
        gradient_accumulation_steps=recipe.micro_batches,
        # Given a share, the Trainer would round up.
        warmup_steps=round(recipe.warmup_share * steps),
        weight_decay=recipe.weight_decay,
        max_grad_norm=recipe.max_grad_norm,
        seed=seed,
        use_cpu=device.type == "cpu",
        logging_steps=1,
        # The filter replaces a loss that is not a number.
        logging_nan_inf_filter=False,
        remove_unused_columns=False,
        save_strategy="no",
        report_to="none",
        disable_tqdm=True,
    )
    if arguments.n_gpu > 1:
        # The loop uses one GPU; with more, the Trainer would split each batch.
        arguments._n_gpu = 1
    return arguments


def train(
    model: nn.Module, method: Method, stage: Stage, seed: int, progress: Progress
) -> list[Step]:
    """Train `model` in place on the stage's rows; return each update's logged loss and norm.

    `train.train` has the same signature and result. Micro-batches of unequal size, and another
    number of updates than the recipe's, raise `TrainingError`.
    """
    recipe = stage.recipe
    if recipe.batch_size % recipe.micro_batches:
        raise TrainingError(
            f"expected a batch in equal micro-batches for engine=trainer, got {recipe.batch_size} "
            f"rows in {recipe.micro_batches}: choose micro_batches to divide batch_size"
        )
    steps = recipe.epochs * -(-len(stage.rows) // recipe.batch_size)
    callback = StageCallback(model, method, stage, seed, progress)
    # The Trainer trains and clips the parameters of one module only.
    holder: Any = model
    holder.extra_parameters = nn.ParameterList(stage.extra_parameters)
    try:
        with TemporaryDirectory() as folder:
            arguments = _arguments(recipe, steps, seed, folder, stage.targets.device)
            StageTrainer(model, stage, seed, arguments, callback).train()
    finally:
        del holder.extra_parameters
    if len(callback.steps) != steps:
        raise TrainingError(
            f"expected {steps} updates of engine=trainer ({recipe.epochs} epochs of "
            f"{len(stage.rows)} rows in batches of {recipe.batch_size}), it made "
            f"{len(callback.steps)}: look at how this version of transformers counts updates"
        )
    return callback.steps

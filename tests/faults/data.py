"""Faults of data: order, repeats, leaks and labels."""

from __future__ import annotations

from typing import Any

from .change import Case, fault, patch

CASES = (Case("pbft", shots=16),)


@fault("order", *CASES)
def never_shuffled() -> None:
    """Rows are never shuffled."""
    from pytest_ftcompare.training import train

    @patch(train, "batch_orders")
    def plain(real: Any, count: int, recipe: Any, seed: int) -> Any:
        for _ in range(recipe.epochs):
            yield from (
                list(range(at, min(at + recipe.batch_size, count)))
                for at in range(0, count, recipe.batch_size)
            )


@fault("order", *CASES)
def every_epoch_in_one_order() -> None:
    """Rows are shuffled once, and every epoch uses the first epoch's order."""
    from pytest_ftcompare.training import train

    @patch(train, "batch_orders")
    def same(real: Any, count: int, recipe: Any, seed: int) -> Any:
        updates = list(real(count, recipe, seed))
        yield from updates[: len(updates) // recipe.epochs] * recipe.epochs


@fault("order", *CASES, upstream="https://github.com/huggingface/transformers/issues/11389")
def order_ignores_the_seed() -> None:
    """The order of rows is that of seed 0, whatever the seed."""
    from pytest_ftcompare.training import train

    @patch(train, "batch_orders")
    def fixed(real: Any, count: int, recipe: Any, seed: int) -> Any:
        yield from real(count, recipe, 0)


@fault("rows", *CASES)
def drawn_with_repeats() -> None:
    """Rows are drawn with replacement: a third is not seen in an epoch, others are seen twice."""
    import torch

    from pytest_ftcompare.training import train

    @patch(train, "batch_orders")
    def repeats(real: Any, count: int, recipe: Any, seed: int) -> Any:
        generator = torch.Generator().manual_seed(seed)
        for chosen in real(count, recipe, seed):
            yield torch.randint(count, (len(chosen),), generator=generator).tolist()


@fault("rows", *CASES)
def half_of_the_rows_lost() -> None:
    """Half of the training rows are never seen, as if a sampler sharded them for a missing
    process."""
    from pytest_ftcompare.training import train

    @patch(train, "batch_orders")
    def sharded(real: Any, count: int, recipe: Any, seed: int) -> Any:
        for chosen in real(count, recipe, seed):
            yield [one - one % 2 for one in chosen]


@fault("rows", *CASES)
def test_rows_in_training() -> None:
    """A seed's training rows are drawn from the test rows."""
    from pytest_ftcompare.tasks import few_shot
    from pytest_ftcompare.training.prepared_seed import PreparedSeed

    @patch(PreparedSeed, "support")
    def leaked(real: Any, self: Any) -> Any:
        return few_shot(self.task, self.prepared.examples["test"], self.shots, self.seed)


@fault("rows", *CASES)
def every_seed_draws_one_sample() -> None:
    """All seeds train on the rows of seed 0."""
    from pytest_ftcompare.tasks import few_shot
    from pytest_ftcompare.training.prepared_seed import PreparedSeed

    @patch(PreparedSeed, "support")
    def fixed(real: Any, self: Any) -> Any:
        return few_shot(self.task, self.prepared.examples["train"], self.shots, 0)


@fault("labels", *CASES, upstream="https://github.com/huggingface/transformers/pull/5141")
def training_labels_flipped() -> None:
    """The two classes are swapped in training."""
    from pytest_ftcompare.training import prepare

    @patch(prepare, "labels")
    def flipped(real: Any, examples: Any) -> Any:
        return [1 - one for one in real(examples)]


@fault("labels", Case("icl", shots=16), *CASES)
def test_labels_flipped() -> None:
    """Answers are scored with the two classes swapped."""
    from pytest_ftcompare.training import evaluate

    @patch(evaluate, "evaluate")
    def flipped(real: Any, model: Any, interface: Any, rows: Any, examples: Any) -> Any:
        from dataclasses import replace

        return real(model, interface, rows, [replace(one, label=1 - one.label) for one in examples])


@fault("labels", *CASES)
def a_tenth_of_labels_wrong() -> None:
    """Every tenth training row has a wrong label, as when rows and labels are filtered
    separately."""
    from pytest_ftcompare.training import prepare

    @patch(prepare, "labels")
    def noisy(real: Any, examples: Any) -> Any:
        return [1 - one if at % 10 == 9 else one for at, one in enumerate(real(examples))]

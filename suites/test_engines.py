"""Compare the loop with transformers.Trainer, and the Trainer with the definition of its losses.

The suite has no baseline and downloads nothing; its models are tiny and random. docs/engines.md has
the findings, and which engine is right if they differ.
"""

from itertools import chain, islice

import pytest

from pytest_ftcompare.compare import known_faults
from pytest_ftcompare.methods import NAMES, load

FAMILIES = {
    "opt_post": ("head", "pattern", "answer"),
    "llama": ("head", "pattern", "answer"),
    "roberta": ("head",),
}
# Methods with the model's own loss, and methods with their own loss, hook or stages.
METHODS = {
    "full": ("head", "pattern", "answer"),
    "lora": ("head", "pattern", "answer"),
    "bitfit": ("head",),
    "adapter": ("head",),
    "context_distillation": ("pattern",),
    "adalora": ("head",),
    "adapter_fusion": ("head",),
}
MICRO_BATCHES = (1, 8)
# 28 rows make an update of 24 and one of 4 rows; their 8 micro-batches have 3 rows and 1 row.
SIZE = {"batch_size": 24, "epochs": 3}
SMALL_SOURCES = {"source_epochs": 1, "source_shots": 4}
ROWS = {"head": 14, "pattern": 14, "answer": 28}  # rows per class; for `answer`, in all
CASES = [
    (method, family, output_mode)
    for family, output_modes in FAMILIES.items()
    for method, wanted in METHODS.items()
    for output_mode in output_modes
    if output_mode in wanted and (method, family) != ("bitfit", "llama")  # no biases
]
# All other methods that train, in their default output mode, except `adaptive`: one of its stages
# trains on rows that it draws itself.
OTHERS = sorted(set(NAMES) - METHODS.keys() - {"icl", "adaptive"})


@pytest.fixture(scope="module", autouse=True)
def frozen(hub):
    """Freeze the libraries' objects, so that the Trainer's garbage collection skips them.

    It collects before each training, which would take as long as the training.
    """
    import gc

    from pytest_ftcompare.checks import trainer_loss  # noqa: F401  imports the libraries

    gc.collect()
    gc.freeze()
    yield
    gc.unfreeze()


def options(method):
    return SIZE | (SMALL_SOURCES if method == "adapter_fusion" else {})


@pytest.mark.parametrize("micro_batches", MICRO_BATCHES)
@pytest.mark.parametrize(("method", "family", "output_mode"), CASES)
def test_both_engines_compute_the_same(prepared, method, family, output_mode, micro_batches):
    from pytest_ftcompare.checks.engine_parity import differences

    case = prepared(
        method,
        family,
        output_mode,
        ROWS[output_mode],
        micro_batches=micro_batches,
        **options(method),
    )
    if problems := list(islice(differences(case), 5)):
        pytest.fail("\n".join(problems), pytrace=False)


@pytest.mark.parametrize("method", OTHERS)
def test_every_other_method_trains_alike_on_both(prepared, method):
    from pytest_ftcompare.checks.engine_parity import differences

    output_mode = load(method).output_modes[0]
    if problems := list(
        islice(differences(prepared(method, "opt_post", output_mode, ROWS[output_mode], **SIZE)), 5)
    ):
        pytest.fail("\n".join(problems), pytrace=False)


@pytest.mark.parametrize("family", ["opt_post", "llama"])
def test_both_engines_draw_the_same_dropout(prepared, family):
    from pytest_ftcompare.checks.engine_parity import differences

    # Every micro-batch has four rows.
    case = prepared("lora", family, "head", 8, batch_size=8, micro_batches=2, epochs=3)
    assert list(differences(case, dropout=True)) == []


def test_the_trainer_leaves_biases_and_norms_out_of_weight_decay(prepared):
    import torch

    from pytest_ftcompare.checks import engine_parity
    from pytest_ftcompare.training import hf_trainer, train

    case = prepared(
        "full", "opt_post", "head", 4, batch_size=8, epochs=1, warmup_share=0.0, weight_decay=0.1
    )
    torch.manual_seed(0)
    before = train.trainable_parameters(case.adapted())
    (loop,), (trainer,) = (
        engine_parity.record_trainings(case, one) for one in (train.train, hf_trainer.train)
    )
    by_loop, by_trainer = loop.updates[0].parameters, trainer.updates[0].parameters
    spared = {name for name in before if name.endswith("bias") or "layer_norm" in name}
    decayed = {name: case.method.recipe.lr * 0.1 * p.detach() for name, p in before.items()}
    assert 0 < len(spared) < len(before)
    for name in before:
        expected = by_loop[name] + decayed[name] if name in spared else by_loop[name]
        torch.testing.assert_close(
            by_trainer[name], expected, rtol=1e-6, atol=1e-3 * case.method.recipe.lr
        )


@pytest.mark.parametrize("micro_batches", MICRO_BATCHES)
@pytest.mark.parametrize("method", ["full", "lora"])
@pytest.mark.parametrize(
    ("family", "output_mode"),
    [
        (family, output_mode)
        for family, output_modes in FAMILIES.items()
        for output_mode in output_modes
        if output_mode != "pattern"
    ],
)
def test_the_trainers_own_loss_is_as_defined(
    prepared, fail_if_broken, family, output_mode, method, micro_batches
):
    from pytest_ftcompare.checks.trainer_loss import check_trainer_loss

    case = prepared(
        method, family, output_mode, ROWS[output_mode], micro_batches=micro_batches, lr=0.0, **SIZE
    )
    fail_if_broken(
        case,
        check_trainer_loss(case),
        known_faults.ACCUMULATION_FAULTS if micro_batches > 1 else (),
    )


def test_the_trainers_own_sampler_gives_each_row_once_an_epoch_and_repeats_by_its_seed(prepared):
    import torch

    from pytest_ftcompare.checks.trainer_loss import run_trainer

    case = prepared("lora", "llama", "head", 14, micro_batches=8, **SIZE)
    runs = []
    for seed in (0, 0, 1):
        torch.manual_seed(0)
        runs.append(run_trainer(case, case.adapted(), seed))
    first, again, other = runs
    epochs = [list(chain(*epoch)) for epoch in first.epochs]
    assert [sorted(epoch) for epoch in epochs] == [list(range(28))] * 3
    assert len({tuple(epoch) for epoch in epochs}) == 3
    assert (again.epochs, again.steps) == (first.epochs, first.steps)
    pairs = zip(first.model.parameters(), again.model.parameters(), strict=True)
    assert all(torch.equal(one, two) for one, two in pairs)
    assert other.epochs != first.epochs and other.steps != first.steps

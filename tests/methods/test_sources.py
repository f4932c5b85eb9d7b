"""Test training on source tasks: an adapter per source, one prefix for all, a head per source."""

import torch

from pytest_ftcompare.training.evaluate import class_logits
from pytest_ftcompare.training.prepared_seed import PreparedSeed
from pytest_ftcompare.training.train import train, trainable_parameters


def test_fusion_trains_one_adapter_per_source_and_then_only_the_fusion(make):
    prepared = make("adapter_fusion", task="pocket_cola", source_shots=4, source_epochs=1)
    context = PreparedSeed(prepared, 0, 4)
    model = prepared.adapted()
    trained = []
    for stage in prepared.method.stages(model, context):
        inside = [
            name.split(".adapter.")[1].split(".")
            for name in trainable_parameters(model)
            if ".adapter." in name
        ]
        names = {parts[1] if parts[0] == "sources" else parts[0] for parts in inside}
        trained.append((names, len(stage.rows), len(stage.extra_parameters)))
        before = {name: p.detach().clone() for name, p in model.named_parameters()}
        train(model, prepared.method, stage, 0, lambda *_: None)
        moved = {name for name, p in model.named_parameters() if not torch.equal(p, before[name])}
        assert moved <= set(trainable_parameters(model))
        if stage.extra_parameters:
            assert "score.weight" not in moved, "a source has a head of its own"
    assert trained == [
        ({"pocket_cola"}, 8, 1),
        ({"pocket_mnli"}, 8, 1),
        ({"pocket_sst"}, 8, 1),
        ({"query", "key", "value"}, 8, 0),
    ]


def test_a_fusions_checkpoint_has_the_adapters_of_earlier_stages(make, tmp_path):
    prepared = make("adapter_fusion", task="pocket_cola", source_shots=4, source_epochs=1, epochs=1)
    context = PreparedSeed(prepared, 0, 4)
    model = prepared.adapted()
    for stage in prepared.method.stages(model, context):
        train(model, prepared.method, stage, 0, lambda *_: None)
    prepared.method.save(model, tmp_path)
    again = prepared.method.restore(prepared.loaded().model, tmp_path)
    found = [class_logits(one, prepared.interface, context.rows) for one in (model, again)]
    assert torch.equal(*found)


def test_fusions_sources_train_with_a_rate_and_epochs_of_their_own(make):
    prepared = make(
        "adapter_fusion", task="pocket_cola", source_shots=4, source_lr=0.5, source_epochs=3
    )
    *sources, last = [
        stage.recipe
        for stage in prepared.method.stages(prepared.adapted(), PreparedSeed(prepared, 0, 4))
    ]
    assert {(one.lr, one.epochs) for one in sources} == {(0.5, 3)}
    assert last == prepared.method.recipe


def test_a_source_that_is_the_task_itself_has_only_the_seeds_training_rows(make):
    prepared = make("adapter_fusion", task="pocket_cola", source_shots=50)
    context = PreparedSeed(prepared, 0, 4)
    first, second, *_ = prepared.method.stages(prepared.adapted(), context)
    assert (first.rows, len(second.rows)) == (context.rows, 100)


def test_multi_task_p_tuning_trains_one_prefix_on_all_sources_with_a_head_per_source(make):
    prepared = make(
        "p_tuning_v2",
        task="pocket_cola",
        sources=("pocket_mnli", "pocket_sst"),
        source_shots=4,
        epochs=1,
    )
    context = PreparedSeed(prepared, 0, 4)
    model = prepared.adapted()
    together, alone = prepared.method.stages(model, context)
    assert (
        len(together.rows),
        together.targets.shape,
        len(together.extra_parameters),
        len(alone.extra_parameters),
    ) == (
        16,
        (16, 2),
        2,
        0,
    )
    rows = list(range(16))
    whole = together.loss(
        model.eval(), [together.rows[one] for one in rows], together.targets[rows]
    )
    parts = []
    for which in (0, 1):
        mine = [one for one in rows if together.targets[one, 0] == which]
        parts.append(
            together.loss(model, [together.rows[one] for one in mine], together.targets[mine])
        )
    torch.testing.assert_close(whole, torch.stack(parts).mean())
    head = model.base_model.score.modules_to_save["default"].weight.detach().clone()
    train(model, prepared.method, together, 0, lambda *_: None)
    assert torch.equal(model.base_model.score.modules_to_save["default"].weight, head)

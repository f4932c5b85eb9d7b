"""Test methods that only choose which of the base model's weights train."""

from pytest_ftcompare.training.train import trainable_parameters


def test_partial_trains_the_last_layers_what_follows_them_and_the_head(make):
    model = make("partial", model="tiny/llama", layers=1).adapted()
    trained = {".".join(name.split(".")[:3]) for name in trainable_parameters(model)}
    assert trained == {"model.layers.1", "model.norm.weight", "score.weight"}


def test_bitfit_trains_biases_and_the_head_but_no_embeddings(make):
    model = make("bitfit").adapted()
    assert all(
        name.endswith("bias") or name == "score.weight" for name in trainable_parameters(model)
    )

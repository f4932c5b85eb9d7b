"""Test trainable parameters on OPT-125m, without the head, against the papers' closed forms."""

import pytest
import torch
from transformers import OPTConfig, OPTForSequenceClassification

from pytest_ftcompare import methods
from pytest_ftcompare.methods.base import Recipe

LAYERS, WIDTH, INNER = 12, 768, 3072
LINEARS = 4 * 2 * WIDTH + 2 * (WIDTH + INNER)  # widths in and out of a layer's six matrices
TOTAL = 125_239_296

# method, its options, how many numbers train besides the head
FORMS = [
    ("full", {}, TOTAL),
    ("partial", {"layers": 2}, 2 * 7_087_872 + 2 * WIDTH),
    ("bitfit", {}, 102_144),
    ("lora", {"r": 8, "alpha": 8, "dropout": 0.0, "targets": None}, 294_912),
    ("rslora", {"r": 8, "alpha": 8, "dropout": 0.0, "targets": None}, 294_912),
    ("dora", {"r": 8, "alpha": 8, "dropout": 0.0, "targets": None}, 294_912 + LAYERS * 2 * WIDTH),
    (
        "lora",
        {"r": 64, "alpha": 16, "dropout": 0.0, "targets": "all-linear"},
        64 * LAYERS * (4 * 2 * WIDTH + 2 * (WIDTH + INNER)),
    ),
    (
        "prefix_tuning",
        {"length": 20, "hidden": 512},
        20 * WIDTH + WIDTH * 512 + 512 + (512 + 1) * 2 * LAYERS * WIDTH,
    ),
    ("p_tuning_v2", {"length": 20, "sources": (), "source_shots": 1}, 368_640),
    ("prompt_tuning", {"length": 20}, 15_360),
    (
        "adapter",
        {"placement": "houlsby", "size": 64},
        2_379_264 + LAYERS * 2 * 2 * WIDTH + 2 * WIDTH,
    ),
    ("adapter", {"placement": "pfeiffer", "size": 48}, 894_528),
    (
        "adapter_drop",
        {"placement": "pfeiffer", "size": 48, "drop": 5, "random": False},
        894_528 * 7 // 12,
    ),
    (
        "adapter_fusion",
        {"size": 48, "sources": ("cola", "mnli", "blimp"), "source_shots": 1},
        21_233_664,
    ),
    (
        "mam",
        {"length": 30, "size": 512, "scale": 4.0},
        LAYERS * (2 * 30 * WIDTH + 2 * WIDTH * 512 + 512 + WIDTH),
    ),
    (
        "unipelt",
        {"length": 10, "size": 48, "r": 8, "alpha": 16},
        294_912 + 894_528 + LAYERS * 2 * 10 * WIDTH + LAYERS * 3 * (WIDTH + 1),
    ),
    ("ia3", {}, LAYERS * (2 * WIDTH + INNER)),
    ("vera", {"r": 256, "dropout": 0.0, "targets": None}, LAYERS * 2 * (256 + WIDTH)),
    ("oft", {"block": 32, "targets": None}, LAYERS * 2 * (WIDTH // 32) * (32 * 31 // 2)),
    ("ln_tuning", {}, (LAYERS * 2 + 1) * 2 * WIDTH),
    ("adalora", "paper", LAYERS * 12 * (LINEARS + 6)),
]


@pytest.mark.parametrize(
    ("name", "options", "expected"),
    FORMS,
    ids=[f"{form[0]}-{number}" for number, form in enumerate(FORMS)],
)
def test_trainable_parameters_are_the_closed_form(name, options, expected):
    with torch.device("meta"):
        model = OPTForSequenceClassification(OPTConfig(num_labels=2))
        kind = methods.load(name)
        recipe = (
            kind.recipes["paper"]
            if options == "paper"
            else Recipe(lr=0.0, epochs=1, options=options)
        )
        adapted = kind(recipe, "head").apply(model)
    trained = {path: p.numel() for path, p in adapted.named_parameters() if p.requires_grad}
    head = sum(count for path, count in trained.items() if "score" in path)
    assert head == 2 * WIDTH
    assert sum(trained.values()) - head == expected

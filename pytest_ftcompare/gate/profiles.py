"""The shipped profiles, by name.

A project's pyproject.toml overrides and adds profiles (`project_config.py`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Literal

Precision = Literal["float32", "bfloat16"]

# Revisions of the hub's base models that may be fetched.
REVISIONS = {
    "facebook/opt-125m": "27dcfa74d334bc871f3234de431e71c6eeba5dd6",
    "facebook/opt-350m": "08ab08cc4b72ff5593870b5d527cf4230323703c",
    "Qwen/Qwen2.5-0.5B": "060db6499f32faf8b98477b0a26969ef7d8b9987",
    "Qwen/Qwen2.5-1.5B": "8faed761d45a263340a0528343f099c05c9a4323",
    "Qwen/Qwen2.5-0.5B-Instruct": "7ae557604adf67be50417f59c2c2f167def9a775",
    "huggyllama/llama-7b": "4782ad278652c7c71b72204d462d6d01eaaf7549",
    "huggyllama/llama-13b": "bf57045473f207bb1de1ed035ace226f4d9f9bba",
}
# Parameters of base models, from which time and memory are estimated.
PARAMETERS = {
    "pocket/opt-0.4m": 0.4e6,
    "pocket/opt-1.4m": 1.4e6,
    "pocket/opt-1.4m-instruct": 1.4e6,
    "HuggingFaceTB/SmolLM2-135M": 135e6,
    "HuggingFaceTB/SmolLM2-135M-Instruct": 135e6,
    "facebook/opt-125m": 125e6,
    "facebook/opt-350m": 331e6,
    "Qwen/Qwen2.5-0.5B": 494e6,
    "Qwen/Qwen2.5-1.5B": 1.54e9,
    "Qwen/Qwen2.5-0.5B-Instruct": 494e6,
    "huggyllama/llama-7b": 6.74e9,
    "local/llama-7b-tuned": 6.74e9,
    "huggyllama/llama-13b": 13.0e9,
}


@dataclass(frozen=True)
class Profile:
    """The models, data and sizes that a suite's names stand for, and the resources of a case.

    - `tasks`, `bases` and `shots` map the names that suites use to tasks, base models and numbers
      of examples. `models` are the base models of tables that name none.
    - `scale` chooses each method's recipe, and `recipe` overrides its fields (`micro_batches`,
      `gradient_checkpointing`). `precision` is the computation's; the weights are float32.
    - `seeds` is the number of a baseline's seeds.
    - `threads` is torch's number in each worker, 0 for the worker's share of the machine.
    - The model reads `max_length` tokens. `test_rows` limits each test split by a fixed draw, 0 for
      all rows.
    - A worker needs at most `memory` and `gpu_memory` GiB, from which `-n auto` chooses the number
      of workers. `window` is the length of a timed window in seconds.
    - `revisions` may be fetched from the hub; without any, nothing is fetched. `parameters` are the
      sizes of base models.
    """

    name: str
    summary: str
    tasks: Mapping[str, str]
    models: tuple[str, ...]
    bases: Mapping[str, str]
    shots: Mapping[str, tuple[int, ...]]
    scale: str
    seeds: int
    threads: int
    max_length: int
    memory: float
    gpu_memory: float
    window: float
    test_rows: int = 0
    precision: Precision = "float32"
    recipe: Mapping[str, Any] = field(default_factory=dict)
    needs_hub: bool = False
    revisions: Mapping[str, str] = field(default_factory=dict)
    parameters: Mapping[str, float] = field(default_factory=lambda: PARAMETERS)


REAL_TASKS = {"cola": "cola", "mnli": "mnli", "instructions": "alpaca_zh", "sums": "alpaca_en"}
FEW_SHOT_SWEEP = (2, 16, 32, 64, 128)  # examples per class in the few-shot study

POCKET = Profile(
    name="pocket",
    summary="embedded models and data; minutes on a laptop CPU",
    tasks={
        "cola": "pocket_cola",
        "mnli": "pocket_mnli",
        "instructions": "pocket_requests",
        "sums": "pocket_sums",
    },
    models=("pocket/opt-1.4m",),
    bases={
        "small": "pocket/opt-0.4m",
        "large": "pocket/opt-1.4m",
        "tuned": "pocket/opt-1.4m-instruct",
    },
    shots={
        **{"few": (16, 64), "sweep": FEW_SHOT_SWEEP, "ranks": (64,), "catalogue": (32,)},
        **{
            "rows": (60, 200, 400),
            "enough": (200,),
            "enough_for_small": (400,),
            "new_domain": (400,),
        },
    },
    scale="pocket",
    seeds=8,
    threads=1,
    max_length=192,
    memory=1.5,
    gpu_memory=2,
    window=1.5,
)

# Numbers of examples for data of a hub folder, which has few instructions.
HUB_SHOTS: Mapping[str, tuple[int, ...]] = {
    "few": (16, 64),
    "sweep": FEW_SHOT_SWEEP,
    "ranks": (64,),
    "catalogue": (32,),
    "rows": (36, 120, 240),
    "enough": (36,),
    "enough_for_small": (36,),
    "new_domain": (240,),
}

PROFILES = {
    profile.name: profile
    for profile in (
        POCKET,
        replace(
            POCKET,
            name="pocket-full",
            summary="the same with the whole grid of the few-shot study and ten seeds; hours",
            shots={
                **POCKET.shots,
                "few": FEW_SHOT_SWEEP,
                "ranks": FEW_SHOT_SWEEP,
                "catalogue": (32, 128),
            },
            seeds=10,
        ),
        Profile(
            name="local",
            summary="real models and data from the folder --ftcompare-hub",
            tasks={**REAL_TASKS, "blimp": "blimp"},
            models=("HuggingFaceTB/SmolLM2-135M-Instruct",),
            bases={
                **dict.fromkeys(("small", "large"), "HuggingFaceTB/SmolLM2-135M"),
                "tuned": "HuggingFaceTB/SmolLM2-135M-Instruct",
            },
            shots={**HUB_SHOTS, "sweep": (16, 64)},
            scale="paper",
            seeds=5,
            threads=0,
            max_length=256,
            memory=4,
            gpu_memory=8,
            window=10,
            test_rows=500,
            needs_hub=True,
        ),
        Profile(
            name="nightly",
            summary=(
                "OPT-125m and 350m, Qwen2.5-0.5B and 1.5B from the hub at pinned revisions; "
                "one GPU, some hours"
            ),
            tasks=REAL_TASKS,
            models=("facebook/opt-125m", "facebook/opt-350m"),
            bases={
                "small": "Qwen/Qwen2.5-0.5B",
                "large": "Qwen/Qwen2.5-1.5B",
                "tuned": "Qwen/Qwen2.5-0.5B-Instruct",
            },
            shots=HUB_SHOTS,
            scale="paper",
            seeds=8,
            threads=0,
            max_length=256,
            memory=8,
            gpu_memory=32,
            window=10,
            needs_hub=True,
            # The data sets come from --ftcompare-hub: the hub joins CoLA's two development sets and
            # has HANS only as a script.
            revisions=REVISIONS,
        ),
        Profile(
            name="paper",
            summary=(
                "the studies' own sizes: OPT-125m and 350m, LLaMA-7B and 13B, ten seeds; "
                "days of a large GPU"
            ),
            tasks=REAL_TASKS,
            models=("facebook/opt-125m", "facebook/opt-350m"),
            bases={
                "small": "huggyllama/llama-7b",
                "large": "huggyllama/llama-13b",
                "tuned": "local/llama-7b-tuned",
            },
            shots={
                "few": FEW_SHOT_SWEEP,
                "sweep": FEW_SHOT_SWEEP,
                "ranks": FEW_SHOT_SWEEP,
                "catalogue": (32, 128),
                "rows": (600_000, 2_000_000, 4_000_000),
                "enough": (600_000,),
                "enough_for_small": (600_000,),
                "new_domain": (250_000,),
            },
            scale="paper",
            seeds=10,
            threads=0,
            max_length=1024,
            memory=64,
            gpu_memory=140,
            window=10,
            precision="bfloat16",
            recipe={"gradient_checkpointing": True},
            needs_hub=True,
            revisions=REVISIONS,
        ),
    )
}

"""Profiles: base models, data, seeds and budget by name, in one table."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Profile:
    """A named choice of what a suite's tasks and models are.

    `tasks` maps the names that suites use to the tasks of this profile; `scale` picks each method's recipe; `seeds` is
    the most that a case may train, and what a baseline holds; `threads` is torch's count in each worker, 0 for the
    worker's share of the machine; `test_rows` bounds each test split by a fixed draw, 0 for all rows. `memory` and
    `gpu_memory` are GiB that a worker needs at most, from which `-n auto` suggests a number of workers; `window` is the
    seconds of a timed window.
    """

    name: str
    summary: str
    tasks: Mapping[str, str]
    models: tuple[str, ...]
    scale: str
    seeds: int
    threads: int
    max_length: int
    memory: float
    gpu_memory: float
    window: float
    test_rows: int = 0
    needs_hub: bool = False
    revisions: Mapping[str, str] = field(default_factory=dict)


PROFILES = {
    one.name: one
    for one in (
        Profile(
            name="pocket",
            summary="embedded models and data; minutes on a laptop CPU",
            tasks={"cola": "pocket_cola", "mnli": "pocket_mnli"},
            models=("pocket/opt-1.4m",),
            scale="pocket",
            seeds=8,
            threads=1,
            max_length=192,
            memory=1.5,
            gpu_memory=2,
            window=1.5,
        ),
        Profile(
            name="local",
            summary="real models and data from the folder --ftcompare-hub",
            tasks={"cola": "cola", "mnli": "mnli", "blimp": "blimp"},
            models=("HuggingFaceTB/SmolLM2-135M-Instruct",),
            scale="paper",
            seeds=5,
            threads=0,
            max_length=128,
            memory=4,
            gpu_memory=8,
            window=10,
            test_rows=500,
            needs_hub=True,
        ),
        Profile(
            name="nightly",
            summary="OPT-125m and 350m from the hub at pinned revisions; one GPU, some hours",
            tasks={"cola": "cola", "mnli": "mnli"},
            models=("facebook/opt-125m", "facebook/opt-350m"),
            scale="paper",
            seeds=8,
            threads=0,
            max_length=128,
            memory=8,
            gpu_memory=16,
            window=10,
            needs_hub=True,
            # The data sets come from --ftcompare-hub: the hub joins CoLA's two development sets and holds HANS as a script.
            revisions={
                "facebook/opt-125m": "27dcfa74d334bc871f3234de431e71c6eeba5dd6",
                "facebook/opt-350m": "08ab08cc4b72ff5593870b5d527cf4230323703c",
            },
        ),
    )
}

"""Where and how an experiment runs: the parts of the profile and of the machine that the torch side needs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class TrainingConfig:
    """`scale` picks each method's recipe; `hub` is a local hub folder or None; `revisions` pin hub ids;
    `test_rows` bounds each test split, 0 for all rows; `recipe` overrides fields of every recipe; `precision` is that of the
    computation."""

    scale: str
    device: str = "cpu"
    threads: int = 1
    max_length: int = 128
    test_rows: int = 0
    hub: Path | None = None
    revisions: Mapping[str, str] = field(default_factory=dict)
    recipe: Mapping[str, Any] = field(default_factory=dict)
    precision: str = "float32"

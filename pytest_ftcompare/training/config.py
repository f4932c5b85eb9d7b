"""Settings of a training that come from the profile and the machine, not from the case."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class TrainingConfig:
    """Where and how cases are trained; the same for all cases of a session.

    `scale` chooses each method's recipe, and `recipe` overrides its fields. `max_length` is in
    tokens. `test_rows` limits each test split; 0 means all rows. `hub` is a local hub folder or
    None. `revisions` pin hub ids. `precision` is that of the computation; weights stay float32.
    """

    scale: str
    device: str = "cpu"
    threads: int = 1
    max_length: int = 128
    test_rows: int = 0
    hub: Path | None = None
    revisions: Mapping[str, str] = field(default_factory=dict)
    recipe: Mapping[str, Any] = field(default_factory=dict)
    precision: str = "float32"

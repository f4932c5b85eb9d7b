"""Set up all tests.

torch, numpy and others are imported here because pytester restores `sys.modules`: a C extension
that is first imported inside a pytester run fails on its second import, and a method's file would
be loaded twice. What a case runs is imported for its caches: each session would parse the project's
sources again, a second.
"""

import gc
import importlib
import os
from pathlib import Path

os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
os.environ.setdefault("HF_HUB_OFFLINE", "1")

import numpy  # noqa: F401
import peft  # noqa: F401
import pytest
import scipy.stats  # noqa: F401
import torch
import weather
from transformers.models.opt import modeling_opt  # noqa: F401

from pytest_ftcompare import methods
from pytest_ftcompare.gate import torch_case  # noqa: F401
from pytest_ftcompare.measure import timed_window, yardstick

for name in methods.NAMES:
    methods.load(name)
# Methods import their layers when they are applied.
for layer in Path(methods.__file__).with_name("layers").glob("*.py"):
    importlib.import_module(f"pytest_ftcompare.methods.layers.{layer.stem}")

gc.collect()
# Collecting garbage among the libraries' objects would take longer than most tests.
gc.freeze()

pytest_plugins = ["pytester"]


@pytest.fixture(autouse=True)
def one_thread():
    """Train on one thread in every test, whatever ran before it in this process."""
    torch.set_num_threads(1)


@pytest.fixture(autouse=True)
def given_weather(monkeypatch):
    """Replace the clock, load, cores and memory for each test and each pytest that it starts.

    By the fake clock, all work takes a tick, so a window's yardsticks need not do any.
    """
    weather.give(monkeypatch)
    monkeypatch.setattr(
        timed_window, "make_yardsticks", lambda _: dict.fromkeys(yardstick.KINDS, lambda: None)
    )

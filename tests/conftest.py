"""Shared by all tests. torch and numpy are imported here: pytester restores `sys.modules`, and a C extension that was first
imported inside one of its runs fails on its second import; a method's file would be there twice."""

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
import transformers  # noqa: F401
import weather

from pytest_ftcompare import methods
from pytest_ftcompare.measure import timed_window, yardstick

for name in methods.NAMES:
    methods.load(name)
for layer in (
    Path(methods.__file__).with_name("layers").glob("*.py")
):  # methods read them when they are applied
    importlib.import_module(f"pytest_ftcompare.methods.layers.{layer.stem}")

gc.collect()
gc.freeze()  # what the libraries made is no garbage: looking for some among it takes longer than most tests

pytest_plugins = ["pytester"]


@pytest.fixture(autouse=True)
def one_thread():
    """Every test trains on one thread, whatever ran before it in this process."""
    torch.set_num_threads(1)


@pytest.fixture(autouse=True)
def given_weather(monkeypatch):
    """No test, and no pytest that it starts, reads the real clock, load, cores or memory.

    By a clock that is given, all work takes a tick: a window's yardsticks need not work.
    """
    weather.give(monkeypatch)
    monkeypatch.setattr(
        timed_window, "make_yardsticks", lambda _: dict.fromkeys(yardstick.KINDS, lambda: None)
    )

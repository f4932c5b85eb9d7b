"""Answer sums in words, a domain that no general request covers.

Out of domain: held-out nouns; in Chinese, phrases instead of words.
"""

from __future__ import annotations

from pytest_ftcompare.tasks.base import Source, Task
from pytest_ftcompare.tasks.pocket_instructions import example

TASK = Task(
    name="pocket_sums",
    labels=(),
    train=Source("pocket/sums", "train", example),
    test=Source("pocket/sums", "test", example),
    ood=Source("pocket/sums", "ood", example),
    text_template="{prompt}",
    pattern="{prompt}",
    generative=True,
)

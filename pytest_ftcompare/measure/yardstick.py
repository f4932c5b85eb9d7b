"""Make the yardsticks: fixed work whose times measure the machine's present speed.

Windows time `kernels` and `dispatch` between their rounds and give a case's times in yardsticks: a
busy neighbour or a slower clock lengthens both, a slower library only the case. `memory` and
`interpreter` are timed before and after a window, to recognise the machine: they depend on neither
torch's kernels nor its dispatch. No library under test is used. Raise VERSION with any change
here, because it changes the unit of all recorded times.
"""

from __future__ import annotations

from collections.abc import Callable

import torch

VERSION = 2
# Sizes of `kernels`, about those of a pocket model.
ROWS, LENGTH, WIDTH, HEADS, LAYERS = 16, 16, 160, 4, 2
SMALL_OPERATIONS = 25  # passes of `dispatch` over one small block, about 15 operations each
TRAFFIC = 2**24  # floats that `memory` copies: 64 MiB, more than caches hold
LOOPS = 20_000  # passes of `interpreter`

# Kinds that are timed between the rounds of a window; the others before and after it.
INTERLEAVED = ("kernels", "dispatch")
KINDS = (*INTERLEAVED, "memory", "interpreter")
Work = Callable[[], object]


def make_yardsticks(device: str) -> dict[str, Work]:
    """Return a function for each of `KINDS` that does the same work on the device at each call."""
    makers = {"kernels": _kernels, "dispatch": _dispatch, "memory": _memory}
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(VERSION)
        return {name: make(device) for name, make in makers.items()} | {"interpreter": _interpret}


def _kernels(device: str) -> Work:
    """Forward, backward and update of attention and feed-forward layers.

    They are about as wide as a pocket model's, and four times as wide on a GPU to keep it busy.
    """
    scale = 1 if device == "cpu" else 4
    rows, length, width = ROWS * scale, LENGTH * scale, WIDTH * scale
    text = torch.randn(rows, length, width).to(device)
    shapes = [(3 * width, width), (width, width), (4 * width, width), (width, 4 * width)] * LAYERS
    weights = [
        (torch.randn(shape) / shape[1] ** 0.5).to(device).requires_grad_() for shape in shapes
    ]

    def block(hidden: torch.Tensor, parts: list[torch.Tensor]) -> torch.Tensor:
        joined, out, up, down = parts
        normed = torch.nn.functional.layer_norm(hidden, (width,))
        heads = (normed @ joined.T).view(rows, length, 3, HEADS, width // HEADS)
        query, key, value = heads.permute(2, 0, 3, 1, 4)
        read = torch.nn.functional.scaled_dot_product_attention(query, key, value, is_causal=True)
        hidden = hidden + read.transpose(1, 2).reshape(rows, length, width) @ out.T
        normed = torch.nn.functional.layer_norm(hidden, (width,))
        return hidden + torch.relu(normed @ up.T) @ down.T

    def work() -> None:
        hidden = text
        for start in range(0, len(weights), 4):
            hidden = block(hidden, weights[start : start + 4])
        hidden.square().mean().backward()
        with torch.no_grad():
            for weight in weights:
                assert weight.grad is not None
                # A zero gradient keeps the numbers the same at each call.
                weight.grad.mul_(0.0)
                weight.add_(weight.grad)

    return work


def _dispatch(device: str) -> Work:
    """Many small operations from Python through modules, as in the inference of one row."""
    layers = torch.nn.Sequential(
        torch.nn.Linear(32, 32), torch.nn.LayerNorm(32), torch.nn.ReLU(), torch.nn.Dropout(0.1)
    )
    layers = layers.to(device).eval()
    row = torch.randn(1, 4, 32).to(device)

    def work() -> None:
        with torch.no_grad():
            for _ in range(SMALL_OPERATIONS):
                hidden = layers(row)
                heads = hidden.view(1, 4, 4, 8).transpose(1, 2)
                scores = torch.matmul(heads, heads.transpose(-1, -2)).softmax(-1)
                _ = hidden + torch.matmul(scores, heads).transpose(1, 2).reshape(1, 4, 32)

    return work


def _memory(device: str) -> Work:
    """A copy of more bytes than the caches hold."""
    source = torch.zeros(TRAFFIC, device=device)
    target = torch.empty_like(source)
    return lambda: target.copy_(source)


class _Counter:
    def __init__(self) -> None:
        self.counts: dict[int, int] = {}

    def add(self, value: int) -> int:
        self.counts[value & 63] = self.counts.get(value & 63, 0) + 1
        return len(self.counts)


def _interpret() -> int:
    """Run calls, attributes, dictionaries and integers in Python alone."""
    counter = _Counter()
    return sum(counter.add(value) for value in range(LOOPS))

"""The yardstick: a fixed mix of torch kernels whose time says how fast the machine is at this minute.

It is timed between the rounds of what is measured, so that step time can be given in yardsticks: a busy neighbour or a slower
clock lengthens both, a slower library only one. Nothing in it comes from a library under test. Changing it makes all recorded
yardsticks another unit: raise VERSION with it.
"""

from __future__ import annotations

from collections.abc import Callable

import torch

VERSION = 1
ROWS, LENGTH, WIDTH, HEADS, LAYERS = 16, 16, 160, 4, 2


def make_yardstick(device: str) -> Callable[[], None]:
    """A function that does the same work at each call: forward and backward through attention and feed-forward layers of
    about the pocket model's width, and an update; on a GPU, wide enough to keep it busy."""
    scale = 1 if device == "cpu" else 4
    rows, length, width = ROWS * scale, LENGTH * scale, WIDTH * scale
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(VERSION)
        text = torch.randn(rows, length, width).to(device)
        shapes = [(3 * width, width), (width, width), (4 * width, width), (width, 4 * width)] * LAYERS
        weights = [(torch.randn(shape) / shape[1] ** 0.5).to(device).requires_grad_() for shape in shapes]

    def block(hidden: torch.Tensor, parts: list[torch.Tensor]) -> torch.Tensor:
        joined, out, up, down = parts
        normed = torch.nn.functional.layer_norm(hidden, (width,))
        query, key, value = (normed @ joined.T).view(rows, length, 3, HEADS, width // HEADS).permute(2, 0, 3, 1, 4)
        read = torch.nn.functional.scaled_dot_product_attention(query, key, value, is_causal=True)
        hidden = hidden + read.transpose(1, 2).reshape(rows, length, width) @ out.T
        normed = torch.nn.functional.layer_norm(hidden, (width,))
        return hidden + torch.relu(normed @ up.T) @ down.T

    def work() -> None:
        hidden = text
        for at in range(0, len(weights), 4):
            hidden = block(hidden, weights[at : at + 4])
        hidden.square().mean().backward()
        with torch.no_grad():
            for one in weights:
                assert one.grad is not None
                one.grad.mul_(0.0)  # the same numbers at each call
                one.add_(one.grad)

    return work

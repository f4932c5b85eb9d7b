"""List the reports by which TrainCheck is measured, with its results; `page.py` shows them.

TrainCheck's artifact (`SOURCES`) names the 18 errors that it detects. Section 5.1 of its paper
names the two that it misses, section 5.2 the new bugs.
"""

from __future__ import annotations

from dataclasses import dataclass

SOURCES = {
    "paper": "https://www.usenix.org/conference/osdi25/presentation/jiang",
    "artifact": "https://github.com/OrderLab/TrainCheck/blob/main/docs/"
    "ae-eval-s5.1-silent-issue-detection.md",
}
GITHUB = "https://github.com"


@dataclass(frozen=True)
class Report:
    """An error of TrainCheck's evaluation, and the fault that re-creates it.

    `detected` is TrainCheck's published result. A report without a `fault` was `left_out`. A `new`
    bug is not one of the 20; TrainCheck's authors diagnosed it.
    """

    name: str
    url: str
    description: str
    detected: bool = True
    new: bool = False
    fault: str = ""
    left_out: str = ""


_PROCESSES = "it needs several processes"
_LINKS = "it needs several GPUs"
REPORTS = (
    Report(
        "stackoverflow-60335387",
        "https://stackoverflow.com/questions/60335387/pytorch-mnist-example-not-converge",
        "no call of `zero_grad`",
        fault="zero_grad_missing",
    ),
    Report(
        "pytorch-forum-84911",
        "https://discuss.pytorch.org/t/obtaining-abnormal-changes-in-loss-and-accuracy/84911",
        "only the batch norms train",
        fault="only_norms_train",
    ),
    Report(
        "mmpretrain-702",
        f"{GITHUB}/open-mmlab/mmpretrain/issues/702",
        "layers freeze only in `train()`",
        fault="layers_freeze_in_train",
    ),
    Report(
        "pytorch-115607",
        f"{GITHUB}/pytorch/pytorch/issues/115607",
        "a compiled optimiser has no guard on missing gradients",
        fault="guard_on_missing_gradients_lost",
    ),
    Report(
        "transformers-17877",
        f"{GITHUB}/huggingface/transformers/pull/17877",
        "weights are initialised once per enclosing module",
        fault="head_drawn_once_per_enclosing_module",
    ),
    Report(
        "transformers-23723",
        f"{GITHUB}/huggingface/transformers/issues/23723",
        "a long prompt raises the limit of new tokens",
        fault="prompt_counts_as_new_tokens",
    ),
    Report(
        "transformers-33844",
        f"{GITHUB}/huggingface/transformers/pull/33844",
        "flash attention drops weights in evaluation",
        fault="attention_drops_while_writing",
    ),
    Report(
        "transformers-33455",
        f"{GITHUB}/huggingface/transformers/issues/33455",
        "with accumulation, the Trainer stops short of its epochs",
        detected=False,
        fault="trainer_stops_short",
    ),
    Report(
        "accelerate-2665",
        f"{GITHUB}/huggingface/accelerate/issues/2665",
        "the optimiser holds parameters that the model has no more",
        new=True,
        fault="optimiser_of_old_parameters",
    ),
    Report(
        "transformers-29903",
        f"{GITHUB}/huggingface/transformers/issues/29903",
        "a state dict is corrupted while a checkpoint is written",
        detected=False,
        left_out="the sources do not say how",
    ),
    Report(
        "stackoverflow-67180955",
        f"{GITHUB}/pytorch/pytorch/pull/56488",
        "workers of a data loader draw alike",
        left_out="no case draws random numbers while it loads rows",
    ),
    Report(
        "lightning-thunder-725",
        f"{GITHUB}/Lightning-AI/lightning-thunder/issues/725",
        "a compiler ignores autocast",
        left_out="no case is compiled or uses autocast",
    ),
    Report(
        "pytorch-51800",
        f"{GITHUB}/pytorch/pytorch/issues/51800",
        "spectral norm is not initialised in evaluation",
        left_out="no case has spectral norm, which is for image generators",
    ),
    Report(
        "transformers-34204",
        f"{GITHUB}/huggingface/transformers/issues/34204",
        "an image processor returns one row of a batch",
        left_out="no case has images; a text of the wrong batch size is an error",
    ),
    Report(
        "deepspeed-1801",
        f"{GITHUB}/deepspeedai/DeepSpeed/pull/1801",
        "gradients are clipped on one tensor-parallel rank only",
        left_out=_PROCESSES,
    ),
    Report(
        "deepspeed-5794",
        f"{GITHUB}/deepspeedai/DeepSpeed/issues/5794",
        "workers of a mixture of experts disagree",
        left_out=_PROCESSES,
    ),
    Report(
        "pytorch-104336",
        f"{GITHUB}/pytorch/pytorch/issues/104336",
        "data parallelism loses its hooks when the model moves",
        left_out=_PROCESSES,
    ),
    Report(
        "x-jxmnop-ddp-out-of-sync",
        "https://x.com/jxmnop/status/1778520637193240892",
        "the model is called without its data-parallel wrapper",
        left_out=_PROCESSES,
    ),
    Report(
        "pytorch-84803",
        f"{GITHUB}/pytorch/pytorch/issues/84803",
        "data are lost between GPUs",
        left_out=_LINKS,
    ),
    Report(
        "pytorch-96600",
        f"{GITHUB}/pytorch/pytorch/issues/96600",
        "data are lost between GPUs",
        left_out=_LINKS,
    ),
    Report(
        "baichuan2-86",
        f"{GITHUB}/baichuan-inc/Baichuan2/issues/86",
        "data are lost between GPUs",
        left_out=_LINKS,
    ),
)

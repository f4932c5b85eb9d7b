"""Set torch's threads and, on a GPU, what else decides how its libraries round and use memory.

`prepare.py` applies the settings before a case computes, `measure/environment.py` records them.
None of these rules was measured on a GPU yet: `make gpu` does.
"""

from __future__ import annotations

import os

import torch

from pytest_ftcompare.training.config import TrainingConfig

WORKSPACE_VARIABLE = "CUBLAS_WORKSPACE_CONFIG"
# Eight buffers of 4 MiB. By default torch gives cuBLAS 32 MiB on Hopper and 8 MiB on other GPUs
# (aten/src/ATen/cuda/CublasHandlePool.cpp), which moves peak memory between chips. With a fixed
# size, cuBLAS also repeats bit for bit (docs.nvidia.com/cuda/cublas, "Results reproducibility").
# A larger value adds its bytes to every peak.
WORKSPACE = ":4096:8"


def apply_torch_settings(config: TrainingConfig) -> None:
    """Set threads, and on a GPU float32 without TF32 and cuDNN without algorithm search.

    A value of CUBLAS_WORKSPACE_CONFIG in the environment stays. CUDA reads it at the first matrix
    product of a process.
    """
    torch.set_num_threads(config.threads)
    if config.device == "cpu":
        return
    os.environ.setdefault(WORKSPACE_VARIABLE, WORKSPACE)
    # TF32 reads 10 bits of a float32's mantissa. torch allows it in convolutions and recurrent
    # layers by default (pytorch.org/docs/stable/notes/cuda.html).
    torch.set_float32_matmul_precision("highest")
    torch.backends.cudnn.allow_tf32 = False
    # The search times algorithms, so that its choice differs from run to run.
    torch.backends.cudnn.benchmark = False
    torch.backends.cudnn.deterministic = True


def describe_gpu_settings() -> dict[str, str | int]:
    """Return the settings of a GPU as they are now, for a result's environment."""
    cudnn = torch.backends.cudnn
    return {
        "cublas workspace": os.environ.get(WORKSPACE_VARIABLE, "torch's own"),
        "cudnn": cudnn.version() or "none",
        "cudnn algorithms": (
            f"{'deterministic' if cudnn.deterministic else 'any'}, "
            f"{'searched' if cudnn.benchmark else 'not searched'}"
        ),
        "tf32": "on" if torch.backends.cuda.matmul.allow_tf32 or cudnn.allow_tf32 else "off",
    }

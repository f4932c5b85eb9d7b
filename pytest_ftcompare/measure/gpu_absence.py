"""Say why torch sees no GPU, as far as NVML and torch's build tell.

`gate/torch_case.py` calls it where a GPU was asked for, or where one lies idle.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch

from pytest_ftcompare.measure import gpu_assignment, nvml


def _install_advice(cuda: tuple[int, int]) -> str:
    return f"a build for CUDA {cuda[0]} or older (pytorch.org/get-started)"


def _own_error() -> str:
    """Return torch's own reason: the first line of what it raises when it starts CUDA."""
    try:
        torch.zeros(1, device=gpu_assignment.GPU_TYPE)
    except (RuntimeError, AssertionError) as error:
        first_line = str(error).partition("\n")[0]
        return f"CUDA does not start: {first_line}"
    return "CUDA starts, but counts no GPU"


def why_no_gpu(environ: Mapping[str, str]) -> str:
    """Return why torch sees no GPU, and what to do about it."""
    torch_name, built_for = f"torch {torch.__version__}", torch.version.cuda
    count, driver, cuda = nvml.count(), nvml.driver(), nvml.cuda_version()
    if count is None and driver != nvml.NO_DRIVER:
        # Without NVML, `driver` is the reason.
        return f"{_own_error()} (NVML cannot tell more: {driver})"
    if not count:
        seen = driver if count is None else f"driver {driver}"
        without = f"{torch_name} is built without CUDA, and " if built_for is None else ""
        return (
            f"{without}this machine shows no GPU ({seen}): install NVIDIA's driver, or start the "
            "container with its GPUs"
        )
    gpus = f"{count} GPU{'s' * (count > 1)}"
    if built_for is None:
        build = _install_advice(cuda) if cuda else "a build with CUDA"
        return f"{torch_name} is built without CUDA, this machine has {gpus}: install {build}"
    visible = gpu_assignment.visible_gpus(environ, lambda: count)
    variable = f"{gpu_assignment.VARIABLE}={environ.get(gpu_assignment.VARIABLE, '')}"
    if not visible:
        return (
            f"{variable} shows none of this machine's {gpus}: unset it, or name one by a number "
            f"below {count}"
        )
    gpu = nvml.open_gpu(visible[0])
    if isinstance(gpu, nvml.Unavailable):
        return f"{gpu.reason} ({variable})" if gpu_assignment.VARIABLE in environ else gpu.reason
    # A driver runs what was built for any minor version of its CUDA, and for older ones
    # (docs.nvidia.com/deploy/cuda-compatibility/minor-version-compatibility.html).
    if cuda and cuda[0] < int(built_for.partition(".")[0]):
        return (
            f"the driver {driver} supports CUDA {cuda[0]}.{cuda[1]}, {torch_name} was built for "
            f"CUDA {built_for}: update the driver, or install {_install_advice(cuda)}"
        )
    return _own_error()


def idle_gpu(environ: Mapping[str, str]) -> str:
    """Return why torch cannot use the GPU that this process may see, "" if it may see none.

    Also "" if torch is built without CUDA: whoever installed it chose the CPU.
    """
    if torch.version.cuda is None or not gpu_assignment.visible_gpus(
        environ, lambda: nvml.count() or 0
    ):
        return ""
    return why_no_gpu(environ)

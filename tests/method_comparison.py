"""Make files as PEFT's `method_comparison` writes them, with invented figures."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

LORA = {
    "peft_type": "LORA",
    "r": 32,
    "target_modules": ["v_proj", "q_proj"],
    "use_rslora": False,
    "peft_version": "0.16.0",
}


def training(
    name: str = "lora/tiny-rank32", accuracy: float = 0.5, day: int = 1, **changes: Any
) -> dict[str, Any]:
    """Make a run of MetaMathQA.

    `changes` replace `train_config`, `peft_config`, entries of `train_info` or versions by name.
    """
    info = {
        "accelerator_memory_reserved_avg": 11_000_000_000,
        "accelerator_memory_max": 22_000_000_000,
        "accelerator_memory_reserved_99th": 17_000_000_000,
        "train_time": 1800.0 + day,
        "file_size": 40_000_000,
        "num_trainable_params": 9_000_000,
        "num_total_params": 3_000_000_000,
        "status": "success",
        "metrics": [
            {
                "step": 250,
                "valid accuracy": 0.4,
                "train loss": 0.9 + day / 1000,
                "mem reserved avg": 1.1e10,
            },
            {
                "step": 500,
                "test accuracy": accuracy,
                "train loss": 0.6 + day / 1000,
                "forgetting": 0.3,
            },
        ],
    }
    config = {
        "model_id": "some/tiny",
        "query_template": "Question: {query}",
        "seed": 0,
        "optimizer_kwargs": {"lr": 0.0001},
    }
    versions = {
        "peft-version": "0.15.2",
        "peft-commit-hash": None,
        "torch-version": "2.7.1",
        "torch-commit-hash": None,
    }
    return {
        "run_info": {
            "created_at": f"2030-01-{day:02}T10:00:00+00:00",
            "total_time": 2000.0,
            "experiment_name": name,
            "peft_branch": "main",
            "train_config": config | changes.pop("train_config", {}),
            "peft_config": LORA | changes.pop("peft_config", {}),
            "error_msg": changes.pop("error_msg", ""),
        },
        "meta_info": {
            "model_info": {"sha": "a" * 40, "created_at": "2029-01-01"},
            "dataset_info": {"gsm8k": {"sha": "b" * 40, "created_at": "2029-01-01"}},
            "package_info": versions | changes.pop("package_info", {}),
            "system_info": {
                "system": "Linux",
                "release": "6.8",
                "accelerator": changes.pop("gpu", "NVIDIA L40S"),
            },
        },
        "train_info": info | changes,
    }


def generation(seconds: float = 0.02) -> dict[str, Any]:
    """Make a run of text_generation_benchmark, which does not store its own name."""
    return {
        "run_info": {
            "timestamp": "2030-01-01T10:00:00+00:00",
            "duration": 60.0,
            "status": "success",
            "hardware": {"accelerator_type": "NVIDIA L40S"},
            "peft_config": LORA,
            "benchmark_config": {"model_id": "some/tiny", "seed": 42, "dtype": "float16"},
        },
        "generation_info": {
            "memory": {
                "peak_accelerator_memory_mb": 512.0,
                "peak_ram_memory_mb": 900.0,
                "memory_logs": [],
            },
            "by_category": {},
            "overall": {"inference_time": 2.0, "time_per_token": seconds},
        },
        "meta_info": {
            "model_id": "some/tiny",
            "parameters": {
                "base_params": 100,
                "trainable_params": 8,
                "total_params": 108,
                "param_ratio": 0.07,
            },
            "package_info": {"peft-version": "0.15.2", "torch-version": "2.7.1"},
            "system_info": {"system": "Linux", "release": "6.8", "accelerator": "NVIDIA L40S"},
        },
    }


def write(folder: Path, *files: dict[str, Any]) -> Path:
    """Write trainings into a folder, with the file names of `method_comparison`."""
    folder.mkdir(parents=True, exist_ok=True)
    for content in files:
        name = content["run_info"]["experiment_name"].replace("/", "--")
        (folder / f"{name}.json").write_text(json.dumps(content))
    return folder

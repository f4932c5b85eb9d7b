"""Read result files of HuggingFace PEFT's `method_comparison`: one run each, without rows or probe.

https://github.com/huggingface/peft/tree/main/method_comparison has one JSON file for each
experiment. `MetaMathQA` and `image-gen` have `run_info`, `train_info` and `meta_info`;
`text_generation_benchmark` has `generation_info` in place of `train_info`. Old and new names are
read: `cuda_memory_...` and `accelerator_memory_...`, `gpu` and `accelerator`.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, TypeGuard

from pytest_ftcompare.results.result import (
    Json,
    Result,
    ResultError,
    SeedResult,
    Trace,
    Window,
    digest,
    rounded,
)

SOURCE = "method_comparison"
# A setting that only this study has -> the study, the outcome's name in its log, and its name here.
STUDIES = {
    "query_template": ("MetaMathQA", "test accuracy", "accuracy"),
    "dino_model_id": ("image-gen", "test dino_similarity", "dino similarity"),
}
GENERATION = "text_generation_benchmark"
NOT_SAVED = 99999999  # file size of a checkpoint that could not be written
# Settings that describe the run or PEFT, not the experiment.
IGNORED_SETTINGS = frozenset(
    {"peft_version", "base_model_name_or_path", "auto_mapping", "inference_mode"}
)
MIB = 2**20


def is_peft_file(data: object) -> TypeGuard[Mapping[str, Any]]:
    """Return whether a file's JSON has the layout of `method_comparison`."""
    return (
        isinstance(data, Mapping)
        and "run_info" in data
        and ("train_info" in data or "generation_info" in data)
    )


def is_imported(result: Result) -> bool:
    """Return whether a result came from a file of `method_comparison`."""
    return result.identity.get("source") == SOURCE


def read(data: Mapping[str, Any], stem: str) -> Result:
    """Return the result in a file's JSON.

    `stem` is the file's name without its ending; a generation benchmark takes its id from it.
    Raises `ResultError` with one sentence if something that a verdict needs is missing.
    """
    try:
        return _training(data) if "train_info" in data else _generation(data, stem)
    except KeyError as error:
        raise ResultError(f"it lacks {error}, which PEFT's method_comparison writes") from None
    except (TypeError, ValueError, AttributeError) as error:
        raise ResultError(
            f"its fields are not those of PEFT's method_comparison ({error})"
        ) from None


def created(result: Result) -> str:
    """Return when the run began, as ISO 8601 text; "" if its file does not state it."""
    return str(result.identity.get("created", ""))


def _training(data: Mapping[str, Any]) -> Result:
    run, train = data["run_info"], data["train_info"]
    log: list[dict[str, Any]] = train["metrics"]
    last = log[-1] if log else {}
    try:
        study, logged, metric = next(
            STUDIES[setting] for setting in run["train_config"] if setting in STUDIES
        )
    except StopIteration:
        raise ResultError(
            f"its train_config has none of {', '.join(STUDIES)}: its study is unknown here"
        ) from None
    broken_invariants = _broken_invariants(train["status"], run.get("error_msg"))
    metrics: dict[str, float] = {
        name: rounded(last[name]) for name in ("train loss", "forgetting", "drift") if name in last
    }
    if not broken_invariants:
        metrics[metric] = rounded(last[logged])
    seed_result = SeedResult(
        seed=run["train_config"]["seed"],
        training_rows="",
        trace=Trace(
            digest(log),
            [],
            [rounded(entry["train loss"], 5) for entry in log if "train loss" in entry],
        ),
        metrics=metrics,
        correct={},
        class_counts={},
        predictions_digest="",
    )
    structure = {
        "trainable": train.get("num_trainable_params"),
        "parameters": train.get("num_total_params"),
    }
    size = train.get("file_size")
    readings = {
        "checkpoint bytes": size if size != NOT_SAVED else None,
        "reserved bytes, mean": _first_reading(train, "memory_reserved_avg", "memory_avg"),
        "reserved bytes, 99th percentile": _first_reading(
            train, "memory_reserved_99th", "memory_99th"
        ),
        "reserved bytes, peak": _first_reading(train, "memory_max"),
    }
    return _result(
        data,
        name=run["experiment_name"],
        study=study,
        recipe=_configuration(run["train_config"]) | _configuration(run["peft_config"] or {}),
        structure=structure,
        seed_result=seed_result,
        times={"training": train["train_time"]},
        readings=readings,
        broken_invariants=broken_invariants,
    )


def _generation(data: Mapping[str, Any], stem: str) -> Result:
    run, generation, meta = data["run_info"], data["generation_info"], data["meta_info"]
    overall, parameters = generation["overall"], meta["parameters"]
    benchmark = run.get("benchmark_config") or {}
    return _result(
        data,
        name=stem.replace("--", "/", 1),
        study=GENERATION,
        recipe=_configuration(benchmark) | _configuration(run.get("peft_config") or {}),
        structure={
            "trainable": parameters["trainable_params"],
            "parameters": parameters["total_params"],
        },
        seed_result=SeedResult(
            benchmark.get("seed", 0), "", Trace(digest(generation), [], []), {}, {}, {}, ""
        ),
        times={"token": overall["time_per_token"]} if overall else {},
        readings={
            "allocated bytes, peak": MIB * generation["memory"]["peak_accelerator_memory_mb"]
            or None
        },
        broken_invariants=_broken_invariants(run["status"], run.get("error")),
    )


def _result(
    data: Mapping[str, Any],
    *,
    name: str,
    study: str,
    recipe: Json,
    structure: Json,
    seed_result: SeedResult,
    times: Mapping[str, float],
    readings: Mapping[str, float | None],
    broken_invariants: list[str],
) -> Result:
    run = data["run_info"]
    identity = {
        "source": SOURCE,
        "method": name.split("/")[0],
        "model": recipe.get("model_id"),
        "created": run.get("created_at") or run.get("timestamp", ""),
    }
    window = Window(
        times={piece: [rounded(seconds), 0.0] for piece, seconds in times.items()},
        readings={metric: float(value) for metric, value in readings.items() if value is not None},
    )
    return Result(
        id=name,
        suite=study,
        identity=identity,
        fingerprint=digest(recipe),
        environment=_environment(data["meta_info"]),
        recipe=recipe,
        signature={
            "structure": {key: value for key, value in structure.items() if value is not None}
        },
        probe={},
        majority_share={},
        judge_accuracy="accuracy" in seed_result.metrics,
        broken_invariants=broken_invariants,
        seed_results=[seed_result],
        windows=[window],
    )


def _broken_invariants(status: str, message: str | None) -> list[str]:
    return (
        []
        if status == "success"
        else [f"the run ended as {status}" + (f": {message}" if message else "")]
    )


def _first_reading(train: Mapping[str, Any], *names: str) -> float | None:
    """Return the first of the memory readings that exists, by its new or its old name."""
    keys = (f"{place}_{name}" for name in names for place in ("accelerator", "cuda"))
    return next((train[key] for key in keys if key in train), None)


def _configuration(config: Mapping[str, Any]) -> Json:
    """Return comparable settings: sorted lists, because they were sets, and nested ones as JSON."""
    settings: Json = {}
    for key, value in config.items():
        if key in IGNORED_SETTINGS:
            continue
        if isinstance(value, list):
            value = sorted(map(str, value))
        settings[key] = (
            json.dumps(value, sort_keys=True) if isinstance(value, Mapping) and value else value
        )
    return settings


def _environment(meta: Mapping[str, Any]) -> Json:
    """Return versions and commits, the accelerator, and the revisions of model and data."""
    packages: Mapping[str, str | None] = meta.get("package_info") or {}
    system = meta.get("system_info") or {}
    environment: Json = {
        name.removesuffix("-version"): version
        + _commit_suffix(packages.get(name.replace("-version", "-commit-hash")))
        for name, version in packages.items()
        if name.endswith("-version") and version
    }
    environment["device"] = system.get("accelerator") or system.get("gpu") or "unknown"
    environment["kernel"] = system.get("release", "unknown")
    environment["base model"] = _short_revision(
        (meta.get("model_info") or {}).get("sha") or meta.get("model_sha")
    )
    data = meta.get("dataset_info") or {}
    data = {"": data} if "sha" in data else data
    environment |= {
        f"data {name}".strip(): _short_revision((info or {}).get("sha"))
        for name, info in data.items()
    }
    return environment


def _commit_suffix(commit: str | None) -> str:
    return f" at {commit[:8]}" if commit else ""


def _short_revision(revision: str | None) -> str:
    return revision[:12] if revision else "unknown"

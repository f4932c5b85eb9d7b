"""Result files of HuggingFace PEFT's `method_comparison`, read as results: one run each, without rows, trace or probe.

https://github.com/huggingface/peft/tree/main/method_comparison has one JSON file for each experiment: `MetaMathQA` and
`image-gen` with `run_info`, `train_info` and `meta_info`, `text_generation_benchmark` with `generation_info` for `train_info`.
Names changed over the years (`cuda_memory_...` to `accelerator_memory_...`, `gpu` to `accelerator`); all of them are read.
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
# A setting that only this study's trainings have -> the study, what its log calls the outcome, the outcome's name here.
STUDIES = {
    "query_template": ("MetaMathQA", "test accuracy", "accuracy"),
    "dino_model_id": ("image-gen", "test dino_similarity", "dino similarity"),
}
GENERATION = "text_generation_benchmark"
NOT_SAVED = 99999999  # the file size of a checkpoint that could not be written
# What a configuration says of the run or of peft, not of the experiment.
ASIDE = frozenset({"peft_version", "base_model_name_or_path", "auto_mapping", "inference_mode"})
MIB = 2**20


def is_theirs(data: object) -> TypeGuard[Mapping[str, Any]]:
    """Whether a file's JSON is laid out as `method_comparison` writes it."""
    return (
        isinstance(data, Mapping)
        and "run_info" in data
        and ("train_info" in data or "generation_info" in data)
    )


def is_imported(result: Result) -> bool:
    """Whether a result came from a file of `method_comparison`."""
    return result.identity.get("source") == SOURCE


def read(data: Mapping[str, Any], stem: str) -> Result:
    """The result in a file's JSON; `stem` is the file's name, where the text of a generation benchmark has none.

    Raises `ResultError` with one sentence where something that a verdict needs is not there.
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
    """When the run began, as ISO 8601 text; "" where its file does not say so."""
    return str(result.identity.get("created", ""))


def _training(data: Mapping[str, Any]) -> Result:
    run, train = data["run_info"], data["train_info"]
    log: list[dict[str, Any]] = train["metrics"]
    last = log[-1] if log else {}
    try:
        study, logged, metric = next(STUDIES[one] for one in run["train_config"] if one in STUDIES)
    except StopIteration:
        raise ResultError(
            f"its train_config has none of {', '.join(STUDIES)}: it is of a study not known here"
        ) from None
    broken = _broken(train["status"], run.get("error_msg"))
    metrics: dict[str, float] = {
        name: rounded(last[name]) for name in ("train loss", "forgetting", "drift") if name in last
    }
    if not broken:
        metrics[metric] = rounded(last[logged])
    sample = SeedResult(
        seed=run["train_config"]["seed"],
        training_rows="",
        trace=Trace(
            digest(log), [], [rounded(one["train loss"], 5) for one in log if "train loss" in one]
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
        "reserved bytes, mean": _first(train, "memory_reserved_avg", "memory_avg"),
        "reserved bytes, 99th percentile": _first(train, "memory_reserved_99th", "memory_99th"),
        "reserved bytes, peak": _first(train, "memory_max"),
    }
    return _result(
        data,
        name=run["experiment_name"],
        study=study,
        recipe=_configuration(run["train_config"]) | _configuration(run["peft_config"] or {}),
        structure=structure,
        sample=sample,
        times={"training": train["train_time"]},
        readings=readings,
        broken=broken,
    )


def _generation(data: Mapping[str, Any], stem: str) -> Result:
    run, measured, meta = data["run_info"], data["generation_info"], data["meta_info"]
    overall, parameters = measured["overall"], meta["parameters"]
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
        sample=SeedResult(
            benchmark.get("seed", 0), "", Trace(digest(measured), [], []), {}, {}, {}, ""
        ),
        times={"token": overall["time_per_token"]} if overall else {},
        readings={
            "allocated bytes, peak": MIB * measured["memory"]["peak_accelerator_memory_mb"] or None
        },
        broken=_broken(run["status"], run.get("error")),
    )


def _result(
    data: Mapping[str, Any],
    *,
    name: str,
    study: str,
    recipe: Json,
    structure: Json,
    sample: SeedResult,
    times: Mapping[str, float],
    readings: Mapping[str, float | None],
    broken: list[str],
) -> Result:
    run = data["run_info"]
    identity = {
        "source": SOURCE,
        "method": name.split("/")[0],
        "model": recipe.get("model_id"),
        "created": run.get("created_at") or run.get("timestamp", ""),
    }
    window = Window(
        times={what: [rounded(seconds), 0.0] for what, seconds in times.items()},
        readings={what: float(value) for what, value in readings.items() if value is not None},
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
        judge_accuracy="accuracy" in sample.metrics,
        broken_invariants=broken,
        seed_results=[sample],
        windows=[window],
    )


def _broken(status: str, message: str | None) -> list[str]:
    return (
        []
        if status == "success"
        else [f"the run ended as {status}" + (f": {message}" if message else "")]
    )


def _first(train: Mapping[str, Any], *names: str) -> float | None:
    """A reading of memory under the first name that is there, of today or of 2025."""
    keys = (f"{place}_{name}" for name in names for place in ("accelerator", "cuda"))
    return next((train[key] for key in keys if key in train), None)


def _configuration(config: Mapping[str, Any]) -> Json:
    """The settings of a configuration, each in one form: lists that were sets are sorted, nested ones are JSON text."""
    found: Json = {}
    for key, value in config.items():
        if key in ASIDE:
            continue
        if isinstance(value, list):
            value = sorted(map(str, value))
        found[key] = (
            json.dumps(value, sort_keys=True) if isinstance(value, Mapping) and value else value
        )
    return found


def _environment(meta: Mapping[str, Any]) -> Json:
    """Versions with the commit where there is one, the accelerator, and the revisions of model and data."""
    packages: Mapping[str, str | None] = meta.get("package_info") or {}
    system = meta.get("system_info") or {}
    found: Json = {
        name.removesuffix("-version"): version
        + _at(packages.get(name.replace("-version", "-commit-hash")))
        for name, version in packages.items()
        if name.endswith("-version") and version
    }
    found["device"] = system.get("accelerator") or system.get("gpu") or "unknown"
    found["kernel"] = system.get("release", "unknown")
    found["base model"] = _short((meta.get("model_info") or {}).get("sha") or meta.get("model_sha"))
    data = meta.get("dataset_info") or {}
    data = {"": data} if "sha" in data else data
    found |= {f"data {name}".strip(): _short((one or {}).get("sha")) for name, one in data.items()}
    return found


def _at(commit: str | None) -> str:
    return f" at {commit[:8]}" if commit else ""


def _short(revision: str | None) -> str:
    return revision[:12] if revision else "unknown"

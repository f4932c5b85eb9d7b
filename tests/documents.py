"""Make complete and valid report documents with random figures, equal for equal seeds."""

from __future__ import annotations

from copy import deepcopy
from itertools import islice, product
from math import exp
from random import Random
from statistics import fmean, stdev
from typing import Any

Json = dict[str, Any]

# Method -> how much it learns, relative to full fine-tuning.
METHODS = {
    "full": 1.0,
    "lora": 0.95,
    "bitfit": 0.85,
    "prefix_tuning": 0.7,
    "icl": 0.4,
}
TASKS = ("pocket_cola", "pocket_mnli")
SHOTS = (2, 4, 8, 16, 32, 64, 128)
SUITES = ("few_shot", "peft_methods")
MODELS = ("pocket/opt-1.4m", "pocket/opt-0.4m")
OPTIONS: tuple[Json, ...] = ({}, {"lr": 0.01}, {"lr": 0.001}, {"lr": 0.0001})
VERDICTS = ("same", "worse", "changed", "better", "undecided", "new", "incomparable", "invalid")
FAILING = {"worse", "changed", "new", "invalid"}
SHIFTS = {"worse": -0.08, "better": 0.06, "undecided": -0.02, "changed": 0.004}
ENVIRONMENT: Json = {
    "commit": "8a35bb5f2f89",
    "cpu": "Some(R) Processor @ 2.80GHz",
    "device": "cpu",
    "peft": "0.21.2",
    "python": "3.11.7",
    "threads": 1,
    "torch": "2.13.0",
    "transformers": "5.23.0",
}
BASE_ENVIRONMENT = ENVIRONMENT | {"commit": "494107a2f0e1", "peft": "0.20.0"}
CHANGE = {"name": "peft", "base": "0.20.0", "new": "0.21.2"}


def make_document(cases: int = 3, *, seed: int = 0, **changes: Any) -> Json:
    """Make a document of at most 1,120 cases; from eight on, it has every verdict.

    `changes` replace entries by name. `update=True` accepts failing cases that are valid.
    """
    update = bool(changes.get("update", False))
    table = product(OPTIONS, MODELS, SUITES, SHOTS, TASKS, METHODS)
    made = [
        make_case(
            VERDICTS[number % len(VERDICTS)],
            suite=suite,
            method=method,
            task=task,
            model=model,
            shots=shots,
            options=options,
            update=update,
            seed=seed,
        )
        for number, (options, model, suite, shots, task, method) in enumerate(islice(table, cases))
    ]
    if len(made) < cases:
        raise ValueError(f"expected at most {len(made)} cases, got {cases}")
    counts = {verdict: sum(case["verdict"] == verdict for case in made) for verdict in VERDICTS}
    document: Json = {
        "schema": 1,
        "version": "0.1.0",
        "started": f"2030-01-{1 + seed % 28:02}T02:00:00+00:00",
        "seconds": 12.5 * cases,
        "command": "pytest suites/ -n 4",
        "profile": "pocket",
        "update": update,
        "failed": any(case["failed"] for case in made),
        "counts": {verdict: count for verdict, count in counts.items() if count},
        "findings": [],
        "shifts": [make_shift(cases)],
        "notes": ["lora trained 20 epochs, full 10: an unequal budget"],
        "environment": ENVIRONMENT,
        "changes": [CHANGE | {"cases": cases}],
        "cases": made,
        "spent": {
            "suites": {"few_shot": 400.5, "invariants": 90.0},
            "methods": {"lora": 210.2, "full": 190.3},
        },
        "claims": make_claims([f"{case['suite']}/{case['id']}" for case in made], seed),
        "history": None,
    }
    return document | changes


def make_shift(cases: int) -> Json:
    """Make a pooled shift that is within the noise."""
    figures: Json = {
        "mean": -0.001,
        "low": -0.004,
        "high": 0.002,
        "size": -0.1,
        "z": -0.6,
        "note": "",
    }
    return {"metric": "accuracy", "cases": cases, "lower": cases // 2, "outcome": "none"} | figures


def make_case(
    verdict: str = "same",
    *,
    suite: str = "few_shot",
    method: str = "lora",
    task: str = "pocket_cola",
    model: str = "pocket/opt-1.4m",
    shots: int = 16,
    options: Json | None = None,
    update: bool = False,
    seed: int = 0,
    **changes: Any,
) -> Json:
    """Make a case with a verdict and matching figures; `changes` replace entries by name."""
    options = options or {}
    name = "-".join(
        (
            method,
            task,
            model.split("/")[-1],
            f"n{shots}",
            *(f"{key}={value}" for key, value in options.items()),
        )
    )
    draws = Random(f"{suite}/{name}/{seed}")
    trained = method != "icl"
    seeds = 8 if trained and verdict != "same" else 1
    level = METHODS[method] * (1 - exp(-shots / 32)) * (0.4 if task == "pocket_cola" else 0.3)
    base = [
        make_seed_result(number, level, trained=trained, draws=draws)
        for number in range(8 if trained else 1)
    ]
    new = deepcopy(base[:seeds])
    if verdict != "same":
        shifted = level + SHIFTS.get(verdict, 0.0)
        new = [
            make_seed_result(number, shifted, trained=trained, draws=draws)
            for number in range(seeds)
        ]
    if verdict == "invalid":
        new = []
    accepted = update and verdict in FAILING - {"invalid"}
    nodeid = f"suites/test_{suite}.py::test_{suite}[{name}]"
    case: Json = {
        "id": name,
        "suite": suite,
        "nodeid": nodeid,
        "method": method,
        "task": task,
        "model": model,
        "shots": shots,
        "options": options,
        "device": "cpu",
        "verdict": verdict,
        "failed": verdict in FAILING and not accepted,
        "accepted": accepted,
        "judge_accuracy": True,
        "first_divergence": {
            "worse": "recipe",
            "changed": "loss curve",
            "better": "loss curve",
            "invalid": "invariant",
        }.get(verdict, ""),
        "divergences": ["recipe lr 0.005 -> 0.05"]
        if verdict in {"worse", "changed", "better"}
        else [],
        "identical": verdict == "same",
        "recipe": None
        if verdict == "invalid"
        else {"lr": 0.05 if verdict in {"worse", "changed"} else 0.005},
        "notes": ["it trained and predicted the same, bit for bit"] if verdict == "same" else [],
        "changes": [] if verdict in {"new", "invalid"} else [CHANGE],
        "comparisons": []
        if verdict in {"new", "invalid", "incomparable"}
        else make_comparisons(base, new, verdict),
        "costs": [] if verdict == "invalid" else make_costs(verdict, draws),
        "scores": means(new),
        "seconds": round(draws.uniform(3, 30), 1),
        "parameters": None
        if verdict == "invalid"
        else {"trainable": round(1_480_000 * level) if trained else 0, "total": 1_480_000},
        "seed_results": new,
        "baseline": None
        if verdict == "new"
        else {"seed_results": base, "environment": BASE_ENVIRONMENT},
        "rerun": f"pytest '{nodeid}'",
        "accept": "" if verdict == "invalid" else f"pytest --update-baselines '{nodeid}'",
    }
    return case | changes


def make_seed_result(seed: int, level: float, *, trained: bool, draws: Random) -> Json:
    """Make a seed's result: accuracy `level` above chance, and half as much out of domain."""
    accuracy = 0.5 + level + draws.gauss(0, 0.015)
    metrics = {"accuracy": accuracy, "accuracy_ood": 0.5 + level / 2 + draws.gauss(0, 0.02)}
    losses = {
        "loss": 0.7 - level / 2 + draws.gauss(0, 0.01),
        "loss_ood": 0.7 - level / 4 + draws.gauss(0, 0.01),
    }
    curve = [round(0.7 * exp(-2 * level * step) + draws.uniform(0, 0.02), 5) for step in range(8)]
    first = [
        [round(0.7 - 0.01 * step + draws.gauss(0, 0.005), 6), round(1.2 + draws.gauss(0, 0.1), 5)]
        for step in range(4)
    ]
    figures = {name: round(value, 7) for name, value in (metrics | losses).items()}
    return {
        "seed": seed,
        "metrics": figures,
        "curve": curve if trained else [],
        "first_steps": first if trained else [],
    }


def means(seed_results: list[Json]) -> dict[str, float]:
    """Return the mean of each metric over seeds; empty without seeds."""
    return {
        name: fmean(result["metrics"][name] for result in seed_results)
        for name in (seed_results[0]["metrics"] if seed_results else ())
    }


def make_comparisons(base: list[Json], new: list[Json], verdict: str) -> list[Json]:
    """Compare the new seeds' accuracies with the base's."""
    comparisons = []
    for metric in ("accuracy", "accuracy_ood"):
        old, now = (
            [result["metrics"][metric] for result in seed_results] for seed_results in (base, new)
        )
        outcome = {"worse": "worse", "better": "better", "undecided": "open"}.get(
            verdict, "equivalent"
        )
        delta = fmean(now) - fmean(old[: len(now)])
        spread = [stdev(values) if len(values) > 1 else 0.0 for values in (old, now)]
        comparisons.append(
            {
                "metric": metric,
                "base": fmean(old),
                "base_sd": spread[0],
                "new": fmean(old) + delta,
                "new_sd": spread[1],
                "delta": delta,
                "error": 0.01,
                "noise": 0.02,
                "freedom": 14.0,
                "rho": 0.5,
                "p": {"worse": 1e-6, "better": 1.0, "open": 0.05}.get(outcome, 0.5),
                "margin": 0.02,
                "seeds": len(now),
                "outcome": outcome,
            }
        )
    return comparisons


def make_costs(verdict: str, draws: Random) -> list[Json]:
    """Make a time, an energy and a count of bytes; a new case has no base for them."""
    step, energy, peak = (
        round(draws.uniform(0.02, 0.05), 6),
        round(draws.uniform(2, 9), 3),
        draws.randrange(2**23, 2**25),
    )
    if verdict in {"new", "incomparable"}:
        outcome, how, note = (
            ("new", "", "") if verdict == "new" else ("incomparable", "", "threads 1 -> 4")
        )
        rows = [
            ("step", "s", 0.0, step),
            ("joules per 1000 examples", "J", 0.0, energy),
            ("peak bytes", "B", 0.0, peak),
        ]
    else:
        outcome, how, note = "equivalent", "yardsticks", ""
        rows = [
            ("step", "s", step * 0.99, step),
            ("joules per 1000 examples", "J", energy, energy),
            ("peak bytes", "B", peak, peak),
        ]
    return [
        {
            "metric": metric,
            "unit": unit,
            "base": base,
            "new": new,
            "change": new / base - 1 if base else 0.0,
            "how": how if unit == "s" else how and "readings",
            "outcome": outcome,
            "note": note,
            "error": 0.008 if base and unit != "B" else 0.0,
            "judged": True,
            "process": "a3f0c1d2" if unit == "s" else "",
        }
        for metric, unit, base, new in rows
    ]


def make_claims(cases: list[str], seed: int = 0) -> list[Json]:
    """Make a claim of every verdict, each about the first cases."""
    draws = Random(f"claims/{seed}")
    claims = []
    for number, verdict in enumerate(("held", "noted", "changed", "new", "untested")):
        outcome = (
            None
            if verdict == "untested"
            else ("reproduced", "undecided", "contradicted")[number % 3]
        )
        estimate = {
            "value": round(draws.gauss(2, 1), 4),
            "error": 0.6,
            "n": 16,
            "unit": "pt",
            "freedom": 14.0,
        }
        before = {"outcome": "reproduced", "estimate": estimate | {"value": 2.0}}
        claims.append(
            {
                "name": f"claim-that-is-{verdict}",
                "suite": "claims",
                "study": "few-shot",
                "profile": "pocket",
                "statement": (
                    f"LoRA does as well as full fine-tuning, or better; this one is {verdict}"
                ),
                "source": "Hu et al. 2021 (arXiv:2106.09685), abstract",
                "statistic": "accuracy of `lora` − `full`, few_shot: at least -3 pt",
                "verdict": verdict,
                "failed": verdict in {"changed", "new"},
                "accepted": False,
                "outcome": outcome,
                "estimate": None if verdict == "untested" else estimate,
                "before": None if verdict in {"new", "untested"} else before,
                "cases": cases[:2],
                "note": "no result of `full`" if verdict == "untested" else "",
                "seconds": 0.1,
                "nodeid": f"suites/test_claims.py::test_claims[claim-that-is-{verdict}]",
            }
        )
    return claims

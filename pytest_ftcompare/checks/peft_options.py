"""Check what users ask of PEFT and no shipped method does: other configs, other base models.

suites/test_peft_options.py calls `check_option` on tiny models. An option changes a case's PEFT
config or its base model. The case must then keep all invariants, and do what the option says.
"""

from __future__ import annotations

import copy
import math
import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Any

import torch
from peft.tuners.tuners_utils import BaseTunerLayer
from peft.utils.other import ModulesToSaveWrapper
from torch import nn

from pytest_ftcompare.checks import invariants
from pytest_ftcompare.checks.adapter_lifecycle import FIRST, SECOND, check_lifecycle
from pytest_ftcompare.checks.errors import error_sentence, guarded
from pytest_ftcompare.checks.invariants import TOLERANCE
from pytest_ftcompare.checks.tiny_models import SHAPE
from pytest_ftcompare.training.prepare import PreparedCase
from pytest_ftcompare.training.train import TrainingError, trainable_parameters

FIRST_LAYER = r".*\.0\..*"  # fits the names of modules in a model's first layer
NEW_TOKENS = 7  # of a resized vocabulary, whose size is then odd; chosen
# Tolerance for outputs of a base model in bfloat16 or 8 bits, which rounds each result to 1 in 256.
# Chosen; the largest difference that was seen is 0.024.
LOW_PRECISION_TOLERANCE = 0.05
RANK, ALPHA = 5, 24  # of the modules that a pattern names; other than the method's 8 and 16

Changed = Callable[[Any, nn.Module], None]  # a PEFT config, and the model that it is for


def nothing(*_: Any) -> None:
    """Change nothing."""


@dataclass(frozen=True)
class PeftOption:
    """An option: how it changes the config and the base model, and what it promises.

    `load` gives more arguments of `from_pretrained`. `promise` yields how a model breaks what the
    option says. A `low_precision` base model rounds more than the invariants of float32 allow, and
    merging into it rounds too, so that only the adapter's life is checked. `saved` has parts of the
    names of frozen tensors that PEFT saves by design.
    """

    config: Changed = nothing
    base: Callable[[Any], None] = nothing
    load: Callable[[], Mapping[str, Any]] = dict
    promise: Callable[[nn.Module], Iterator[str]] = lambda model: iter(())
    low_precision: bool = False
    saved: tuple[str, ...] = ()


def _last_norm(model: nn.Module) -> str:
    *_, last = (name for name, part in model.named_modules() if "Norm" in type(part).__name__)
    return str(last)


def _adapted(model: nn.Module) -> list[str]:
    """Return the names of the modules that carry an adapter."""
    return [
        name
        for name, module in model.named_modules()
        if isinstance(module, BaseTunerLayer) and not isinstance(module, ModulesToSaveWrapper)
    ]


# Configs


def _train_a_norm(config: Any, model: nn.Module) -> None:
    config.modules_to_save = [_last_norm(model)]


def _norm_trains(model: nn.Module) -> Iterator[str]:
    wrapped = [part for part in model.modules() if isinstance(part, ModulesToSaveWrapper)]
    norms = [part for part in wrapped if "Norm" in type(part.original_module).__name__]
    if len(norms) != 1:
        yield f"modules_to_save must train the norm that it names, {len(norms)} modules do"
    for norm in norms:
        if not norm.modules_to_save[FIRST].weight.requires_grad:
            yield "modules_to_save must train the norm that it names, its copy does not"
        if norm.original_module.weight.requires_grad:
            yield "modules_to_save must keep the base model's norm, it trains"


def _exclude_first_layer(config: Any, model: nn.Module) -> None:
    config.exclude_modules = FIRST_LAYER


def _first_layer_is_excluded(model: nn.Module) -> Iterator[str]:
    names = _adapted(model)
    if not names:
        yield "exclude_modules must leave the other modules their adapters, no module has one"
    if excluded := [name for name in names if re.fullmatch(FIRST_LAYER, name)]:
        yield f"exclude_modules must exclude modules, {excluded[0]} has an adapter"


def _target_a_parameter(config: Any, model: nn.Module) -> None:
    first_matrix = next(
        name
        for name, parameter in model.named_parameters()
        if re.fullmatch(FIRST_LAYER, name) and parameter.dim() == 2
    )
    config.target_modules, config.target_parameters = [], [first_matrix]
    config.lora_dropout = 0.0  # PEFT supports no other


def _parameter_is_targeted(model: Any) -> Iterator[str]:
    (expected,) = model.peft_config[FIRST].target_parameters
    names = [
        f"{name.removeprefix('base_model.model.')}.{getattr(part, 'parameter_name', '')}"
        for name, part in model.named_modules()
        if name in _adapted(model)
    ]
    if names != [expected]:
        yield f"target_parameters must adapt {expected} alone, adapters are on {', '.join(names)}"


def _patterns(config: Any, model: nn.Module) -> None:
    config.rank_pattern, config.alpha_pattern = {FIRST_LAYER: RANK}, {FIRST_LAYER: ALPHA}


def _patterns_hold(model: Any) -> Iterator[str]:
    config = model.peft_config[FIRST]
    ranks = set()
    for name, part in model.named_modules():
        if not isinstance(part, BaseTunerLayer) or FIRST not in getattr(part, "lora_A", {}):
            continue
        layer: Any = part
        in_pattern = re.fullmatch(FIRST_LAYER, name) is not None
        rank, alpha = (RANK, ALPHA) if in_pattern else (config.r, config.lora_alpha)
        expected = (rank, alpha / (math.sqrt(rank) if config.use_rslora else rank))
        actual = (layer.lora_A[FIRST].weight.shape[0], layer.scaling[FIRST])
        ranks.add(rank)
        if actual != expected:
            yield (
                f"rank_pattern and alpha_pattern must give {name} rank and scale {expected}, "
                f"it has {actual}"
            )
    if ranks != {RANK, config.r}:
        yield "rank_pattern must fit some modules and not others, it does not"


def _embeddings(model: Any) -> str:
    embeddings = model.get_input_embeddings()
    return str(next(name for name, part in model.named_modules() if part is embeddings))


def _adapt_embeddings(config: Any, model: Any) -> None:
    config.target_modules = [_embeddings(model)]
    config.ensure_weight_tying = model.config.tie_word_embeddings


def _train_embeddings(config: Any, model: Any) -> None:
    config.modules_to_save = [_embeddings(model)]
    config.ensure_weight_tying = model.config.tie_word_embeddings


def _embeddings_are_adapted(model: Any) -> Iterator[str]:
    if not any(FIRST in getattr(part, "lora_embedding_A", {}) for part in model.modules()):
        yield "embeddings that target_modules names must be adapted, they are not"


def _embeddings_train(model: Any) -> Iterator[str]:
    wrapped = [part for part in model.modules() if isinstance(part, ModulesToSaveWrapper)]
    if not any(
        isinstance(part.original_module, nn.Embedding)
        and part.modules_to_save[FIRST].weight.requires_grad
        for part in wrapped
    ):
        yield "embeddings that modules_to_save names must train, they do not"


# Base models


def _tie_and_resize(model: Any) -> None:
    """Give the vocabulary new rows, the same at each load; tie the head where there is one."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model.config.tie_word_embeddings = True
        model.tie_weights()
        model.resize_token_embeddings(model.config.vocab_size + NEW_TOKENS, mean_resizing=False)


def _is_tied_and_resized(model: Any) -> Iterator[str]:
    base = model.get_base_model()
    embeddings, head = base.get_input_embeddings(), base.get_output_embeddings()
    rows = SHAPE["vocab_size"] + NEW_TOKENS
    if len(embeddings.weight) != rows or model.config.vocab_size != rows:
        yield f"a resized vocabulary must have {rows} rows, it has {len(embeddings.weight)}"
    if head is not None and head.weight is not embeddings.weight:
        yield "tied embeddings must be the head, they are not"


def _to_bfloat16(model: nn.Module) -> None:
    model.bfloat16()


def _adapters_are_float32(model: Any) -> Iterator[str]:
    trains = trainable_parameters(model)
    second = copy.deepcopy(model)
    # A method that takes one trained adapter only refuses.
    with suppress(ValueError):
        second.add_adapter(SECOND, copy.deepcopy(model.peft_config[FIRST]))
    added = {
        name: parameter
        for name, parameter in second.named_parameters()
        if SECOND in name.split(".")
    }
    # PEFT promises it of adapters, not of whole modules that train.
    coarse = [
        name
        for name, parameter in {**trains, **added}.items()
        if parameter.dtype != torch.float32 and "modules_to_save" not in name
    ]
    if coarse:
        yield f"on a base model in bfloat16 adapters must be float32, {coarse[0]} is not"
    frozen = [p.dtype for name, p in model.named_parameters() if name not in trains]
    if torch.bfloat16 not in frozen:
        yield "a base model in bfloat16 must stay so, no tensor of it is"


def _eight_bits() -> Mapping[str, Any]:
    from transformers import BitsAndBytesConfig

    skipped = ["score", "classifier", "lm_head"]
    return {
        "quantization_config": BitsAndBytesConfig(load_in_8bit=True, llm_int8_skip_modules=skipped)
    }


def _is_in_8_bits(model: nn.Module) -> Iterator[str]:
    if not any(parameter.dtype == torch.int8 for parameter in model.parameters()):
        yield "a base model in 8 bits must have weights in 8 bits, it has none"


# PEFT saves embeddings that were resized, so that the adapter loads on a resized model.
EMBEDDINGS = ("embed_tokens", "embeddings", "wte", "lm_head")
OPTIONS: Mapping[str, PeftOption] = {
    "modules_to_save": PeftOption(_train_a_norm, promise=_norm_trains),
    "exclude_modules": PeftOption(_exclude_first_layer, promise=_first_layer_is_excluded),
    "target_parameters": PeftOption(_target_a_parameter, promise=_parameter_is_targeted),
    "rank and alpha patterns": PeftOption(_patterns, promise=_patterns_hold),
    "adapted embeddings": PeftOption(_adapt_embeddings, promise=_embeddings_are_adapted),
    "trained embeddings": PeftOption(_train_embeddings, promise=_embeddings_train),
    "base model with tied and resized embeddings": PeftOption(
        base=_tie_and_resize, promise=_is_tied_and_resized, saved=EMBEDDINGS
    ),
    "base model in bfloat16": PeftOption(
        base=_to_bfloat16, promise=_adapters_are_float32, low_precision=True
    ),
    "base model in 8 bits": PeftOption(load=_eight_bits, promise=_is_in_8_bits, low_precision=True),
}


def with_option(prepared: PreparedCase, option: PeftOption) -> PreparedCase:
    """Return the case with an option, which no other case sees."""
    method: Any = copy.copy(prepared.method)
    config, after_load = method.config, method.after_load

    def changed_config(model: nn.Module) -> Any:
        changed = config(model)
        option.config(changed, model)
        return changed

    def changed_base(model: nn.Module) -> None:
        after_load(model)
        option.base(model)

    method.config, method.after_load = changed_config, changed_base
    method.mergeable = method.mergeable and not option.low_precision
    options = {**(prepared.interface.options or {}), **option.load()}
    return replace(prepared, method=method, interface=replace(prepared.interface, options=options))


def _trained_names(case: PreparedCase) -> set[str]:
    return {*trainable_parameters(case.adapted())}


def check_option(prepared: PreparedCase, name: str) -> tuple[list[str], set[str]]:
    """Return the invariants that break with an option, and the operations that PEFT refuses."""
    option = OPTIONS[name]
    case = with_option(prepared, option)
    torch.manual_seed(0)
    try:
        model = case.adapted()
    except Exception as error:
        return [error_sentence(f"{name} must be accepted", error)], set()
    broken = [*guarded(name, option.promise(model))]
    if option.config is nothing and (changed := _trained_names(prepared) ^ _trained_names(case)):
        broken.append(
            f"a {name} must not change what trains, {len(changed)} tensors differ, "
            f"first {min(changed)}"
        )
    if not option.low_precision:
        broken += [
            sentence
            for sentence in invariants.check(case)[2]
            if not (
                sentence.startswith("only what trains must be saved, ")
                and any(part in sentence for part in option.saved)
            )
        ]
    try:
        lifecycle, refused = check_lifecycle(
            case, LOW_PRECISION_TOLERANCE if option.low_precision else TOLERANCE
        )
    except TrainingError as error:
        return [*broken, f"training an adapter must work, {error}"], set()
    except Exception as error:
        return [*broken, error_sentence("training an adapter must work", error)], set()
    return [*broken, *lifecycle], refused

"""Record known upstream faults: invariants that a library breaks, with its versions and a link.

A record is strict both ways. In other versions the broken invariant counts like any other. If the
invariant holds in these versions, a note asks to remove the record. The gate, the suites and
`verdict.py` call this module.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from packaging.specifiers import SpecifierSet
from packaging.version import InvalidVersion, Version

# First words of a note about a fault that shows.
KNOWN_PREFIX = "known upstream fault"
# Last words of a note about a fault that only some CPUs have.
NOT_COMPARED_SUFFIX = "probe and trace are not compared"
# First words of a note about a fault that no longer shows.
FIXED_PREFIX = "fixed upstream"


@dataclass(frozen=True)
class CaseFacts:
    """The facts of a case that records name; `family` is transformers' `model_type`."""

    method: str
    output_mode: str
    family: str


@dataclass(frozen=True)
class KnownFault:
    """An invariant that `package` in `versions` (a specifier, PEP 440) breaks.

    `sentence` is how the invariant's message begins. The record applies to the methods, output
    modes and families named, and to CPUs with the instruction set; an empty value names all. With
    `on_gpu`, it applies on GPUs only. `link` is the page that describes the fault.
    """

    package: str
    versions: str
    sentence: str
    link: str
    methods: tuple[str, ...] = ()
    output_modes: tuple[str, ...] = ()
    families: tuple[str, ...] = ()
    instruction_set: str = ""
    on_gpu: bool = False

    def applies_to(self, facts: CaseFacts, environment: Mapping[str, object]) -> bool:
        """Check whether a case shows the fault; `environment` has versions by package."""
        named = (
            (self.methods, facts.method),
            (self.output_modes, facts.output_mode),
            (self.families, facts.family),
        )
        if any(names and name not in names for names, name in named):
            return False
        if self.instruction_set not in ("", environment.get("instruction set")):
            return False
        if self.on_gpu and environment.get("device", "cpu") == "cpu":
            return False
        try:
            installed = Version(str(environment.get(self.package, "")))
        except InvalidVersion:
            # "not installed", or not recorded
            return False
        return SpecifierSet(self.versions, prereleases=True).contains(installed)


UPSTREAM_PAGE = "docs/upstream.md#"
PROMPT_METHODS = ("prompt_tuning", "p_tuning", "prefix_tuning", "p_tuning_v2")
# Methods whose adapters PEFT puts into the model's layers.
LAYER_METHODS = (
    "lora",
    "dora",
    "rslora",
    "pissa",
    "qlora",
    "adalora",
    "ia3",
    "vera",
    "oft",
    "ln_tuning",
)
LORA_METHODS = ("lora", "dora", "rslora")
# Model families with a classification head of several modules.
MULTI_MODULE_HEADS = ("roberta", "xlm-roberta", "electra")
# Model families with a classification head that reads the last token.
LAST_TOKEN_HEADS = (
    "opt",
    "llama",
    "mistral",
    "qwen2",
    "qwen3",
    "gemma",
    "gemma2",
    "gemma3_text",
    "gpt2",
)

# Faults in the invariants that every case is checked for.
FAULTS = (
    KnownFault(
        "peft",
        "<=0.21.2",
        "it must merge into its base model, that raised AttributeError: ",
        f"{UPSTREAM_PAGE}3-vera-oft-and-ia3-cannot-be-unloaded-from-a-head-of-several-modules",
        methods=("vera", "oft", "ia3"),
        output_modes=("head",),
        families=MULTI_MODULE_HEADS,
    ),
    # Seen on a pretended device (tests/training/test_placement.py), on no GPU yet.
    KnownFault(
        "peft",
        "<=0.21.2",
        "saved and loaded again, the outputs must be the same, ",
        f"{UPSTREAM_PAGE}21-on-a-base-model-in-half-precision-other-tensors-train",
        methods=("adalora",),
        on_gpu=True,
    ),
)
# Faults in the slow invariants, which only tiny models are checked for.
SLOW_FAULTS = (
    KnownFault(
        "peft",
        "<=0.21.2",
        "unload must leave a plain model, it raised AttributeError: ",
        f"{UPSTREAM_PAGE}3-vera-oft-and-ia3-cannot-be-unloaded-from-a-head-of-several-modules",
        methods=("vera", "oft", "ia3"),
        output_modes=("head",),
        families=MULTI_MODULE_HEADS,
    ),
    KnownFault(
        "peft",
        "<=0.21.2",
        "unload must leave a plain model, its ",
        f"{UPSTREAM_PAGE}1-ln-tuning-does-not-unload-the-head",
        methods=("ln_tuning",),
        output_modes=("head",),
    ),
    KnownFault(
        "peft",
        "<=0.21.2",
        "its adapter must be there to disable, that raised UnboundLocalError: ",
        f"{UPSTREAM_PAGE}2-a-classifiers-prefix-cannot-be-disabled",
        methods=PROMPT_METHODS,
        output_modes=("head",),
    ),
    KnownFault(
        "peft",
        "<0.21",
        "its second adapter must be there to delete, that raised TypeError: ",
        "docs/versions.md#a-second-prompt-cannot-be-deleted",
        methods=PROMPT_METHODS,
    ),
    KnownFault(
        "transformers",
        "<=5.23.0",
        "padded on the right, the outputs must be those of padding on the left, ",
        f"{UPSTREAM_PAGE}9-behind-a-prompt-a-classifier-reads-padding",
        methods=("prompt_tuning", "p_tuning"),
        output_modes=("head",),
        families=LAST_TOKEN_HEADS,
    ),
    KnownFault(
        "peft",
        "<=0.21.2",
        "with its adapter disabled the outputs must be the base model's, ",
        f"{UPSTREAM_PAGE}10-pissa-changes-the-base-model-for-good",
        methods=("pissa",),
    ),
    KnownFault(
        "peft",
        "<=0.21.2",
        "unloaded, the outputs must be the base model's, ",
        f"{UPSTREAM_PAGE}10-pissa-changes-the-base-model-for-good",
        methods=("pissa",),
        output_modes=("pattern", "answer"),
    ),
    KnownFault(
        "peft",
        "<=0.21.2",
        "a second adapter that is not active must not change the outputs, ",
        f"{UPSTREAM_PAGE}10-pissa-changes-the-base-model-for-good",
        methods=("pissa",),
    ),
)
# Faults of the Trainer's loss with several micro-batches (suites/test_engines.py).
ACCUMULATION_FAULTS = (
    KnownFault(
        "transformers",
        "<=5.23.0",
        "the Trainer's loss must be that of the update's ",
        f"{UPSTREAM_PAGE}11-under-accumulation-a-heads-loss-is-too-large",
        output_modes=("head",),
    ),
    KnownFault(
        "transformers",
        # From 5.2.0 to 5.5.3 the gradient is right, and only the logged loss is too large.
        "<=5.23.0,!=5.2.*,!=5.3.*,!=5.4.*,!=5.5.0,!=5.5.1,!=5.5.2,!=5.5.3",
        "the Trainer's gradient norm must be that of the update's ",
        f"{UPSTREAM_PAGE}11-under-accumulation-a-heads-loss-is-too-large",
        output_modes=("head",),
    ),
)


def _peft_fault(section: str, sentence: str, since: str = "", **facts: Any) -> KnownFault:
    """Record a fault of the tried versions of peft, described in a section of docs/upstream.md.

    `since` is its first release, where an earlier one was seen without it.
    """
    versions = f">={since},<=0.21.2" if since else "<=0.21.2"
    return KnownFault("peft", versions, sentence, f"{UPSTREAM_PAGE}{section}", **facts)


_UNFREEZES = "13-disabling-unfreezes-an-adapter-loaded-for-inference"
_SAVED_INCOMPLETE = "14-one-of-two-adapters-is-saved-with-tensors-missing"
_COMBINED = "15-combined-an-adapter-of-weight-one-is-not-itself"
_PROMPT_TRAINS = "16-a-prompt-loaded-for-inference-trains"
_FREEZES_FIRST = "17-a-second-adapter-freezes-the-first"
_NOT_RESUMED = "18-adalora-with-ranks-cut-cannot-be-resumed"
_PREFIX = "2-a-classifiers-prefix-cannot-be-disabled"
_PISSA = "10-pissa-changes-the-base-model-for-good"
_FIRST_TRAINS = (
    "beside a second adapter the first must train what it trained, ",
    "active again, the first adapter must train what it trained, ",
    "with the second adapter deleted the first must train what it trained, ",
)
_SAVED_BESIDE = "beside an adapter called like a module, "
# Faults in what PEFT promises of an adapter's life (suites/test_adapters.py).
LIFECYCLE_FAULTS = (
    _peft_fault(
        _UNFREEZES,
        "loaded for inference, no tensor must train after disabling and enabling, ",
        methods=LAYER_METHODS,
    ),
    *(
        _peft_fault(
            _SAVED_INCOMPLETE,
            sentence,
            methods=methods,
            output_modes=(output_mode,),
            families=families,
        )
        for sentence, methods in (
            (_SAVED_BESIDE, tuple(name for name in LAYER_METHODS if name != "adalora")),
            (
                "saving one of two adapters must work or be refused, it raised AttributeError: ",
                ("adalora",),
            ),
        )
        # GPT-2's classifier has no tensor whose name holds one of the names that are tried.
        for output_mode, families in (("head", ("opt", "llama", "bert")), ("pattern", ()))
    ),
    _peft_fault(
        _COMBINED,
        "combined, an adapter of weight one must be itself, ",
        methods=("rslora", "dora"),
    ),
    _peft_fault(
        _COMBINED,
        "combined, an adapter of weight one must be itself, ",
        methods=("lora", "qlora", "ia3"),
        output_modes=("head",),
    ),
    *(
        _peft_fault(_PISSA, sentence, methods=("pissa",))
        for sentence in (
            "combined, an adapter of weight one must be itself, ",
            "merge_adapter twice must keep the outputs, ",
            "unmerge_adapter twice must keep the outputs, ",
        )
    ),
    *(
        _peft_fault(_PROMPT_TRAINS, sentence, methods=PROMPT_METHODS)
        for sentence in (
            "loaded for inference, no tensor must train, ",
            "a second adapter loaded for inference must not train, ",
            "with the second adapter active the first must not train, ",
        )
    ),
    *(_peft_fault(_FREEZES_FIRST, sentence, methods=("adalora",)) for sentence in _FIRST_TRAINS),
    *(
        _peft_fault(_FREEZES_FIRST, sentence, methods=PROMPT_METHODS, output_modes=("head",))
        for sentence in _FIRST_TRAINS
    ),
    _peft_fault(
        _FREEZES_FIRST,
        "beside a trainable second adapter a first one for inference must stay frozen, ",
        methods=("adalora",),
    ),
    *(
        _peft_fault(
            _PREFIX,
            f"{check} must work or be refused, it raised UnboundLocalError: ",
            methods=PROMPT_METHODS,
            output_modes=("head",),
        )
        for check in ("disabling and enabling", "loading for inference")
    ),
    _peft_fault(
        _NOT_RESUMED,
        "resuming training must work or be refused, it raised RuntimeError: ",
        methods=("adalora",),
    ),
)
_HALF_PRECISION = "21-on-a-base-model-in-half-precision-other-tensors-train"
_DORA_IN_8_BITS = "22-on-an-8-bit-base-model-dora-computes-once"
_TIED = "23-an-adapter-on-tied-embeddings-is-merged-into-the-head"
_HOT_SWAPPED = "24-a-hot-swapped-adapter-keeps-the-old-config"
_SAVED_WITH_MODULES = tuple(
    _peft_fault(
        _SAVED_INCOMPLETE,
        "saving one of two adapters must work or be refused, it raised KeyError: ",
        since="0.20.0",
        methods=tuple(name for name in LAYER_METHODS if name != "adalora"),
        families=families,
        output_modes=output_modes,
    )
    # The others have no tensor whose name holds one of the names that are tried.
    for families, output_modes in ((("opt", "bert"), ()), (("gpt2",), ("pattern",)))
)
# Faults of PEFT's options, by option (suites/test_peft_options.py).
OPTION_FAULTS: Mapping[str, tuple[KnownFault, ...]] = {
    "modules_to_save": (
        *_SAVED_WITH_MODULES,
        _peft_fault(
            _COMBINED,
            "combined, an adapter of weight one must be itself, ",
            methods=("lora", "qlora", "ia3"),
            output_modes=("pattern",),
        ),
    ),
    "trained embeddings": (
        *_SAVED_WITH_MODULES,
        _peft_fault(
            _SAVED_INCOMPLETE,
            "saving one of two adapters must work or be refused, it raised KeyError: ",
            since="0.20.0",
            families=("llama",),
        ),
        _peft_fault(
            _COMBINED,
            "combined, an adapter of weight one must be itself, ",
            methods=("lora",),
            output_modes=("pattern",),
        ),
    ),
    "adapted embeddings": (
        *(
            _peft_fault(_TIED, sentence, families=("gpt2",), output_modes=("pattern",))
            for sentence in (
                "merged, the outputs must be the unmerged ones, ",
                "merge_adapter twice must keep the outputs, ",
                "two active adapters, merge_adapter must keep the outputs, ",
            )
        ),
        _peft_fault(
            _TIED,
            "it must merge into its base model, that raised RuntimeError: ",
            methods=LORA_METHODS,
            families=("opt",),
            output_modes=("pattern",),
        ),
        _peft_fault(
            _TIED,
            "a model with a trained adapter must be copied, it raised RuntimeError: ",
            since="0.19.0",
            methods=("lora", "rslora"),
            families=("opt",),
            output_modes=("pattern",),
        ),
        _peft_fault(
            _TIED,
            "training an adapter must work, expected a finite loss and gradient norm, ",
            methods=("dora",),
            families=("opt",),
            output_modes=("pattern",),
        ),
    ),
    "base model in bfloat16": (
        *(
            _peft_fault(_HALF_PRECISION, sentence, since=since, methods=methods)
            for since, methods in (("0.21.0", ("adalora",)), ("0.21.1", ("ia3", "vera")))
            for sentence in (
                "loaded for inference, no tensor must train, ",
                "a second adapter loaded for inference must not train, ",
            )
        ),
        _peft_fault(
            _HALF_PRECISION,
            "active again, the first adapter must train what it trained, ",
            since="0.21.1",
            methods=("ia3", "vera"),
        ),
        _peft_fault(
            _HALF_PRECISION,
            "a base model in bfloat16 must not change what trains, ",
            since="0.21.0",
            methods=("adalora",),
        ),
        *(
            _peft_fault(_HALF_PRECISION, sentence, methods=("adalora",))
            for sentence in (
                "with the second adapter active the first must not train, ",
                "loaded for inference, the outputs must be the trained ones, ",
                "after 6 updates, saved and loaded, the outputs must be the same, ",
            )
        ),
        _peft_fault(
            _HALF_PRECISION,
            "on a base model in bfloat16 adapters must be float32, ",
            methods=("ln_tuning",),
        ),
    ),
    "base model in 8 bits": (
        _peft_fault(
            _DORA_IN_8_BITS,
            "training an adapter must work, it raised AttributeError: ",
            methods=("dora",),
        ),
    ),
}
_SWAPS = tuple(
    f"hot-swapped for an adapter of {difference}"
    for difference in ("equal shape", "another scale", "another rank")
)


def _unsupported_swap(error: str) -> tuple[KnownFault, ...]:
    return tuple(
        _peft_fault(_HOT_SWAPPED, f"{swap}, an adapter must be taken or refused, it raised {error}")
        for swap in _SWAPS
    )


# Faults of hot-swapping, by what the adapter adapts (suites/test_peft_options.py).
HOT_SWAP_FAULTS: Mapping[str, tuple[KnownFault, ...]] = {
    "layers": (
        _peft_fault(
            _HOT_SWAPPED, f"{_SWAPS[1]}, saved and loaded, an adapter must keep its outputs, "
        ),
        _peft_fault(
            _HOT_SWAPPED,
            f"{_SWAPS[2]}, saved and loaded, an adapter must load, it raised RuntimeError: "
            "Error(s) in loading state_dict",
        ),
        *(
            KnownFault(
                "peft",
                "<0.21",
                f"{swap} that is merged, an adapter must keep its outputs, ",
                f"{UPSTREAM_PAGE}{_HOT_SWAPPED}",
            )
            for swap in _SWAPS
        ),
    ),
    "magnitudes": _unsupported_swap("KeyError: "),
    "whole modules": _unsupported_swap("KeyError: "),
    "embeddings": _unsupported_swap("AttributeError: "),
}
_OTHER_SCALES = f"{UPSTREAM_PAGE}12-with-avx512-4-bit-weights-are-read-with-other-scales"
# Faults of base models in four bits whose width is no multiple of 64 (suites/test_base_models.py).
QUANTISATION_FAULTS = (
    KnownFault(
        "bitsandbytes",
        "<=0.50.2",
        "in four bits, a weight must be the file's up to rounding, ",
        _OTHER_SCALES,
        instruction_set="AVX512",
    ),
)
# Faults of gradient checkpointing (suites/test_gradients.py).
RECOMPUTATION_FAULTS = tuple(
    _peft_fault(
        "20-checkpointing-asked-for-after-a-prefix-is-an-error-or-no-training",
        f"gradient checkpointing, asked for afterwards{reentrant}, {promise}, ",
        methods=("prefix_tuning", "p_tuning_v2"),
        families=families,
    )
    for reentrant in ("", ", reentrant")
    for promise, families in (
        ("must work or be refused", (*LAST_TOKEN_HEADS, *MULTI_MODULE_HEADS, "bert")),
        ("must keep the gradient", ("t5",)),
    )
)


@dataclass(frozen=True)
class KernelFault:
    """A result of `package` in `versions` that is different on CPUs with `instruction_set`."""

    package: str
    versions: str
    instruction_set: str
    sentence: str
    link: str
    methods: tuple[str, ...]

    def applies_to(
        self, method: str, before: Mapping[str, object], after: Mapping[str, object]
    ) -> bool:
        """Check whether the fault separates a baseline and a run, by their environments."""
        fault = KnownFault(self.package, self.versions, self.sentence, self.link, self.methods)
        facts = CaseFacts(method, "", "")
        both = all(fault.applies_to(facts, environment) for environment in (before, after))
        sets = [
            environment.get("instruction set") == self.instruction_set
            for environment in (before, after)
        ]
        return both and sets[0] != sets[1]


KERNEL_FAULTS = (
    KernelFault(
        "bitsandbytes",
        "<=0.50.2",
        "AVX512",
        "with AVX512 it reads other scales than it wrote",
        _OTHER_SCALES,
        methods=("qlora",),
    ),
)


def why_kernels_differ(
    method: str, before: Mapping[str, object], after: Mapping[str, object]
) -> str:
    """Return why probe and trace cannot be compared, or "" if they can."""
    faults = (fault for fault in KERNEL_FAULTS if fault.applies_to(method, before, after))
    return next(
        (
            f"{KNOWN_PREFIX} of {fault.package} {fault.versions}: {fault.sentence} ({fault.link}); "
            f"{NOT_COMPARED_SUFFIX}"
            for fault in faults
        ),
        "",
    )


def split_known_faults(
    broken: Iterable[str],
    facts: CaseFacts,
    environment: Mapping[str, object],
    faults: Iterable[KnownFault] = FAULTS,
) -> tuple[list[str], list[str]]:
    """Split broken invariants into (unexplained, notes about known faults).

    A recorded fault that does not show gives a note with `FIXED_PREFIX`. There is no such note
    beside an unexplained break, which may have kept the invariant from being checked.
    """
    unexplained, notes, fixed = list(broken), [], []
    for fault in faults:
        if not fault.applies_to(facts, environment):
            continue
        known = [sentence for sentence in unexplained if sentence.startswith(fault.sentence)]
        unexplained = [sentence for sentence in unexplained if sentence not in known]
        notes += [
            f"{KNOWN_PREFIX} of {fault.package} {fault.versions}: {sentence} ({fault.link})"
            for sentence in known
        ]
        if not known:
            text = (
                f"{fault.package} {environment[fault.package]} does not show the fault recorded "
                f"for {fault.versions}"
            )
            fixed.append(
                f"{FIXED_PREFIX}: {text}, {fault.sentence!r} ({fault.link}): "
                "remove the record in compare/known_faults.py"
            )
    return unexplained, notes if unexplained else notes + fixed

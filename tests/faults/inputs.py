"""Faults of a model's inputs: masks, positions, padding, truncation, tokens, labels, caches."""

from __future__ import annotations

from typing import Any

from .change import Case, fault, patch

PATTERN = Case("pbft", shots=16)
HEAD = Case("lora", shots=16)


@fault("masks", HEAD, upstream="https://github.com/huggingface/transformers/pull/30311")
def mask_dropped() -> None:
    """The attention mask is dropped, and padding is read as text."""
    import torch
    from transformers.models.opt.modeling_opt import OPTDecoder

    @patch(OPTDecoder, "forward")
    def blind(real: Any, self: Any, *arguments: Any, **named: Any) -> Any:
        if named.get("attention_mask") is not None:
            named["attention_mask"] = torch.ones_like(named["attention_mask"])
        return real(self, *arguments, **named)


@fault("masks", PATTERN)
def future_visible() -> None:
    """Attention is not causal: each token attends to later tokens."""
    import torch

    @patch(torch.nn.functional, "scaled_dot_product_attention")
    def open_eyed(
        real: Any, query: Any, key: Any, value: Any, attn_mask: Any = None, **named: Any
    ) -> Any:
        if attn_mask is not None:
            attn_mask = attn_mask[..., -1:, :].expand_as(attn_mask)
        return real(query, key, value, attn_mask=attn_mask, **named | {"is_causal": False})


@fault(
    "positions",
    PATTERN,
    upstream="https://github.com/TransformerLensOrg/TransformerLens/issues/1609",
)
def positions_count_padding() -> None:
    """Positions count from the start of the padding, not of the text."""
    import torch
    from transformers.models.opt.modeling_opt import OPTLearnedPositionalEmbedding

    @patch(OPTLearnedPositionalEmbedding, "forward")
    def counted(
        real: Any, self: Any, attention_mask: Any, past: int = 0, position_ids: Any = None
    ) -> Any:
        length = attention_mask.shape[1] - past
        position_ids = torch.arange(past, past + length, device=attention_mask.device)[None].expand(
            len(attention_mask), -1
        )
        return real(self, attention_mask, past, position_ids=position_ids)


@fault("positions", HEAD)
def positions_off_by_one() -> None:
    """The learned positions' offset is one less than in pre-training."""
    from transformers.models.opt.modeling_opt import OPTLearnedPositionalEmbedding

    @patch(OPTLearnedPositionalEmbedding, "__init__")
    def shifted(real: Any, self: Any, *arguments: Any, **named: Any) -> None:
        real(self, *arguments, **named)
        self.offset -= 1


@fault("padding", HEAD, upstream="https://github.com/huggingface/transformers/pull/35911")
def wrong_token_classified() -> None:
    """The classification head reads the token at the count of real tokens, which is the last
    only with right padding."""
    import torch
    from transformers.models.opt.modeling_opt import OPTForSequenceClassification

    @patch(OPTForSequenceClassification, "forward")
    def counted(real: Any, self: Any, *arguments: Any, **named: Any) -> Any:
        found = real(self, *arguments, **named)
        ids = named["input_ids"] if "input_ids" in named else arguments[0]
        inner = {name: named[name] for name in ("attention_mask", "position_ids") if name in named}
        logits = self.score(self.model(ids, **inner).last_hidden_state)
        real_tokens = (ids != self.config.pad_token_id).sum(1)
        found.logits = logits[torch.arange(len(ids), device=ids.device), real_tokens - 1]
        return found


@fault("padding", PATTERN, upstream="https://github.com/huggingface/transformers/pull/25053")
def padded_on_the_other_side() -> None:
    """The requested padding side is ignored: decoders are padded on the right."""
    from transformers import PreTrainedTokenizerFast

    @patch(PreTrainedTokenizerFast, "_pad")
    def right(real: Any, self: Any, *arguments: Any, **named: Any) -> Any:
        self.padding_side = "right"
        return real(self, *arguments, **named | {"padding_side": "right"})


@fault("truncation", Case("icl", shots=16))
def truncated_on_the_other_side() -> None:
    """Long texts lose their end, where the answer is due, instead of their start."""
    from pytest_ftcompare.training.model_io import ModelInterface

    @patch(ModelInterface, "tokenizer")
    def other_side(real: Any, self: Any) -> Any:
        tokenizer = real(self)
        tokenizer.truncation_side = "right"
        return tokenizer


@fault("tokens", PATTERN)
def no_begin_of_text() -> None:
    """The begin-of-text token is missing."""
    from pytest_ftcompare.training.model_io import ModelInterface

    @patch(ModelInterface, "encode")
    def bare(real: Any, self: Any, texts: Any) -> Any:
        start = self.tokenizer.bos_token_id
        return [row[1:] if row[0] == start else row for row in real(self, texts)]


@fault("tokens", PATTERN)
def last_token_cut() -> None:
    """Each text loses its last token, as if its length counted one special token too many."""
    from pytest_ftcompare.training.model_io import ModelInterface

    @patch(ModelInterface, "encode")
    def cut(real: Any, self: Any, texts: Any) -> Any:
        return [row[:-1] for row in real(self, texts)]


@fault("labels", PATTERN)
def answer_read_one_early() -> None:
    """The answer's scores are read one token too early, as if labels were shifted twice."""
    from transformers.models.opt.modeling_opt import OPTForCausalLM

    @patch(OPTForCausalLM, "forward")
    def early(real: Any, self: Any, *arguments: Any, **named: Any) -> Any:
        found = real(self, *arguments, **named | {"logits_to_keep": 0})
        found.logits = found.logits.roll(1, dims=1)
        return found


@fault("labels", Case("icl", shots=16), PATTERN)
def verbalizers_swapped() -> None:
    """The classes' verbalizers are swapped."""
    from pytest_ftcompare.training.model_io import ModelInterface

    @patch(ModelInterface, "verbalizers")
    def swapped(real: Any, self: Any) -> Any:
        return real(self)[::-1]


@fault("labels", PATTERN)
def verbalizer_of_another_token() -> None:
    """A verbalizer maps to another token, as if a tokenizer treated the space before a word
    differently."""
    from pytest_ftcompare.training.model_io import ModelInterface

    @patch(ModelInterface, "verbalizers")
    def other(real: Any, self: Any) -> Any:
        first, *rest = real(self)
        return [first + 1, *rest]


@fault(
    "caches",
    Case("prefix_tuning"),
    upstream="https://github.com/huggingface/transformers/pull/41696",
)
def prefix_masked() -> None:
    """The attention mask hides the prefix: its keys and values are never read."""
    from transformers.models.opt.modeling_opt import OPTDecoder

    @patch(OPTDecoder, "forward")
    def masked(real: Any, self: Any, *arguments: Any, **named: Any) -> Any:
        past, mask = named.get("past_key_values"), named.get("attention_mask")
        if past is not None and mask is not None and (length := past.get_seq_length()):
            mask = mask.clone()
            mask[:, :length] = 0
            named["attention_mask"] = mask
        return real(self, *arguments, **named)


@fault("caches", Case("prefix_tuning"))
def prefix_cache_used_again() -> None:
    """The prefix's cache is reused between batches and keeps the keys of earlier texts."""
    from peft import PeftModel

    @patch(PeftModel, "get_prompt")
    def stale(real: Any, self: Any, batch_size: int, *arguments: Any, **named: Any) -> Any:
        kept = vars(self).setdefault("kept_prompts", {})
        if batch_size not in kept:
            kept[batch_size] = real(self, batch_size, *arguments, **named)
        return kept[batch_size]

"""Soft tokens around a text: [P_1 .. P_i] x [P_i+1 .. P_n]; PEFT's prompt encoder makes P."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn


class SoftTokens(nn.Module):
    """A model with soft tokens around its input embeddings, half before and half after."""

    def __init__(self, model: nn.Module, config: Any) -> None:
        from peft import PromptEncoder

        make: Any = PromptEncoder
        super().__init__()
        config.token_dim = model.get_input_embeddings().embedding_dim  # type: ignore[operator]
        config.num_transformer_submodules = 1
        self.model, self.config, self.length = model, model.config, config.num_virtual_tokens
        self.prompt_encoder = make(config).to(next(model.parameters()).device)

    def get_base_model(self) -> nn.Module:
        """Return the model inside; PEFT's models have a method of this name."""
        return self.model

    def forward(self, input_ids: torch.Tensor, attention_mask: torch.Tensor, **others: Any) -> Any:
        """Call the model; `input_ids` and `attention_mask` are (rows, length)."""
        rows, before = len(input_ids), self.length // 2
        embedded = self.model.get_input_embeddings()(input_ids)  # type: ignore[operator]
        soft = self.prompt_encoder(torch.arange(self.length, device=input_ids.device))
        soft = soft.to(embedded.dtype).expand(rows, -1, -1)
        visible = attention_mask.new_ones(rows, self.length)
        mask = torch.cat([visible[:, :before], attention_mask, visible[:, before:]], dim=1)
        embeddings = torch.cat([soft[:, :before], embedded, soft[:, before:]], dim=1)
        # With padding on the right, the padding moves behind the last soft token.
        if (attention_mask[:, -1] == 0).any():
            order = (mask == 0).long().argsort(dim=1, stable=True)
            mask, embeddings = (
                mask.gather(1, order),
                embeddings.gather(1, order.unsqueeze(-1).expand_as(embeddings)),
            )
        return self.model(inputs_embeds=embeddings, attention_mask=mask, **others)

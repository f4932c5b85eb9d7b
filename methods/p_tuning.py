"""P-Tuning through peft: `length` soft tokens in the input, made by a small prompt encoder (an LSTM with MLP, or an MLP).

Liu et al. 2021 (arXiv:2103.10385): h = MLP(BiLSTM(P)); the encoder trains, and a head where one is asked. `position` says
where the tokens stand: "front" as in peft, or "around" the text, half before and half after it, as in the paper's templates
[P] x [P]. At the start the encoder's last layer is solved for the embeddings of the sample's first tokens.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from .base import Method, MethodError, Recipe
from .prompt_tuning import PromptTuning

if TYPE_CHECKING:
    from torch import nn

OPTIONS = {"length": 5, "encoder": "MLP", "hidden": 160, "position": "front"}
CHOICES = {"encoder": ("MLP", "LSTM"), "position": ("front", "around")}


class PTuning(PromptTuning):
    name = "p_tuning"
    recipes = {
        "pocket": Recipe(lr=0.0001, epochs=20, options=OPTIONS),
        "paper": Recipe(
            lr=1e-3,
            epochs=40,
            batch_size=32,
            options={**OPTIONS, "length": 20, "encoder": "LSTM", "hidden": 768},
        ),
    }

    @property
    def _uses_peft(self) -> bool:
        return bool(self.option("position") == "front")

    def config(self, model: nn.Module) -> Any:
        from peft import PromptEncoderConfig

        for name, known in CHOICES.items():
            if self.option(name) not in known:
                raise MethodError(
                    f"p_tuning: expected {name} to be {' or '.join(known)}, got {self.option(name)!r}"
                )
        embeddings: Any = model.get_input_embeddings()  # type: ignore[operator]
        return PromptEncoderConfig(
            token_dim=embeddings.embedding_dim,  # peft's guess, the layers' width, is wrong for OPT-350m
            num_virtual_tokens=self.int_option("length"),
            encoder_reparameterization_type=self.option("encoder"),
            encoder_hidden_size=self.int_option("hidden"),
        )

    def apply(self, model: nn.Module) -> nn.Module:
        if self._uses_peft:
            return super().apply(model)
        from .layers.head import freeze
        from .layers.soft_tokens import SoftTokens

        return SoftTokens(freeze(model, self.output_mode), self.config(model))

    def write(self, model: nn.Module, folder: Path) -> None:
        if self._uses_peft:
            super().write(model, folder)
        else:
            Method.write(self, model, folder)

    def read(self, model: nn.Module, folder: Path) -> nn.Module:
        return (
            super().read(model, folder) if self._uses_peft else Method.read(self, model, folder)
        )


METHODS = (PTuning,)

"""P-Tuning with PEFT: `length` soft tokens in the input, computed by a small trained encoder.

Liu et al. 2021 (arXiv:2103.10385): h = MLP(BiLSTM(P)). The encoder (`MLP`, or `LSTM` with an MLP)
trains, and in output mode `head` a head too. `position` is "front", as in PEFT, or "around": half
of the tokens before and half after the text, as in the paper's templates [P] x [P]. At the start,
the encoder's last layer is solved for the embeddings of the training rows' first tokens.
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
                    f"p_tuning: expected {name} to be {' or '.join(known)}, "
                    f"got {self.option(name)!r}"
                )
        embeddings: Any = model.get_input_embeddings()  # type: ignore[operator]
        return PromptEncoderConfig(
            # PEFT's default, the layers' width, is wrong for OPT-350m.
            token_dim=embeddings.embedding_dim,
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
        return super().read(model, folder) if self._uses_peft else Method.read(self, model, folder)


METHODS = (PTuning,)

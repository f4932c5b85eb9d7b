"""Base classes of the methods that PEFT implements: a method's file makes only the config."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from .base import Method, MethodError

if TYPE_CHECKING:
    from torch import nn


def _linear_names(model: nn.Module) -> list[str]:
    """Return the last parts of the names of all modules with a weight matrix, except embeddings."""
    from torch import nn

    named = [name for name, part in model.named_modules() if not isinstance(part, nn.Embedding)]
    matrices = {
        name.rpartition(".")[0]
        for name, p in model.named_parameters()
        if name.endswith(".weight") and p.dim() == 2
    }
    return sorted({name.rpartition(".")[2] for name in named if name in matrices})


class PeftMethod(Method):
    """A method that PEFT implements; `config` returns its configuration."""

    mergeable = True

    def config(self, model: nn.Module) -> Any:
        """Return the `PeftConfig`, without its task type."""
        raise NotImplementedError

    def target_modules(self, model: nn.Module) -> str | list[str] | None:
        """Return the option `targets`: module names, "all-linear", or None for PEFT's choice.

        A name that no module ends in raises `MethodError`.
        """
        targets: str | list[str] | tuple[str, ...] | None = self.option("targets")
        if targets is None or targets == "all-linear":
            return targets
        names = [targets] if isinstance(targets, str) else list(targets)
        for name in names:
            if not any(
                path == name or path.endswith(f".{name}") for path, _ in model.named_modules()
            ):
                raise MethodError(
                    f"{self.name}: expected modules called {name!r} in {type(model).__name__}, "
                    f"found none; it has {', '.join(_linear_names(model))}"
                )
        return names

    def apply(self, model: nn.Module) -> nn.Module:
        from peft import TaskType, get_peft_model

        base: Any = model
        try:
            config = self.config(model)
            config.task_type = (
                TaskType.SEQ_CLS if self.output_mode == "head" else TaskType.CAUSAL_LM
            )
            if self.output_mode != "head" and base.config.is_encoder_decoder:
                config.task_type = TaskType.SEQ_2_SEQ_LM
            adapted: nn.Module = get_peft_model(base, config)
        except MethodError:
            raise
        except (ValueError, TypeError) as error:
            raise MethodError(
                f"{self.name}: peft refuses its options for {type(model).__name__}: {error}"
            ) from error
        return adapted

    def merge(self, model: nn.Module) -> nn.Module:
        from peft import PeftModel

        if not self.mergeable:
            return super().merge(model)
        assert isinstance(model, PeftModel)
        merged: nn.Module = model.merge_and_unload()
        return merged

    def write(self, model: nn.Module, folder: Path) -> None:
        from peft import PeftModel

        assert isinstance(model, PeftModel)
        model.save_pretrained(str(folder))

    def read(self, model: nn.Module, folder: Path) -> nn.Module:
        from peft import PeftModel

        base: Any = model
        restored: nn.Module = PeftModel.from_pretrained(base, str(folder))
        return restored


class VirtualTokens(PeftMethod):
    """A method with `length` virtual tokens, or keys and values, beside the text.

    They take positions from the text and cannot be merged into weights.
    """

    mergeable = False
    starts_as_base_model = False

    @property
    def num_virtual_tokens(self) -> int:
        return self.int_option("length")

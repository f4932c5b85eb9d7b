"""Faults of the loss and of its gradient: scale, accumulation, clipping, penalties."""

from __future__ import annotations

from typing import Any

from .change import Case, fault, patch

LORA = Case("lora", shots=16)  # accumulates two micro-batches


@fault("accumulation", LORA, upstream="https://github.com/huggingface/transformers/pull/35438")
def micro_batches_summed() -> None:
    """The losses of micro-batches are added without being divided by their number."""
    from pytest_ftcompare.training import train

    @patch(train, "backward")
    def summed(real: Any, model: Any, stage: Any, chosen: Any, micro_batches: int) -> Any:
        losses = real(model, stage, chosen, micro_batches)
        for one in train.trainable_parameters(model).values():
            if one.grad is not None:
                one.grad.mul_(len(losses))
        return [one * len(losses) for one in losses]


@fault("accumulation", LORA, upstream="https://github.com/huggingface/transformers/pull/34191")
def micro_batches_weighted_alike() -> None:
    """Each micro-batch weighs the same, however many rows it has."""
    from pytest_ftcompare.training import train

    @patch(train, "backward")
    def alike(real: Any, model: Any, stage: Any, chosen: Any, micro_batches: int) -> Any:
        size = -(-len(chosen) // micro_batches)
        parts = [chosen[at : at + size] for at in range(0, len(chosen), size)]
        losses = []
        for part in parts:
            loss = stage.loss(model, [stage.rows[one] for one in part], stage.targets[part]) / len(
                parts
            )
            loss.backward()
            losses.append(loss.detach())
        return losses


@fault("accumulation", LORA)
def only_last_micro_batch_counts() -> None:
    """Gradients are cleared between micro-batches, so that only the last one trains."""
    from pytest_ftcompare.training import train

    @patch(train, "backward")
    def last(real: Any, model: Any, stage: Any, chosen: Any, micro_batches: int) -> Any:
        size = -(-len(chosen) // micro_batches)
        losses = []
        for at in range(0, len(chosen), size):
            model.zero_grad()
            losses += [
                one * (len(chosen[at : at + size]) / len(chosen))
                for one in real(model, stage, chosen[at : at + size], 1)
            ]
        return losses


@fault("clipping", LORA, upstream="https://github.com/huggingface/transformers/issues/1563")
def clipped_after_each_micro_batch() -> None:
    """The gradient norm is clipped after each micro-batch, before the others are added."""
    import torch

    from pytest_ftcompare.training import train

    @patch(train, "backward")
    def clipped(real: Any, model: Any, stage: Any, chosen: Any, micro_batches: int) -> Any:
        size = -(-len(chosen) // micro_batches)
        losses = []
        for at in range(0, len(chosen), size):
            part = chosen[at : at + size]
            loss = stage.loss(model, [stage.rows[one] for one in part], stage.targets[part]) * (
                len(part) / len(chosen)
            )
            loss.backward()
            if micro_batches > 1:
                torch.nn.utils.clip_grad_norm_(model.parameters(), stage.recipe.max_grad_norm)
            losses.append(loss.detach())
        return losses


@fault("clipping", Case("pbft", shots=16))
def never_clipped() -> None:
    """The gradient norm is measured and not clipped."""
    import torch

    @patch(torch.nn.utils, "clip_grad_norm_")
    def measured(real: Any, parameters: Any, max_norm: float, *arguments: Any, **named: Any) -> Any:
        return real(parameters, 1e9, *arguments, **named)


@fault("clipping", Case("pbft", shots=16))
def clipped_by_value() -> None:
    """Each gradient element is clipped at a thousandth of the limit, instead of the norm at the
    limit."""
    import torch

    @patch(torch.nn.utils, "clip_grad_norm_")
    def by_value(real: Any, parameters: Any, max_norm: float, *arguments: Any, **named: Any) -> Any:
        kept = list(parameters)
        norm = real(kept, 1e9, *arguments, **named)
        torch.nn.utils.clip_grad_value_(kept, max_norm / 1000)
        return norm


@fault("loss", LORA)
def labels_smoothed() -> None:
    """The loss smooths its labels by 0.1, although no option requests it."""
    import torch

    @patch(torch.nn.functional, "cross_entropy")
    def smoothed(real: Any, *arguments: Any, **named: Any) -> Any:
        return real(*arguments, **named | {"label_smoothing": 0.1})


@fault("loss", Case("adalora"), upstream="https://github.com/huggingface/peft/issues/432")
def orthogonality_not_in_the_loss() -> None:
    """AdaLoRA's penalty is not added to the loss."""
    from pytest_ftcompare import methods

    @patch(methods.load("adalora"), "penalty")
    def none(real: Any, self: Any, model: Any) -> float:
        return 0.0


@fault("loss", LORA)
def loss_in_bfloat16() -> None:
    """The loss is computed from logits in bfloat16."""
    import torch

    @patch(torch.nn.functional, "cross_entropy")
    def rounded(real: Any, logits: Any, *arguments: Any, **named: Any) -> Any:
        return real(logits.bfloat16(), *arguments, **named).float()


ANSWER = Case("lora", "pocket_instructions", 32, (("output_mode", "answer"), ("epochs", 4)))


@fault("loss", ANSWER)
def end_of_text_not_learned() -> None:
    """The end-of-text token is treated as padding, so the model never learns to end an answer."""
    from pytest_ftcompare.training import language_modeling

    @patch(language_modeling, "_losses")
    def endless(real: Any, interface: Any, model: Any, rows: Any, predicted: Any) -> Any:
        ends = interface.collate(rows)["input_ids"] == interface.tokenizer.eos_token_id
        return real(interface, model, rows, predicted & ~ends)


@fault("loss", ANSWER, upstream="https://github.com/huggingface/transformers/pull/47395")
def labels_shifted_twice() -> None:
    """Each token learns to predict the token after the next."""
    from torch.nn.functional import cross_entropy

    from pytest_ftcompare.training import language_modeling

    @patch(language_modeling, "_losses")
    def twice(real: Any, interface: Any, model: Any, rows: Any, predicted: Any) -> Any:
        inputs = interface.collate(rows)
        logits = model(**interface.model_inputs(inputs), use_cache=False).logits[:, :-2].float()
        wanted = inputs["input_ids"][:, 2:].masked_fill(
            ~predicted[:, 2:], language_modeling.IGNORED_LABEL
        )
        losses = cross_entropy(
            logits.transpose(1, 2),
            wanted,
            ignore_index=language_modeling.IGNORED_LABEL,
            reduction="none",
        )
        return losses.sum(1) / predicted[:, 1:].sum(1)

"""Silent errors by which TrainCheck is measured, re-created from their public reports.

TrainCheck (Jiang et al., OSDI 2025) infers invariants of a training and checks them while another
one runs. `traincheck_reports.py` lists its 20 errors, with its results and the faults here. Each
fault was run once with an upgrade and once without, before anything was tuned to it.

Eight of the 20 can be met by a fine-tuning of text in one process. These were left out:

- several processes: deepspeed-1801, deepspeed-5794, pytorch-104336, x-jxmnop-ddp-out-of-sync;
- links between GPUs: baichuan2-86, pytorch-84803, pytorch-96600;
- images: pytorch-51800 (spectral norm), transformers-34204 (an image processor);
- parts that no case has: lightning-thunder-725 (a compiler's autocast) and stackoverflow-67180955
  (loader workers that draw random numbers);
- transformers-29903: the sources do not say how its checkpoint was corrupted.

One of the six bugs that TrainCheck newly reported fits too: accelerate-2665. The other five are
of DeepSpeed.
"""

from __future__ import annotations

from typing import Any

from .change import Case, fault, patch

LORA = Case("lora", shots=16)
FULL = Case("full", shots=16)
PARTIAL = Case("partial", shots=16)
ANSWER = Case("lora", "pocket_instructions", 32, (("output_mode", "answer"), ("epochs", 4)))
# After two epochs, some answers run to the limit; after four, all end before it.
UNFINISHED = Case("lora", "pocket_instructions", 32, (("output_mode", "answer"), ("epochs", 2)))
# Each update of the adapters omits another number of layers, so gradients are missing in turn.
RANDOM_DROP = Case("adapter_drop", options=(("random", True),))
TRAINER = Case("full", shots=16, options=(("engine", "trainer"),))
# 32 rows are eight micro-batches of four: two updates of three and one of two.
ACCUMULATED = Case(
    "lora", shots=16, options=(("batch_size", 12), ("engine", "trainer"), ("micro_batches", 3))
)


@fault(
    "optimiser",
    LORA,
    upstream="https://stackoverflow.com/questions/60335387/pytorch-mnist-example-not-converge",
)
def zero_grad_missing() -> None:
    """The training loop does not call `optimizer.zero_grad()`."""
    from pytest_ftcompare.training import train

    @patch(train.Training, "__init__")
    def without(real: Any, self: Any, *arguments: Any, **named: Any) -> None:
        real(self, *arguments, **named)
        self.optimizer.zero_grad = lambda *_, **__: None


@fault(
    "freezing",
    FULL,
    upstream="https://discuss.pytorch.org/t/obtaining-abnormal-changes-in-loss-and-accuracy/84911",
)
def only_norms_train() -> None:
    """A loop over the parameters' names freezes all but the normalisation layers."""
    from pytest_ftcompare import methods

    @patch(methods.load("full"), "apply")
    def frozen(real: Any, self: Any, model: Any) -> Any:
        model = real(self, model)
        for name, parameter in model.named_parameters():
            if "norm" not in name:
                parameter.requires_grad = False
        return model


@fault("freezing", PARTIAL, upstream="https://github.com/open-mmlab/mmpretrain/issues/702")
def layers_freeze_in_train() -> None:
    """Layers freeze when `train()` changes the mode, and a new model is in training mode."""
    from transformers import OPTForSequenceClassification

    from pytest_ftcompare import methods

    @patch(methods.load("partial"), "apply")
    def later(real: Any, self: Any, model: Any) -> Any:
        model = real(self, model).train()
        model.freezes_in_train = []
        for name, parameter in model.named_parameters():
            if not parameter.requires_grad:
                model.freezes_in_train.append(name)
                parameter.requires_grad = True
        return model

    @patch(OPTForSequenceClassification, "train")
    def freezing(real: Any, self: Any, mode: bool = True) -> Any:
        names = vars(self).get("freezes_in_train", ())
        if names and mode == self.training:
            return self
        real(self, mode)
        for name in names:
            self.get_parameter(name).requires_grad = False
        return self


@fault("optimiser", TRAINER, upstream="https://github.com/huggingface/accelerate/issues/2665")
def optimiser_of_old_parameters() -> None:
    """Wrapping the model replaces its parameters after the optimiser was made."""
    from accelerate import Accelerator
    from torch import nn

    @patch(Accelerator, "prepare_model")
    def replaced(real: Any, self: Any, model: Any, *arguments: Any, **named: Any) -> Any:
        model = real(self, model, *arguments, **named)
        new: dict[Any, Any] = {}  # tied parameters stay tied
        for module in model.modules():
            for name, old in module.named_parameters(recurse=False, remove_duplicate=False):
                if old not in new:
                    new[old] = nn.Parameter(old.detach().clone(), old.requires_grad)
                setattr(module, name, new[old])
        return model


@fault("optimiser", RANDOM_DROP, upstream="https://github.com/pytorch/pytorch/issues/115607")
def guard_on_missing_gradients_lost() -> None:
    """A compiled optimiser, made for an update without some gradients, also serves all later
    updates."""
    import torch

    # The compiler has a guard now. As in TrainCheck's evaluation, the error is simulated: the
    # version that omits most tensors passes its guards in every later update.
    @patch(torch.optim.AdamW, "step")
    def stale(real: Any, self: Any, *arguments: Any) -> Any:
        omitted = vars(self).setdefault("omitted", set())
        parameters = [tensor for group in self.param_groups for tensor in group["params"]]
        omitted.update(tensor for tensor in parameters if tensor.grad is None)
        gradients = {parameter: parameter.grad for parameter in omitted}
        for parameter in omitted:
            parameter.grad = None
        result = real(self, *arguments)
        for parameter, gradient in gradients.items():
            parameter.grad = gradient
        return result


@fault("initialisation", LORA, upstream="https://github.com/huggingface/transformers/pull/17877")
def head_drawn_once_per_enclosing_module() -> None:
    """Initialisation visits each enclosing module and draws the new head again."""
    import torch
    from torch import nn
    from transformers import PreTrainedModel

    @patch(PreTrainedModel, "initialize_weights")
    def again(real: Any, self: Any) -> None:
        heads = [
            module
            for module in self.modules()
            if isinstance(module, nn.Linear)
            and not getattr(module, "_is_hf_initialized", False)
            and not getattr(module.weight, "_is_hf_initialized", False)
        ]
        real(self)
        for head in heads:
            for enclosing in self.modules():
                if enclosing is not head and head in enclosing.modules():
                    with torch.no_grad():
                        self._init_weights(head)


@fault("writing", UNFINISHED, upstream="https://github.com/huggingface/transformers/issues/23723")
def prompt_counts_as_new_tokens() -> None:
    """The limit of new tokens is raised by the length of the prompt."""
    from transformers import GenerationMixin

    @patch(GenerationMixin, "generate")
    def longer(real: Any, self: Any, *arguments: Any, **named: Any) -> Any:
        named["max_new_tokens"] += named["input_ids"].shape[1]
        return real(self, *arguments, **named)


@fault("dropout", ANSWER, upstream="https://github.com/huggingface/transformers/pull/33844")
def attention_drops_while_writing() -> None:
    """In evaluation, attention drops a tenth of its weights, as it did with flash attention."""
    from transformers.models.opt.modeling_opt import OPTAttention

    @patch(OPTAttention, "forward")
    def dropping(real: Any, self: Any, *arguments: Any, **named: Any) -> Any:
        if self.training:
            return real(self, *arguments, **named)
        # The rate of M2M100, in whose flash attention this was fixed; OPT here has none.
        rate, self.dropout, self.training = self.dropout, 0.1, True
        try:
            return real(self, *arguments, **named)
        finally:
            self.dropout, self.training = rate, False


@fault("schedule", ACCUMULATED, upstream="https://github.com/huggingface/transformers/issues/33455")
def trainer_stops_short() -> None:
    """The Trainer counts only whole updates of an epoch, and stops before the last epochs."""
    from transformers import Trainer

    @patch(Trainer, "set_initial_training_values")
    def rounded_down(real: Any, self: Any, args: Any, dataloader: Any, *arguments: Any) -> Any:
        *values, steps = real(self, args, dataloader, *arguments)
        whole = max(len(dataloader) // args.gradient_accumulation_steps, 1)
        return *values, min(steps, int(args.num_train_epochs * whole))

"""TorchTitan's trainer with packed documents, our metrics file and our validation.

Import after :func:`smallwright_pretrain.cpu.use_device`.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import torch
from torchtitan.trainer import Trainer

from smallwright_pretrain.attention import DocumentAttention, document_mask

PRECISIONS = {"float32": torch.float32, "bfloat16": torch.bfloat16}


class PackedTrainer(Trainer):
    """TorchTitan's trainer; attention masks keep documents apart also where FlexAttention is not used."""

    @dataclass(kw_only=True, slots=True)
    class Config(Trainer.Config):
        pass

    ntokens_seen: int

    def __init__(self, config: Config) -> None:
        super().__init__(config)
        self.validator.trainer = self

    def model_kwargs(self, input_dict: dict[str, torch.Tensor]) -> dict[str, Any]:
        """Return positions and attention mask for a forward pass, without counting tokens."""
        seen = self.ntokens_seen
        _, _, kwargs = self.post_dataloading_process(input_dict, input_dict["input"])
        self.ntokens_seen = seen
        return kwargs

    def post_dataloading_process(
        self, input_dict: dict[str, torch.Tensor], labels: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor, dict[str, Any]]:
        """Add the document mask that TorchTitan builds for its own attention backends only."""
        inputs, labels, kwargs = super().post_dataloading_process(input_dict, labels)
        if isinstance(self.model_config.first_attention.inner_attention, DocumentAttention.Config):
            dtype = PRECISIONS[self.config.training.mixed_precision_param]
            mask_B1LL = document_mask(input_dict["positions"], dtype)
            if self.parallel_dims.cp_enabled:  # this rank's queries, and the keys of all
                ranks = self.parallel_dims.get_mesh("cp")
                mask_B1LL = mask_B1LL.chunk(ranks.size(), dim=2)[ranks.get_local_rank()]
            kwargs["attention_masks"] = mask_B1LL
        return inputs, labels, kwargs

    def batch_generator(self, data_iterable: Iterable[Any]) -> Iterator[Any]:
        """Start reading batches; called once, after the checkpoint has been loaded."""
        self.metrics_processor.forget_after(self.step)
        # The checkpoint of a step is saved before its validation: a run that was ended in between has not measured.
        if self.step > 0 and self.validator.should_validate(self.step):
            self.validate_once()
        return super().batch_generator(data_iterable)

    def validate_once(self) -> None:
        """Measure the validation loss of this step, where there is something to measure and it is not recorded yet."""
        if self.validator.windows() and not self.metrics_processor.has_validation(self.step):
            self.validator.validate(self.model_parts, self.step)

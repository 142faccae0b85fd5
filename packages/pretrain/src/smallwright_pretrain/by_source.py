"""The training loss of each corpus: what the loss of a logged step sums, kept apart by sequence.

The loss is summed sequence by sequence in every step, logged or not, so that training does not depend on what is
logged; that takes a number a token and no second look at the logits. The sums stay on the device until the step is
logged, where one small reduction over the ranks follows those of the loss itself.

Import after :func:`smallwright_pretrain.cpu.use_device`.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch.distributed.tensor import DTensor, Shard
from torchtitan.components.loss import CrossEntropyLoss, _LossParallelCrossEntropy
from torchtitan.distributed import utils as dist_utils

from smallwright_pretrain.windows import IGNORED


def losses_by_sequence(
    pred: torch.Tensor, labels: torch.Tensor, *, global_vocab_size: int | None = None
) -> torch.Tensor:
    """Return the summed loss of each sequence in nats, shape (B,), as TorchTitan's ``cross_entropy_loss`` sums all."""
    if isinstance(pred, DTensor) and pred.placements == (Shard(pred.ndim - 1),):  # tensor parallelism
        losses_N = _LossParallelCrossEntropy.apply(
            pred.to_local().flatten(0, 1).float(),
            labels.flatten(0, 1),
            pred.device_mesh.get_group("tp"),
            pred.shape[-1],
            "none",
        )
    else:
        losses_N = torch.nn.functional.cross_entropy(
            pred.flatten(0, 1).float(), labels.flatten(0, 1), reduction="none", ignore_index=IGNORED
        )
    return losses_N.view(labels.shape).sum(1)


class LossBySequence(CrossEntropyLoss):
    """TorchTitan's cross-entropy, which remembers what it was of each sequence when it is asked to."""

    @dataclass(kw_only=True, slots=True)
    class Config(CrossEntropyLoss.Config):
        pass

    def __init__(self, config: Config, *, compile_config: Any = None) -> None:
        super().__init__(config)
        self.fn = losses_by_sequence
        self._maybe_compile(compile_config)
        self.seen: list[torch.Tensor] | None = None
        """Summed loss and number of labels of each sequence, shape (B, 2) a batch; None: it is not asked to."""

    def __call__(
        self, pred: torch.Tensor, labels: torch.Tensor, global_valid_tokens: torch.Tensor | None = None, **_: Any
    ) -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
        """Return the loss, over ``global_valid_tokens`` where they are given."""
        losses_B = self.fn(pred, labels, global_vocab_size=self.global_vocab_size)
        if self.seen is not None:
            self.seen.append(torch.stack([losses_B.detach().double(), (labels != IGNORED).sum(1).double()], dim=1))
        loss = losses_B.sum()
        return loss if global_valid_tokens is None else loss / global_valid_tokens, {}


class BySource:
    """The loss of a step by corpus, over its micro-batches and all ranks."""

    def __init__(self, loss: LossBySequence, names: Sequence[str], device: torch.device) -> None:
        """Begin with nothing.

        Args:
            loss: That is trained on.
            names: Of the corpora, in the order of their numbers.
            device: Of the labels.
        """
        self._loss, self._names = loss, names
        self._sums_S2 = torch.zeros(len(names), 2, dtype=torch.float64, device=device)

    def begin(self) -> None:
        """Begin a step that is logged."""
        self._sums_S2.zero_()

    def listen(self) -> None:
        """Have the loss remember what it computes, until :meth:`add`: held-out text is measured by it, too."""
        self._loss.seen = []

    def add(self, sources: Sequence[torch.Tensor]) -> None:
        """Add what the loss has seen since then.

        Args:
            sources: Number of the corpus of each sequence, shape (B,), for each batch in the order of the losses.
        """
        seen, self._loss.seen = self._loss.seen, None
        if seen:  # in a pipeline only the last stage sees it; a teacher's loss is another one
            # A pipeline tries the loss once before its first batch, to learn the shape of gradients.
            own = seen[-len(sources) :]
            self._sums_S2.index_add_(0, torch.cat(list(sources)).long(), torch.cat(own))

    def losses(self, mesh: Any | None) -> dict[str, float]:
        """End the step, and return the mean loss of each corpus that it had, in nats per token.

        Args:
            mesh: Ranks that share the batch, or a sequence; None: this one has all of it.
        """
        sums_S2 = self._sums_S2 if mesh is None else dist_utils.dist_sum_tensor(self._sums_S2, mesh)
        sums = zip(self._names, sums_S2.tolist(), strict=True)
        return {name: loss / labels for name, (loss, labels) in sums if labels}

"""Steps of AdamW on a TorchTitan model, the same for one rank and for several.

Shape suffixes: B batch, L sequence, V vocabulary.
"""

from typing import TYPE_CHECKING, Any

from smallwright_testing.engines import titan_logits

if TYPE_CHECKING:
    import torch

JOB, GIVEN, FOUND = "job.json", "given.pt", "found.pt"
"""Files by which the test and its ranks tell each other of the work."""


def mean_loss(model: Any, ids_BL: "torch.Tensor", rows: slice = slice(None)) -> "torch.Tensor":
    """Return the cross-entropy of ``rows`` in nats, divided by the tokens of all rows: ranks add theirs up."""
    import torch.nn.functional as F

    mine_BL = ids_BL[rows]
    logits_BLV = titan_logits(model, mine_BL)
    total = F.cross_entropy(logits_BLV[:, :-1].flatten(0, 1), mine_BL[:, 1:].flatten(), reduction="sum")
    return total / (ids_BL.shape[0] * (ids_BL.shape[1] - 1))


def train(
    model: Any, ids_BL: "torch.Tensor", steps: int, learning_rate: float, rows: slice = slice(None)
) -> list[float]:
    """Train on the same rows again and again, and return this rank's part of the loss before each step."""
    import torch

    optimizer = torch.optim.AdamW(model.parameters(), lr=learning_rate, weight_decay=0.1)
    losses = []
    for _ in range(steps):
        loss = mean_loss(model, ids_BL, rows)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    return losses

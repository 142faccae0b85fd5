"""What a summary says of curves."""

from collections.abc import Sequence

CURVE_POINTS = 1000


def rising(losses: Sequence[float], learning_rate: float) -> list[str]:
    """Return a note where training made the model worse, as a rate for new models does to a trained one.

    Args:
        losses: Of the steps on their own batches, in nats per token; the first is from before any update.
        learning_rate: The peak.
    """
    ends = losses[-10:]
    if len(losses) < 2 or sum(ends) / len(ends) <= losses[0] + 0.1:
        return []
    return [
        f"the loss rose from {losses[0]:.2f} to {sum(ends) / len(ends):.2f} nats per token: lower "
        f"pretrain.learning_rate (now {learning_rate:g})."
    ]


def thin(curve: list[list[float]]) -> list[list[float]]:
    """Return at most about CURVE_POINTS points, the last always."""
    stride = -(-len(curve) // CURVE_POINTS) or 1
    thinned = curve[::stride]
    return thinned if not curve or thinned[-1] == curve[-1] else [*thinned, curve[-1]]

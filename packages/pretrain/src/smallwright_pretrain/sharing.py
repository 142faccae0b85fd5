"""How ranks share out a global batch: evenly, with empty rows where it does not divide."""

import math


def rows_of_a_pass(batch: int, ranks: int, most: int | None) -> int:
    """Return the sequences that a rank computes in one forward pass.

    As many as ``most`` lets, or down to half as many where fewer rows are then computed for nothing.

    Args:
        batch: Sequences of a global batch.
        ranks: Ranks that share them.
        most: ``micro_batch_size``; None: all of a rank's share.
    """
    share = math.ceil(batch / ranks)
    most = min(most or share, share)
    return min(range(most, math.ceil(most / 2) - 1, -1), key=lambda rows: padded(batch, ranks, rows))


def padded(batch: int, ranks: int, rows: int) -> int:
    """Return the rows that all ranks compute in a step: the batch, and empty ones."""
    return math.ceil(batch / (ranks * rows)) * ranks * rows

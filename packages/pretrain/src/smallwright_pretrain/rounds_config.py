"""Settings of a training in rounds, and how its steps are shared out to them. No NumPy: planning reads them."""

import dataclasses
import math
from fractions import Fraction

from core.typed import setting

NAME = "round-{}"
"""Of the stage that a round behind the first is."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class RoundsConfig:
    """A training in rounds, each on the windows of the one before that are still hard (PanGu-pi Pro, arXiv 2402.02791).

    At the end of a round the model, frozen, measures the loss of every window that the round trained on; of these
    windows the next round gets a share, drawn by ``softmax(loss)`` without replacement. The numbers are the paper's;
    that windows are drawn and not batches of 2M tokens, and that one schedule of the rate spans all rounds, is ours.
    """

    count: int = setting(2, ge=2)
    """Rounds; a third one brought nothing in the paper."""
    rate: float = setting(0.5, gt=0, le=1)
    """Share of a round's windows that the next one gets; each round is so much shorter than the one before."""
    temperature: float = setting(1.0, gt=0)
    """What losses are divided by before the softmax; 1 is ``exp(loss)``, as published."""

    def split(self, steps: int) -> list[int]:
        """Return the steps of each round in a training of ``steps``, at least one each."""
        rate, left, found = Fraction(str(self.rate)), steps, []
        for later in reversed(range(self.count)):
            whole = sum((rate**turn for turn in range(later + 1)), Fraction())
            found.append(max(1, min(math.ceil(left / whole), left - later)))
            left -= found[-1]
        return found

    def whole(self, first: int) -> int:
        """Return the steps of all rounds where the first has ``first``."""
        rate = Fraction(str(self.rate))
        return max(
            first + self.count - 1, math.floor(sum((first * rate**turn for turn in range(self.count)), Fraction()))
        )

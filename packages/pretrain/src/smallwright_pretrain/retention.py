"""Which checkpoints stay: the latest, one every so many steps or tokens, and named ones. No torch."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass


@dataclass(frozen=True)
class Retention:
    """Which steps' checkpoints are kept for good."""

    every: int | None = None
    """Steps."""
    every_tokens: int | None = None
    steps: tuple[int, ...] = ()
    """Named ones."""
    spared: tuple[int, ...] = ()
    """Steps whose checkpoints are saved, and stay as long as the latest do."""

    def keeps(self, step: int, tokens: Callable[[int], int]) -> bool:
        """Whether the checkpoint of ``step`` is one of these; by tokens, the first step that reaches a multiple.

        Args:
            tokens: Trained on after a step.
        """
        if step < 1:
            return False
        by_tokens = self.every_tokens is not None and (
            tokens(step) // self.every_tokens > tokens(step - 1) // self.every_tokens
        )
        return by_tokens or step in self.steps or (self.every is not None and step % self.every == 0)

    def most(self, steps: int, tokens: int) -> int:
        """Return how many checkpoints a training of so many steps and tokens keeps for good, at most."""
        by_steps = steps // self.every if self.every else 0
        by_tokens = tokens // self.every_tokens if self.every_tokens else 0
        return min(steps, by_steps + by_tokens + len([step for step in self.steps if step <= steps]))

    def stale(self, steps: Iterable[int], latest: int | None, tokens: Callable[[int], int]) -> list[int]:
        """Return the steps whose checkpoints can go, oldest first.

        Args:
            latest: How many stay anyway; None: all.
        """
        ordered = sorted(steps)
        old = [] if latest is None else ordered[: max(0, len(ordered) - latest)]
        return [step for step in old if not self.keeps(step, tokens) and (step not in self.spared or latest == 0)]

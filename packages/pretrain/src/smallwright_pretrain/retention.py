"""Which checkpoints stay: the latest, one every so many steps or tokens, and named ones. No torch."""

from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True)
class TokenCount:
    """How many tokens a run has trained on after a step, whatever the number of ranks."""

    per_step: int
    steps_before: int = 0
    """Steps of earlier parts of the run, whose batches had another size."""
    tokens_before: int = 0

    def at(self, step: int) -> int:
        """Return the tokens after ``step``, which is none of the earlier parts."""
        return self.tokens_before + (step - self.steps_before) * self.per_step


@dataclass(frozen=True)
class Retention:
    """Which steps' checkpoints are kept for good."""

    every: int | None = None
    """Steps."""
    every_tokens: int | None = None
    steps: tuple[int, ...] = ()
    """Named ones."""

    def keeps(self, step: int, tokens: TokenCount) -> bool:
        """Whether the checkpoint of ``step`` is one of these; at tokens, the first step that reaches a multiple."""
        if step < 1:
            return False
        at_tokens = self.every_tokens is not None and (
            tokens.at(step) // self.every_tokens > tokens.at(step - 1) // self.every_tokens
        )
        return at_tokens or step in self.steps or (self.every is not None and step % self.every == 0)

    def stale(self, steps: Iterable[int], latest: int, tokens: TokenCount) -> list[int]:
        """Return the steps whose checkpoints can go, oldest first; ``latest``: how many stay anyway, 0 for all."""
        ordered = sorted(steps)
        return [step for step in ordered[:-latest] if not self.keeps(step, tokens)] if latest else []

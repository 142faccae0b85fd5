"""An engine with a model, as the commands ask it: one answer while it grows, or many at once."""

import dataclasses
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from typing import Any

from smallwright_eval.talk.loading import Sampling


@dataclasses.dataclass(frozen=True, kw_only=True)
class Answer:
    """One answer."""

    tokens: Sequence[int]
    """Its ids, without the one that ended it."""
    ended: bool
    """Whether the model ended it; False: it was cut at ``max_new_tokens``."""


class Talker(ABC):
    """A loaded model."""

    tokenizer: Any
    about: str
    """Engine, version, numbers and device, for people."""

    @abstractmethod
    def stream(self, prompt: Sequence[int], sampling: Sampling, emit: Callable[[int], None]) -> bool:
        """Answer one prompt, and give each token to ``emit`` as soon as it is there; one that ends an answer is not.

        Args:
            prompt: Token ids, at least one.

        Returns:
            Whether the model ended the answer.
        """

    @abstractmethod
    def answer(self, prompts: Sequence[Sequence[int]], sampling: Sampling, n: int, seed: int) -> list[list[Answer]]:
        """Answer several prompts, ``n`` times each, in their order."""

    def seed(self, seed: int) -> None:
        """Make the sampling of :meth:`stream` from here on the same each time."""
        return

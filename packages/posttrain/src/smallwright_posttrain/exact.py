"""Held-out measurements that do not depend on the size of a batch.

TRL averages the means of batches: a short last batch, or one with few tokens to learn, counts as much as any other.
"""

from collections import Counter
from collections.abc import Callable
from typing import Any


def weighted(trainer_class: Any, weigh: Callable[[Any], int]) -> Any:
    """Return TRL's trainer class, ``evaluate`` averaging over what ``weigh`` counts in a batch: tokens or pairs."""

    class Weighted(trainer_class):  # type: ignore[misc, valid-type]
        """TRL's own trainer but for the averages."""

        def prediction_step(self, model: Any, inputs: Any, *arguments: Any, **options: Any) -> Any:
            weight = weigh(inputs)
            before = {name: len(values) for name, values in self._metrics["eval"].items()}
            answer = super().prediction_step(model, inputs, *arguments, **options)
            new = {
                name: values[-1] for name, values in self._metrics["eval"].items() if len(values) > before.get(name, 0)
            }
            for name, value in {**new, "loss": float(answer[0])}.items():
                self.sums[name] += value * weight
            self.weight += weight
            return answer

        def evaluate(self, *arguments: Any, **options: Any) -> Any:
            self.sums, self.weight = Counter[str](), 0
            metrics = super().evaluate(*arguments, **options)
            return {**metrics, **{f"eval_{name}": total / self.weight for name, total in self.sums.items()}}

    Weighted.__name__ = trainer_class.__name__  # it is in the model card of every checkpoint
    return Weighted

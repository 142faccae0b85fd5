"""RHO-LOSS: train on what is learnable, worth learning and not learnt yet (Mindermann et al. 2022, arXiv 2206.07137).

No torch.
"""

from collections.abc import Sequence

from core.interfaces import SelectionPolicy

from smallwright_pretrain.policies_config import RHOConfig


class RHO(SelectionPolicy):
    """Takes the candidates with the largest ``loss - loss of the reference`` (algorithm 1 of the paper)."""

    config: RHOConfig

    def reference(self) -> tuple[str, str]:
        """Return the model whose loss is the part that cannot be learnt."""
        return "reference", self.config.reference

    def select(
        self, step: int, losses: Sequence[float], reference: Sequence[float] | None, count: int
    ) -> Sequence[int]:
        """Return the candidates with the largest reducible loss; of equal ones, those that come first."""
        assert reference is not None
        reducible = [loss - other for loss, other in zip(losses, reference, strict=True)]
        return sorted(range(len(reducible)), key=lambda place: (-reducible[place], place))[:count]

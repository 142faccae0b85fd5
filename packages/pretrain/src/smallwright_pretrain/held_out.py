"""What the held-out text of several corpora is, taken together as the validation loss weights them."""

import dataclasses
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from core.interfaces import TokensMeta


@dataclasses.dataclass(frozen=True, kw_only=True)
class HeldOut:
    """The held-out text in the shares of a mixture."""

    unigram_loss: float
    """Of a model that knows the frequencies of each corpus's tokens, in nats per token."""
    bytes_per_token: float
    """0 where nothing is held out."""

    @classmethod
    def of(cls, tokens: Mapping[str, Path], mixture: Mapping[str, Any] | None) -> "HeldOut":
        """Return it for tokens artifacts by label, in the shares of the validation loss.

        Args:
            mixture: Of the last stage; None: in proportion to the tokens.
        """
        from smallwright_pretrain.estimate import weights  # NumPy

        metas = {label: TokensMeta.load(folder) for label, folder in tokens.items()}
        sizes = {label: meta.train_tokens for label, meta in metas.items()}
        shares = weights(mixture, sizes)
        measured = {label: share for label, share in shares.items() if metas[label].validation_tokens and share}
        total = sum(measured.values())
        if not total:
            return cls(unigram_loss=next(iter(metas.values())).unigram_loss, bytes_per_token=0.0)
        return cls(
            unigram_loss=sum(share * metas[label].unigram_loss for label, share in measured.items()) / total,
            bytes_per_token=sum(
                share * metas[label].validation_bytes / metas[label].validation_tokens
                for label, share in measured.items()
            )
            / total,
        )

    def bits_per_byte(self, loss: float | None) -> float | None:
        """Return a loss in nats per token as bits per byte of text; None: there is none."""
        return None if loss is None or not self.bytes_per_token else loss / math.log(2) / self.bytes_per_token

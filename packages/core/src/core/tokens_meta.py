"""What a tokens artifact says of itself."""

import dataclasses
import json
from pathlib import Path


@dataclasses.dataclass(frozen=True, kw_only=True)
class TokensMeta:
    """Content of ``meta.json`` beside token files."""

    dtype: str
    """``uint16`` or ``uint32``."""
    vocab_size: int
    eos_token_id: int
    """Ends every document in the files."""
    train_tokens: int
    validation_tokens: int
    train_documents: int
    validation_documents: int
    validation_bytes: int
    """UTF-8 bytes of the validation documents: turns nats per token into bits per byte."""
    unigram_loss: float
    """Cross-entropy in nats per token of the validation ids under add-one smoothed training frequencies."""

    @classmethod
    def load(cls, tokens: Path) -> "TokensMeta":
        """Read ``meta.json`` of a tokens artifact."""
        return cls(**json.loads((tokens / "meta.json").read_text()))

"""What a tokens artifact says of itself."""

import dataclasses
import json
from pathlib import Path

from core.errors import InputError, remade

AGAIN = "Delete this tokens artifact to make it anew."


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
        """Read ``meta.json`` of a tokens artifact.

        Raises:
            InputError: it is missing or damaged.
        """
        path = tokens / "meta.json"
        try:
            return cls(**json.loads(path.read_text(encoding="utf-8")))
        except FileNotFoundError:
            raise remade(InputError, f"{path}: missing", AGAIN) from None
        except (ValueError, TypeError, RecursionError) as error:
            raise remade(InputError, f"{path}: damaged ({error})", AGAIN) from error

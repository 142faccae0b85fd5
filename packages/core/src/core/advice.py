"""Advice that can be followed: what a message offers is tried first."""

from core import typed
from core.errors import ConfigError, UserError
from core.registry import Entry


def tokenizer_of(entry: Entry, config: object, ids: int) -> str:
    """Return ``" or tokenizer.vocab_size=<ids>"`` where that tokenizer can be had with so many ids, else nothing."""
    try:
        smaller = typed.build(type(config), {**vars(config), "vocab_size": ids}, "tokenizer")
        fits = entry.build(smaller).vocab_size() == ids
    except (UserError, TypeError):
        return ""
    return f" or tokenizer.vocab_size={ids}" if fits else ""


def as_of_tokenizer(error: ConfigError, where: str, config: object) -> ConfigError:
    """Return an error under the key that the user has: the rows of an embedding follow the tokenizer's vocabulary."""
    rows = f"{where}.vocab_size"
    if not str(error).startswith(rows):
        return error
    own = "tokenizer.vocab_size" if hasattr(config, "vocab_size") else "tokenizer"
    return ConfigError(f"{own}{str(error).removeprefix(rows)} {rows} follows it.")

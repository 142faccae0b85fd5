"""Which documents are held out for validation: those whose ids have the smallest hashes, a bounded number of tokens.

How many that are depends on the tokens of the whole corpus, which nobody knows before the work. So each piece of work
sets aside the candidates, documents below a cut that is surely high enough, and of those the assembly takes what it
needs; the others are trained on.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from smallwright_tokenizer.config import HeldOutConfig
from smallwright_tokenizer.corpus import HASH_RANGE

if TYPE_CHECKING:
    import numpy as np

SMALL_SHARE = 0.05
"""Of the documents of a small corpus: what ``validation_least`` can take at most."""
MOST_BYTES_A_TOKEN = 16
"""More than any text has: English of a large vocabulary has four to five."""


def share(config: HeldOutConfig, tokens: float) -> float:
    """Return the share of documents to hold out of a corpus of so many tokens."""
    return max(config.validation_fraction, min(SMALL_SHARE, config.validation_least / max(1.0, tokens)))


def candidates_cut(config: HeldOutConfig, text_bytes: int) -> int:
    """Return the hash below which documents are set aside.

    Args:
        text_bytes: Of the whole corpus.
    """
    fewest_tokens = max(1.0, text_bytes / MOST_BYTES_A_TOKEN)
    enough = 2 * config.validation_tokens / fewest_tokens
    return int(min(share(config, fewest_tokens), enough) * HASH_RANGE)


def choose(config: HeldOutConfig, tokens: int, hashes: "np.ndarray", lengths: "np.ndarray") -> Sequence[int]:
    """Return which candidates are held out, in the order of their hashes: the first of them are a sample, too.

    Args:
        tokens: Of the whole corpus.
        hashes: Of the candidates' ids, shape (candidates,).
        lengths: Of the candidates in tokens, shape (candidates,).
    """
    import numpy as np

    order = np.argsort(hashes, kind="stable")
    below = int(np.searchsorted(hashes[order], np.uint64(min(int(share(config, tokens) * HASH_RANGE), HASH_RANGE - 1))))
    fitting = int(np.searchsorted(np.cumsum(lengths[order]), config.validation_tokens, side="right"))
    return order[: max(1, min(below, fitting))].tolist()

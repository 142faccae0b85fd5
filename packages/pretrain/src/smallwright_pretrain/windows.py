"""Windows of a corpus's tokens: of the stream of all its documents, or of its long documents alone. No torch.

Letters of array names: docs/architectures.md.
"""

from pathlib import Path

import numpy as np
from core.token_files import TokenShards

IGNORED = -100
"""Label of tokens without loss; cross-entropy's default."""

Window = tuple[np.ndarray, np.ndarray, np.ndarray]
"""Input ids, positions and labels, each of shape (L,)."""


class TokenWindows:
    """One split of a corpus as windows of its stream, documents one behind the other.

    Args:
        folder: A tokens artifact.
        split: ``train`` or ``validation``.
        seq_len: Length of a window in tokens.

    Raises:
        core.errors.InputError: see :class:`core.token_files.TokenShards`.
    """

    def __init__(self, folder: Path, split: str, seq_len: int) -> None:
        self.shards = TokenShards(folder, split)
        self.seq_len = seq_len

    @property
    def full_windows(self) -> int:
        """Windows with a label for every token."""
        return full_windows(self.shards.tokens, self.seq_len)

    @property
    def windows(self) -> int:
        """Windows, the last possibly shorter."""
        return -(-max(0, self.shards.tokens - 1) // self.seq_len)

    def window(self, index: int) -> Window:
        """Return window ``index``.

        Positions restart at each document; a document cut by the window's edge goes on from 0. A short last window
        is filled up with one-token documents without labels.
        """
        return self._cut(index * self.seq_len)

    def _cut(self, start: int) -> Window:
        ids = self.shards.read(start, start + self.seq_len + 1)
        length = len(ids) - 1
        inputs_L = np.zeros(self.seq_len, dtype=np.int64)
        labels_L = np.full(self.seq_len, IGNORED, dtype=np.int64)
        positions_L = np.zeros(self.seq_len, dtype=np.int64)
        inputs_L[:length], labels_L[:length] = ids[:-1], ids[1:]
        starts = np.concatenate([[0], self.shards.starts(start, start + length) - start])
        place_L = np.arange(length)
        positions_L[:length] = place_L - starts[np.searchsorted(starts, place_L, side="right") - 1]
        return inputs_L, positions_L, labels_L


class LongWindows(TokenWindows):
    """The windows that lie inside one document, for training on a longer context: what is longer is seen whole.

    A document gives as many as fit behind one another from its start on. What is held in memory is two numbers a
    document that gives one.
    """

    def __init__(self, folder: Path, split: str, seq_len: int) -> None:
        super().__init__(folder, split, seq_len)
        self._starts_D, lengths_D = self.shards.long_documents(seq_len + 1)
        self._ends_D = np.cumsum((lengths_D - 1) // seq_len)

    @property
    def full_windows(self) -> int:
        """Windows that lie inside one document."""
        return int(self._ends_D[-1]) if len(self._ends_D) else 0

    @property
    def windows(self) -> int:
        """The same: none of them is shorter."""
        return self.full_windows

    def window(self, index: int) -> Window:
        """Return window ``index``, whose positions count from 0."""
        document = int(np.searchsorted(self._ends_D, index, side="right"))
        before = int(self._ends_D[document - 1]) if document else 0
        return self._cut(int(self._starts_D[document]) + (index - before) * self.seq_len)


def full_windows(tokens: int, seq_len: int) -> int:
    """Return the windows of a stream that have a label for every token."""
    return max(0, (tokens - 1) // seq_len)


VIEWS: dict[str, type[TokenWindows]] = {"all": TokenWindows, "long": LongWindows}
"""By the names of :data:`smallwright_pretrain.mixture.VIEWS`."""

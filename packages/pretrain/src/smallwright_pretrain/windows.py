"""Windows of a corpus's tokens: of the stream of all its documents, or of its long documents alone. No torch.

Letters of array names: docs/architectures.md.
"""

from pathlib import Path

import numpy as np
from core.token_files import TokenShards

IGNORED = -100
"""Label of tokens without loss; cross-entropy's default."""

BLOCK = 1024
"""Documents that are looked through for a window of one of them: some microseconds."""

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

    A document gives as many as fit behind one another from its start on. What is held in memory is three numbers for
    each :data:`BLOCK` documents of a file; the documents of a block are looked at when a window of it is asked for.
    """

    def __init__(self, folder: Path, split: str, seq_len: int) -> None:
        super().__init__(folder, split, seq_len)
        counts, places, firsts = [np.zeros(0, np.int64)], [np.zeros(0, np.int64)], [np.zeros(0, np.int64)]
        for place, lengths_D in enumerate(self.shards.lengths()):
            first = np.arange(0, len(lengths_D), BLOCK)
            counts.append(np.add.reduceat((lengths_D - 1) // seq_len, first) if len(lengths_D) else counts[0])
            places.append(np.full(len(first), place))
            firsts.append(first)
        self._ends_N = np.cumsum(np.concatenate(counts))
        self._place_N, self._first_N = np.concatenate(places), np.concatenate(firsts)

    @property
    def full_windows(self) -> int:
        """Windows that lie inside one document."""
        return int(self._ends_N[-1]) if len(self._ends_N) else 0

    @property
    def windows(self) -> int:
        """The same: none of them is shorter."""
        return self.full_windows

    def window(self, index: int) -> Window:
        """Return window ``index``, whose positions count from 0."""
        block = int(np.searchsorted(self._ends_N, index, side="right"))
        left = index - (int(self._ends_N[block - 1]) if block else 0)
        starts_D = self.shards.starts_of(int(self._place_N[block]), int(self._first_N[block]), BLOCK)
        ends_D = np.cumsum((np.diff(starts_D) - 1) // self.seq_len)
        document = int(np.searchsorted(ends_D, left, side="right"))
        before = int(ends_D[document - 1]) if document else 0
        return self._cut(int(starts_D[document]) + (left - before) * self.seq_len)


def full_windows(tokens: int, seq_len: int) -> int:
    """Return the windows of a stream that have a label for every token."""
    return max(0, (tokens - 1) // seq_len)


VIEWS: dict[str, type[TokenWindows]] = {"all": TokenWindows, "long": LongWindows}
"""By the names of :data:`smallwright_pretrain.mixture.VIEWS`."""

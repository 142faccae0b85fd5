"""Choose documents by a hash of their id: a sample that neither the order of the documents nor the workers change."""

import hashlib

import numpy as np


def id_hash(document_id: str, purpose: str) -> int:
    """Return a 64-bit hash of a document id to sort by.

    Args:
        purpose: Why it is chosen, such as ``label``. Different purposes give independent orders; 16 bytes of it count.
    """
    digest = hashlib.blake2b(document_id.encode("utf-8", "replace"), digest_size=8, person=purpose.encode()[:16])
    return int.from_bytes(digest.digest(), "big")


class Smallest:
    """Finds the ``limit`` smallest of many hashes, in a buffer of twice that size."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._hashes = np.empty(min(2 * limit, 1024), dtype=np.uint64)
        self._used = 0
        self.seen = 0
        """Hashes added so far."""

    def add(self, value: int) -> None:
        """Look at one hash."""
        if self._used == len(self._hashes):
            if len(self._hashes) < 2 * self._limit:
                self._hashes = np.resize(self._hashes, min(2 * self._limit, 2 * len(self._hashes)))
            else:
                self._hashes[: self._limit] = np.partition(self._hashes, self._limit - 1)[: self._limit]
                self._used = self._limit
        self._hashes[self._used] = value
        self._used += 1
        self.seen += 1

    def threshold(self, wanted: int) -> int | None:
        """Return the largest of the ``wanted`` smallest hashes; None where none is wanted.

        Args:
            wanted: At most ``limit``, and at most as many as were seen.
        """
        if wanted == 0:
            return None
        return int(np.partition(self._hashes[: self._used], wanted - 1)[wanted - 1])

"""Two orders, both by arithmetic: of the sources within a period, and of a source's windows within a pass.

Shape suffixes: N positions, K sources, M positions of a period.
"""

import functools
import heapq
import math
from collections.abc import Sequence

import numpy as np

LARGEST_PERIOD = 1_000_000
"""Longest period that is held in memory: 6 MB, a fifth of a second to make."""
BLOCK = 20_000
"""Positions of a block of a longer one: a hundredth of a second to make."""
ROUNDS = 6
GOLDEN = 0x9E3779B97F4A7C15
MASK = (1 << 64) - 1


def interleaved(counts_K: Sequence[int]) -> np.ndarray:
    """Order one period so that after each prefix every source is within one draw of its share.

    The n-th draw of a source has a release and a deadline, both at the error 1 - 1/(2K - 2); of the released ones the
    earliest deadline goes first, and none is missed (Tijdeman, "The chairman assignment problem", Discrete Mathematics
    32, 1980).

    Args:
        counts_K: Draws of each source in the period.

    Returns:
        The source of each position, of shape (M,).
    """
    counts = [int(count) for count in counts_K]
    period, used = sum(counts), [k for k, count in enumerate(counts) if count]
    if len(used) < 2:
        return np.full(period, used[0] if used else 0, np.int16)
    slack = 2 * len(used) - 2
    draws = [np.arange(counts[k], dtype=np.int64) for k in used]
    release = np.concatenate(
        [-(-(n * slack + 1) * period // (counts[k] * slack)) for k, n in zip(used, draws, strict=True)]
    )
    deadline = np.concatenate(
        [((n + 1) * slack - 1) * period // (counts[k] * slack) for k, n in zip(used, draws, strict=True)]
    )
    source = np.repeat(np.array(used, np.int64), [counts[k] for k in used])
    by_release = np.argsort(release, kind="stable")
    # One number a draw, so that the heap compares no tuples: the deadline, then the source.
    entries = (deadline * len(counts) + source)[by_release].tolist()
    released = np.bincount(release - 1, minlength=period).tolist()
    ready: list[int] = []
    chosen, waiting = [], iter(entries)
    push, pop, exchange = heapq.heappush, heapq.heappop, heapq.heappushpop
    for count in released:  # mostly one; to exchange it takes half as long as to push and pop
        for _ in range(count - 1):
            push(ready, next(waiting))
        chosen.append(exchange(ready, next(waiting)) if count else pop(ready))
    return (np.array(chosen, np.int64) % len(counts)).astype(np.int16)


class Order:
    """Which source each position draws from, and which of the source's draws that is.

    The order has a period, in which each source has exactly its count. One longer than :data:`LARGEST_PERIOD`, as of
    all windows of large corpora, is never held as a whole: it is made of blocks, each interleaved when it is asked for.
    A block has the whole part of each count divided by the blocks, and its share of the remainders, which follow one
    another in an order of this kind. After any prefix every source is then within three draws of its share.

    Args:
        counts_K: Whole numbers in proportion to the shares.
    """

    def __init__(self, counts_K: Sequence[int]) -> None:
        divisor = math.gcd(*map(int, counts_K)) or 1
        self.counts_K = np.array([int(count) // divisor for count in counts_K], np.int64)
        self.period = int(self.counts_K.sum())
        self._blocks = 1 if self.period <= LARGEST_PERIOD else -(-self.period // BLOCK)
        self._base_K = self.counts_K // self._blocks
        rest_K = self.counts_K - self._blocks * self._base_K
        self._rest = Order(rest_K.tolist()) if rest_K.any() else None
        self._rest_length = int(rest_K.sum())

    def __call__(self, positions_N: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return the source of each position, and the number of its draw from the first position on."""
        cycle_N, place_N = np.divmod(np.asarray(positions_N, np.int64), self.period)
        block_N = ((place_N + 1) * self._blocks - 1) // self.period
        source_N, draw_N = np.empty_like(place_N), np.empty_like(place_N)
        for block in np.unique(block_N).tolist():
            here = block_N == block
            before_K = self._before(block)
            source, rank = self._part(block)(place_N[here] - self._start(block))
            source_N[here], draw_N[here] = source, cycle_N[here] * self.counts_K[source] + before_K[source] + rank
        return source_N, draw_N

    def drawn(self, position: int) -> np.ndarray:
        """Return the draws of each source before ``position``, of shape (K,), without going through them."""
        cycle, place = divmod(int(position), self.period)
        block = ((place + 1) * self._blocks - 1) // self.period
        within_K = self._part(block).drawn(place - self._start(block)) if place > self._start(block) else 0
        return cycle * self.counts_K + self._before(block) + within_K

    def _start(self, block: int) -> int:
        return block * self.period // self._blocks

    def _before(self, block: int) -> np.ndarray:
        """Return the draws of each source in the blocks before this one."""
        done_K = block * self._base_K
        return done_K if self._rest is None else done_K + self._rest.drawn(block * self._rest_length // self._blocks)

    def _part(self, block: int) -> "_Part":
        return _part(tuple((self._before(block + 1) - self._before(block)).tolist()))


class Changing:
    """An order that is another one from some positions on; the draws of each source go on.

    Args:
        orders: From which position on each holds, the first from 0.
    """

    def __init__(self, orders: Sequence[tuple[int, Order]]) -> None:
        self._starts = np.array([start for start, _ in orders], np.int64)
        self._orders = [order for _, order in orders]
        self._before = [np.zeros_like(self._orders[0].counts_K)]
        for length, order in zip(np.diff(self._starts).tolist(), self._orders, strict=False):
            self._before.append(self._before[-1] + _drawn(tuple(order.counts_K.tolist()), length))

    def __call__(self, positions_N: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return what :class:`Order` returns."""
        positions_N = np.asarray(positions_N, np.int64)
        part_N = np.searchsorted(self._starts, positions_N, side="right") - 1
        source_N, draw_N = np.empty_like(positions_N), np.empty_like(positions_N)
        for part in np.unique(part_N).tolist():
            here = part_N == part
            source, draw = self._orders[part](positions_N[here] - self._starts[part])
            source_N[here], draw_N[here] = source, self._before[part][source] + draw
        return source_N, draw_N

    def drawn(self, position: int) -> np.ndarray:
        """Return the draws of each source before ``position``, of shape (K,)."""
        part = int(np.searchsorted(self._starts, position, side="right")) - 1
        return self._before[part] + self._orders[part].drawn(position - int(self._starts[part]))


@functools.lru_cache(maxsize=1 << 16)
def _drawn(counts: tuple[int, ...], length: int) -> np.ndarray:
    """Return the draws of a part that has ended, which every later change asks for again."""
    return Order(counts).drawn(length)


@functools.lru_cache(maxsize=8)
def _part(counts: tuple[int, ...]) -> "_Part":
    """Return the row of these counts, which stages and runs that are planned together often share."""
    return _Part(np.array(counts, np.int64))


class _Part:
    """One interleaved row of draws."""

    def __init__(self, counts_K: np.ndarray) -> None:
        self.counts_K = counts_K
        self.length = int(counts_K.sum())
        self._source_M = interleaved(counts_K.tolist())
        self._rank_M = np.empty(self.length, np.int32)
        by_source = np.argsort(self._source_M, kind="stable")
        self._rank_M[by_source] = np.concatenate([np.arange(count) for count in counts_K])

    def __call__(self, places_N: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        return self._source_M[places_N].astype(np.int64), self._rank_M[places_N].astype(np.int64)

    def drawn(self, place: int) -> np.ndarray:
        return np.bincount(self._source_M[:place], minlength=len(self.counts_K))


def mixed(values: np.ndarray) -> np.ndarray:
    """Return hashes of 64-bit numbers (uint64): the finalizer of splitmix64 (Steele et al., OOPSLA 2014)."""
    values = (values ^ (values >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    values = (values ^ (values >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return values ^ (values >> np.uint64(31))


def permuted(places_N: np.ndarray, sizes_N: np.ndarray, keys_N: np.ndarray) -> np.ndarray:
    """Return where a keyed permutation of ``range(size)`` puts each place, without holding the permutation.

    A Feistel network (Luby and Rackoff, 1988) permutes the next even number of bits, and what falls outside of the size
    is put through again until it is inside (cycle walking: Black and Rogaway, "Ciphers with arbitrary finite domains",
    2002); so it is a bijection for each key, and four times the size at most is walked.

    Args:
        places_N: Below the sizes.
        sizes_N: At least 1.
        keys_N: uint64.

    Returns:
        int64, of shape (N,).
    """
    sizes = sizes_N.astype(np.uint64)
    bits = np.ceil(np.log2(np.maximum(sizes_N, 2))).astype(np.uint64)
    half = (bits + np.uint64(1)) >> np.uint64(1)
    low = (np.uint64(1) << half) - np.uint64(1)
    keys = keys_N.astype(np.uint64)
    found = places_N.astype(np.uint64)
    todo = np.arange(len(found))
    while len(todo):
        width, mask, key = half[todo], low[todo], keys[todo]
        left, right = found[todo] >> width, found[todo] & mask
        for turn in range(ROUNDS):
            left, right = right, left ^ (mixed(right + key + np.uint64(turn * GOLDEN & MASK)) & mask)
        found[todo] = (left << width) | right
        todo = todo[found[todo] >= sizes[todo]]
    return found.astype(np.int64)

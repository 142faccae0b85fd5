"""Which window of which corpus is sequence p of a stage: a pure function of the seed, the stages and p.

No rank, worker or restart changes it, and no permutation is held in memory. No torch: planning counts with it.

Shape suffixes: N positions, K sources.
"""

import abc
import dataclasses
import hashlib
from collections.abc import Mapping, Sequence
from fractions import Fraction
from typing import NamedTuple

import numpy as np
from core.errors import InputError

from smallwright_pretrain.mixture import whole_counts
from smallwright_pretrain.order import LARGEST_PERIOD, Changing, Order, mixed, permuted

PASS_STEP = 0xD1342543DE82EF95
"""What the key of a pass grows by: an odd number, so that no two passes have the same key."""
PLACES = 1 << 20
"""Drawn windows that are counted together."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class SourceSize:
    """A corpus in one view."""

    name: str
    windows: Mapping[int, int]
    """Windows by sequence length."""


class Listed(NamedTuple):
    """Windows that were drawn for a round, int64 arrays of shape (N,)."""

    source_N: np.ndarray
    """Number of the source, in the order of the feed's sources."""
    window_N: np.ndarray


@dataclasses.dataclass(frozen=True, kw_only=True)
class FeedStage:
    """A stage of training, as far as the feed is concerned."""

    shares: Mapping[str, Fraction | float] | None
    """Share of the sequences by source, sum 1; None: in proportion to the windows, each once an epoch."""
    seq_len: int
    sequences: int
    """Trained on in this stage."""
    drawn_from: Sequence[str] | None = None
    """The sources in proportion to their windows, where there are no shares; None: all."""
    name: str = ""
    changes: Sequence[tuple[int, Mapping[str, Fraction]]] = ()
    """Other shares, each from a position of the stage on, in their order."""
    listed: Listed | None = None
    """The windows of this stage, each once a pass; None: they follow from the shares."""


class Located(NamedTuple):
    """Where positions lead to: int64 arrays of shape (N,)."""

    source_N: np.ndarray
    """Number of the source, in the order of the feed's sources."""
    pass_N: np.ndarray
    """How often all windows of the source have been drawn before."""
    window_N: np.ndarray


class Feed:
    """The sequences of a whole run.

    Positions count the sequences of a stage from 0, those that are skipped included. Stages of the same length go on in
    a source's pass where the last one stopped; another length cuts other windows and begins a pass of its own.

    Args:
        sources: Corpora of the run, each in its views.
        stages: In their order.
        seed: Of the order of windows.
        skipped: Ranges of sequences that are not trained on, (from, up to), counted from the run's first one.

    Raises:
        core.errors.InputError: a source with a share has no window of the stage's length.
    """

    def __init__(
        self,
        sources: Sequence[SourceSize],
        stages: Sequence[FeedStage],
        seed: int,
        skipped: Sequence[tuple[int, int]] = (),
    ) -> None:
        self.sources = tuple(sources)
        self.stages = tuple(stages)
        self.names = tuple(source.name for source in sources)
        self.skipped = joined(skipped)
        draws: dict[int, np.ndarray] = {}
        self._stages: list[_Row] = []
        begin = 0
        for stage in stages:
            if stage.listed is not None:
                listed = _Listed(len(self.names), stage, stage.listed, seed, begin, self.skipped)
                begin += listed.end
                self._stages.append(listed)
                continue
            nothing = np.zeros(len(self.names), np.int64)
            built = _Stage(self.sources, stage, seed, draws.get(stage.seq_len, nothing), begin, self.skipped)
            draws[stage.seq_len] = built.starts_K + built.order.drawn(built.end)
            begin += built.end
            self._stages.append(built)

    def locate(self, stage: int, positions: np.ndarray) -> Located:
        """Return source, pass and window of positions of a stage, of shape (N,)."""
        return self._stages[stage].locate(positions)

    def end(self, stage: int) -> int:
        """Return the position at which a stage ends: its sequences and those skipped in it."""
        return self._stages[stage].end

    def begin(self, stage: int) -> int:
        """Return the number of positions before a stage, in the whole run."""
        return self._stages[stage].begin

    def left(self, stage: int, position: int) -> int:
        """Return the sequences that a stage still trains on from ``position`` on."""
        return self._stages[stage].left(position)

    def kept(self, stage: int, position: int, count: int) -> np.ndarray:
        """Return the next ``count`` positions from ``position`` on that are not skipped."""
        return self._stages[stage].kept(position, count)

    def drawn(self, stage: int, position: int) -> np.ndarray:
        """Return the sequences of each source trained on in all stages before ``position`` of this one, of shape (K,).

        In closed form: no position is gone through.
        """
        earlier_K = sum(
            (built.trained(built.end) for built in self._stages[:stage]), np.zeros(len(self.names), np.int64)
        )
        return earlier_K + self._stages[stage].trained(position)

    def drawn_in(self, stage: int, position: int | None = None) -> np.ndarray:
        """Return the sequences of each source trained on in one stage, up to its end or a position, of shape (K,)."""
        built = self._stages[stage]
        return built.trained(built.end if position is None else position)

    def trained_windows(self, stages: Sequence[int]) -> Listed:
        """Return the windows that stages trained on, each once, in the order of sources and windows.

        It goes through every position; the memory is a byte for each window of the sources.
        """
        seen: dict[int, np.ndarray] = {}
        for stage in stages:
            sizes = [source.windows.get(self.stages[stage].seq_len, 0) for source in self.sources]
            position, left = 0, self.left(stage, 0)
            while left:
                positions = self.kept(stage, position, min(left, PLACES))
                position, left = int(positions[-1]) + 1, left - len(positions)
                located = self.locate(stage, positions)
                for source in np.unique(located.source_N).tolist():
                    marks = seen.setdefault(source, np.zeros(sizes[source], bool))
                    marks[located.window_N[located.source_N == source]] = True
        windows = {source: np.flatnonzero(marks) for source, marks in sorted(seen.items())}
        if not windows:
            return Listed(np.zeros(0, np.int64), np.zeros(0, np.int64))
        sources = [np.full(len(found), source, np.int64) for source, found in windows.items()]
        return Listed(np.concatenate(sources), np.concatenate(list(windows.values())))

    def rounding(self, stage: int) -> float:
        """Return the largest difference of a declared share from the one that the period has; 0 where it is exact."""
        return self._stages[stage].rounding


class _Row(abc.ABC):
    """The positions of a stage, of which some are skipped."""

    begin: int
    end: int
    skipped: Sequence[tuple[int, int]]
    rounding = 0.0

    @abc.abstractmethod
    def locate(self, positions: np.ndarray) -> Located: ...

    def trained(self, position: int) -> np.ndarray:
        """Return the sequences of each source trained on before a position."""
        drawn_K = self._drawn(position)
        for first, last in self.skipped:
            if first < position:
                drawn_K = drawn_K - self._drawn(min(last, position)) + self._drawn(first)
        return drawn_K

    @abc.abstractmethod
    def _drawn(self, position: int) -> np.ndarray:
        """Return the sequences of each source before a position."""

    def left(self, position: int) -> int:
        inside = sum(max(0, last - max(first, position)) for first, last in self.skipped)
        return max(0, self.end - position - inside)

    def kept(self, position: int, count: int) -> np.ndarray:
        pieces, wanted = [], count
        for first, last in [*self.skipped, (np.iinfo(np.int64).max,) * 2]:
            upto = min(int(first), position + wanted)
            if upto > position:
                pieces.append(np.arange(position, upto))
                wanted -= upto - position
            position = max(position, int(last))
            if not wanted:
                break
        return np.concatenate(pieces) if pieces else np.zeros(0, np.int64)


class _Listed(_Row):
    """A stage whose windows were drawn: each once a pass, in an order that a key gives."""

    def __init__(
        self,
        sources: int,
        stage: FeedStage,
        listed: Listed,
        seed: int,
        begin: int,
        skipped: Sequence[tuple[int, int]],
    ) -> None:
        self.begin, self._listed, self._sources = begin, listed, sources
        self._size, self._key = len(listed.source_N), np.uint64(_key(seed, stage.name, stage.seq_len))
        self.skipped, self.end = _within(skipped, begin, stage.sequences)

    def locate(self, positions: np.ndarray) -> Located:
        pass_N, place_N = np.divmod(np.asarray(positions, np.int64), self._size)
        keys_N = mixed(self._key + pass_N.astype(np.uint64) * np.uint64(PASS_STEP))
        found_N = permuted(place_N, np.full_like(place_N, self._size), keys_N)
        return Located(self._listed.source_N[found_N], pass_N, self._listed.window_N[found_N])

    def _drawn(self, position: int) -> np.ndarray:
        passes, rest = divmod(position, self._size)
        drawn_K = passes * np.bincount(self._listed.source_N, minlength=self._sources)
        for first in range(position - rest, position, PLACES):
            sources = self.locate(np.arange(first, min(first + PLACES, position))).source_N
            drawn_K = drawn_K + np.bincount(sources, minlength=self._sources)
        return drawn_K


class _Stage(_Row):
    """A stage with its order, its keys, and where it begins in each source."""

    def __init__(
        self,
        sources: Sequence[SourceSize],
        stage: FeedStage,
        seed: int,
        starts_K: np.ndarray,
        begin: int,
        skipped: Sequence[tuple[int, int]],
    ) -> None:
        self.starts_K, self.begin = starts_K, begin
        self.sizes_K = np.array([source.windows.get(stage.seq_len, 0) for source in sources], np.int64)
        counts, self.rounding = self._counts(sources, stage)
        self.order: Order | Changing = Order(counts)
        if stage.changes:
            other = [dataclasses.replace(stage, shares=shares) for _, shares in stage.changes]
            orders = [Order(self._counts(sources, one)[0]) for one in other]
            starts = [start for start, _ in stage.changes]
            self.order = Changing([(0, self.order), *zip(starts, orders, strict=True)])
        self.keys_K = np.array([_key(seed, source.name, stage.seq_len) for source in sources], np.uint64)
        self.skipped, self.end = _within(skipped, begin, stage.sequences)

    def _counts(self, sources: Sequence[SourceSize], stage: FeedStage) -> tuple[Sequence[int], float]:
        if stage.shares is None:
            names = [source.name for source in sources] if stage.drawn_from is None else stage.drawn_from
            sizes = zip(sources, self.sizes_K.tolist(), strict=True)
            counts, rounding = [size * (source.name in names) for source, size in sizes], 0.0
        else:
            exact = [_exact(stage.shares.get(source.name, 0)) for source in sources]
            total = sum(exact, Fraction(0))
            counts, rounding = whole_counts([share / total for share in exact], LARGEST_PERIOD)
        if not any(counts):
            raise InputError(
                f"pretrain.seq_len={stage.seq_len}: a sequence takes {stage.seq_len + 1} tokens, and no corpus has as "
                "many. Use a shorter seq_len or more data."
            )
        for source, count, size in zip(sources, counts, self.sizes_K, strict=True):
            if count and not size:
                raise InputError(
                    f"pretrain.seq_len={stage.seq_len}: the mixture draws from {source.name}, which has no window of "
                    f"{stage.seq_len + 1} tokens. Use a shorter seq_len or more data."
                )
        return counts, rounding

    def locate(self, positions: np.ndarray) -> Located:
        source_N, draw_N = self.order(positions)
        pass_N, place_N = np.divmod(self.starts_K[source_N] + draw_N, self.sizes_K[source_N])
        keys_N = mixed(self.keys_K[source_N] + pass_N.astype(np.uint64) * np.uint64(PASS_STEP))
        return Located(source_N, pass_N, permuted(place_N, self.sizes_K[source_N], keys_N))

    def _drawn(self, position: int) -> np.ndarray:
        return self.order.drawn(position)


def _exact(share: Fraction | float) -> Fraction:
    return share if isinstance(share, Fraction) else Fraction(str(share))


def joined(ranges: Sequence[tuple[int, int]]) -> tuple[tuple[int, int], ...]:
    """Return ranges in their order, those that touch made one, empty ones left out."""
    found: list[tuple[int, int]] = []
    for first, last in sorted((int(first), int(last)) for first, last in ranges if last > first):
        if found and first <= found[-1][1]:
            found[-1] = (found[-1][0], max(found[-1][1], last))
        else:
            found.append((first, last))
    return tuple(found)


def _within(skipped: Sequence[tuple[int, int]], begin: int, sequences: int) -> tuple[tuple[tuple[int, int], ...], int]:
    """Return the skipped ranges of a stage, in its own positions, and where it ends with them."""
    own, end = [], sequences
    for first, last in skipped:
        first, last = max(first - begin, 0), last - begin
        if last <= 0 or first >= end:
            continue
        own.append((first, last))
        end += last - first
    return tuple(own), end


def _key(seed: int, name: str, seq_len: int) -> int:
    digest = hashlib.sha256(f"{seed}/{seq_len}/{name}".encode()).digest()
    return int.from_bytes(digest[:8], "little")

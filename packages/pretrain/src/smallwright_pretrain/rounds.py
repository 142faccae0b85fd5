"""The data of a further round of training: windows drawn by what a frozen model finds hard (PanGu-pi Pro).

``p_i = exp(l_i) / sum_j exp(l_j)`` over the loss of each window, of which a share is drawn without replacement (arXiv
2402.02791, section 3.3). The largest ``l_i + g_i`` with Gumbel noise ``g_i`` are such a draw (Yellott 1977; Kool et al.
2019), so that shards are drawn apart and merged, and their number has no limit, as that of ``torch.multinomial`` has
(2^24). No torch.

Shape suffixes: N windows, S windows that are chosen.
"""

import math
from collections.abc import Iterable
from typing import NamedTuple

import numpy as np

from smallwright_pretrain.order import mixed


class Drawn(NamedTuple):
    """The windows with the largest keys so far."""

    keys_S: np.ndarray
    """float64, the largest first."""
    windows_S: np.ndarray
    """int64, their numbers."""


def probabilities(losses_N: np.ndarray) -> np.ndarray:
    """Return the probability of each window to be the first one that is drawn, of shape (N,)."""
    weights_N = np.exp(losses_N - np.max(losses_N))
    return np.asarray(weights_N / weights_N.sum())


def number(windows: int, rate: float) -> int:
    """Return how many windows of a round go into the next one.

    Args:
        rate: From 0 to 1; 0.5 was published.

    Raises:
        ValueError: it is outside of them.
    """
    if not 0 <= rate <= 1:
        raise ValueError(f"rate={rate:g}: must be from 0 to 1.")
    return math.floor(rate * windows + 0.5)


def keys(losses_N: np.ndarray, windows_N: np.ndarray, seed: int) -> np.ndarray:
    """Return the key of each window, ``loss + Gumbel noise``, of shape (N,).

    The noise follows from the seed and the window's number alone: how windows are spread over shards and ranks changes
    no key.

    Args:
        losses_N: Mean loss of each window, in nats per token.
        windows_N: Numbers of the windows in the whole corpus.
        seed: Of the draw; another round takes another one.
    """
    start = mixed(np.array([seed], np.uint64))
    hashes_N = mixed(mixed(np.asarray(windows_N).astype(np.uint64) + start) + start)
    # The 53 bits of a float64, moved by half a step: never 0 and never 1.
    uniform_N = ((hashes_N >> np.uint64(11)).astype(np.float64) + 0.5) / 2.0**53
    return np.asarray(losses_N, np.float64) - np.log(-np.log(uniform_N))


def draw(losses_N: np.ndarray, windows_N: np.ndarray, count: int, seed: int) -> Drawn:
    """Return the windows of a shard that can be among ``count`` of all shards.

    Raises:
        ValueError: a loss is not finite.
    """
    losses_N = np.asarray(losses_N, np.float64)
    if not np.isfinite(losses_N).all():
        wrong = np.asarray(windows_N)[~np.isfinite(losses_N)]
        raise ValueError(f"the loss of {len(wrong):,} windows is not finite, the first window {wrong[0]}.")
    return _largest(keys(losses_N, windows_N, seed), np.asarray(windows_N, np.int64), count)


def merged(shards: Iterable[Drawn], count: int) -> Drawn:
    """Return what would have been drawn from all windows at once, whatever the shards and their order."""
    parts = list(shards)
    if not parts:
        return Drawn(np.zeros(0), np.zeros(0, np.int64))
    return _largest(
        np.concatenate([part.keys_S for part in parts]), np.concatenate([part.windows_S for part in parts]), count
    )


def _largest(keys_N: np.ndarray, windows_N: np.ndarray, count: int) -> Drawn:
    if count < len(keys_N):  # before the sort, which takes ten times as long
        kept = np.argpartition(-keys_N, count - 1)[:count] if count else np.zeros(0, np.int64)
        keys_N, windows_N = keys_N[kept], windows_N[kept]
    order = np.lexsort((windows_N, -keys_N))
    return Drawn(keys_N[order], windows_N[order])

"""From the losses of a round's windows to the windows of the next round, and what there is to say of them. No torch.

Shape suffixes: N windows of a round, S those that are drawn.
"""

import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from core.errors import InputError
from core.writing import write_json

from smallwright_pretrain.feed import Listed
from smallwright_pretrain.round_files import DRAWN, load
from smallwright_pretrain.rounds import draw, merged, number
from smallwright_pretrain.rounds_config import RoundsConfig
from smallwright_pretrain.window_pass import WindowPass

SHARD = 1024
"""Windows of a shard; of so many that there would be more than :data:`SHARDS` of them, more."""
SHARDS = 10_000
LOSS = "loss"
"""Array of a shard: the mean loss of each window, in nats per token."""


def pass_over(place: Path, windows: Listed, seq_len: int) -> WindowPass:
    """Return the files of a pass over the windows of a round."""
    count = len(windows.source_N)
    content = hashlib.sha256(windows.source_N.tobytes() + windows.window_N.tobytes()).hexdigest()
    return WindowPass(
        folder=place,
        windows=count,
        shard=max(SHARD, -(-count // SHARDS)),
        identity={"windows": content, "seq_len": seq_len},
    )


def draw_from(
    over: WindowPass, windows: Listed, names: Sequence[str], rounds: RoundsConfig, seed: int, ended: int
) -> dict[str, Any]:
    """Draw the windows of the next round, write them, and return what the file says.

    Args:
        over: Finished, with :data:`LOSS`.
        windows: Of the round that ended, in the order of the pass.
        names: Of the sources.
        seed: Of the order of the data.
        ended: Number of the round.

    Raises:
        core.errors.InputError: a loss is no number.
    """
    key = int.from_bytes(hashlib.sha256(f"{seed}/round {ended + 1}".encode()).digest()[:8], "little")
    count = number(over.windows, rounds.rate)
    losses_N = np.empty(over.windows)
    drawn = merged([], count)
    for first, last, arrays in over.all():
        losses_N[first:last] = arrays[LOSS]
        try:
            part = draw(losses_N[first:last] / rounds.temperature, np.arange(first, last), count, key)
        except ValueError as error:
            raise InputError(
                f"pretrain.rounds: round {ended} has ended, and {error} Lower pretrain.learning_rate."
            ) from error
        drawn = merged([drawn, part], count)
    chosen_S = np.sort(drawn.windows_S)
    listed = Listed(windows.source_N[chosen_S], windows.window_N[chosen_S])
    stored = _stored(over.folder, len(chosen_S))
    stored.write(0, {"source": listed.source_N, "window": listed.window_N})
    made = {
        "round": ended + 1,
        "rate": rounds.rate,
        "temperature": rounds.temperature,
        "sources": list(names),
        **_said(losses_N, chosen_S),
        "by_source": {
            name: _said(losses_N, chosen_S, windows.source_N == place)
            for place, name in enumerate(names)
            if (windows.source_N == place).any()
        },
    }
    write_json(over.folder / DRAWN, made)
    return made


def read(file: Path) -> tuple[list[str], Listed]:
    """Return the names of the sources, and the windows that were drawn.

    Raises:
        core.errors.InputError: the files are not as they were written.
    """
    made = load(file)
    arrays = _stored(file.parent, made["drawn"]).read(0)
    return made["sources"], Listed(arrays["source"], arrays["window"])


def _stored(place: Path, count: int) -> WindowPass:
    return WindowPass(folder=place / "drawn", windows=count, shard=max(1, count), identity={})


def _said(losses_N: np.ndarray, chosen_S: np.ndarray, of: np.ndarray | None = None) -> Mapping[str, Any]:
    of = np.ones(len(losses_N), bool) if of is None else of
    drawn = chosen_S[of[chosen_S]]
    return {
        "windows": int(of.sum()),
        "drawn": len(drawn),
        "mean_loss": float(losses_N[of].mean()),
        "mean_loss_drawn": float(losses_N[drawn].mean()) if len(drawn) else None,
    }

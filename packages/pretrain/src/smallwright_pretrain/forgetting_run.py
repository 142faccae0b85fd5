"""The meter of what is forgotten, at work: all ranks measure, and the rank that writes metrics keeps them.

Import after :func:`smallwright_pretrain.cpu.use_device`.
"""

import json
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from core.writing import write_text

from smallwright_pretrain.feed import Feed
from smallwright_pretrain.forgetting import ForgettingConfig, by_source, earlier, spread
from smallwright_pretrain.policies_run import of_rank_0
from smallwright_pretrain.records import append, read_records

if TYPE_CHECKING:
    from smallwright_pretrain.trainer import PackedTrainer

LOOKED_AT = 64
"""Positions that are looked at for each window that is wanted of a source, so that rare ones are met, too."""


class Meter:
    """Measures what a training forgets.

    Args:
        settings: How much, and what counts.
        path: Of the measurements.
        trainer: Whose model is measured.
    """

    def __init__(self, settings: ForgettingConfig, path: Path, trainer: "PackedTrainer") -> None:
        self._settings, self._path, self._trainer = settings, path, trainer
        self._lines: list[dict[str, Any]] = []

    def go_on(self, step: int) -> None:
        """Take up what was measured until a step; later lines are of steps that are done again."""

        def kept() -> list[dict[str, Any]]:
            lines = [line for line in read_records(self._path) if line["step"] <= step]
            if self._path.exists():
                write_text(self._path, "".join(json.dumps(line) + "\n" for line in lines))
            return lines

        self._lines = of_rank_0(kept)

    def measure(self, step: int) -> None:
        """Measure after a step, unless that is done; all ranks call it together."""
        if any(line["step"] == step for line in self._lines):
            return
        loader = self._trainer.dataloader
        stage, position = loader.place()
        seq_len = loader.feed.stages[stage].seq_len
        last = self._lines[-1] if self._lines else {"stage": stage, "position": 0}
        begin = last["position"] if last["stage"] == stage else 0
        fresh = trained(loader.feed, stage, begin, position, self._settings.fresh)
        old = [row for row in earlier(self._lines, seq_len, self._settings.windows) if row[0] in loader.sources]
        losses = self._losses([*fresh, *((name, window) for name, window, _ in old)])
        line = {
            "step": step,
            "stage": stage,
            "position": position,
            "seq_len": seq_len,
            "trained": [[*row, loss] for row, loss in zip(fresh, losses, strict=False)],
            "again": [[*row, loss] for row, loss in zip(old, losses[len(fresh) :], strict=True)],
        }
        found = by_source(line["again"], self._settings.margin)
        self._trainer.metrics_processor.log_forgetting(
            step,
            forgotten_windows_by_corpus={name: own["forgotten"] for name, own in found.items()},
            loss_rise_by_corpus={name: own["rise"] for name, own in found.items()},
        )
        of_rank_0(partial(append, self._path, line))  # behind the metrics: without this line both are done again
        self._lines.append(line)

    def _losses(self, windows: Sequence[tuple[str, int]]) -> list[float]:
        loader = self._trainer.dataloader
        numbers = {name: number for number, name in enumerate(loader.sources)}
        read = [partial(loader.window, numbers[name], window) for name, window in windows]
        losses_N2 = self._trainer.validator.measure(self._trainer.model_parts, read)
        return list((losses_N2[:, 0] / losses_N2[:, 1]).tolist())


def trained(feed: Feed, stage: int, first: int, last: int, count: int) -> list[tuple[str, int]]:
    """Return source and window of some sequences of a stage that were trained on between two positions.

    Args:
        count: Most of each source; they are spread over the positions.
    """
    positions = feed.kept(stage, first, feed.left(stage, first) - feed.left(stage, last))
    looked_at = positions[spread(len(positions), LOOKED_AT * count * len(feed.names))]
    located = feed.locate(stage, looked_at)
    found = []
    for source, name in enumerate(feed.names):
        windows = list(dict.fromkeys(located.window_N[located.source_N == source].tolist()))
        found += [(name, int(windows[place])) for place in spread(len(windows), count)]
    return found

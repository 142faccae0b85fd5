"""The training data as batches: what the feed says that a sequence is, read from the token files.

A sequence depends on the seed, the stage and its position only: any number of ranks sees the same global batches, and a
resumed run goes on exactly.

Letters of tensor names: docs/architectures.md.
"""

import dataclasses
import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torchtitan.components.dataloader import BaseDataLoader

from smallwright_pretrain.account import planned
from smallwright_pretrain.feed import Feed, Located, joined
from smallwright_pretrain.mixture import Changes, StageData
from smallwright_pretrain.policies_log import Lines, changes
from smallwright_pretrain.sources import Sources
from smallwright_pretrain.stored_files import STORED_IDS, STORED_LOGS, Stored
from smallwright_pretrain.windows import IGNORED as IGNORED
from smallwright_pretrain.windows import TokenWindows as TokenWindows
from smallwright_pretrain.windows import Window

SOURCES = "sources"
"""Key beside the input ids: the number of each row's source, of shape (B,). It is not for the model."""
LOOK_AHEAD = 1024
"""Positions that are located together; singly each would take a hundred times as long."""

Choose = Callable[[int, int, Located, int], np.ndarray]
"""Gets stage, position, the candidates of a batch, and how many to choose; returns their places in order."""
Batch = tuple[dict[str, torch.Tensor], torch.Tensor]


def batch(windows: Sequence[Window]) -> Batch:
    """Stack windows into TorchTitan's form: ({"input", "positions"}, labels), each of shape (B, L)."""
    inputs_BL, positions_BL, labels_BL = (torch.from_numpy(np.stack(part)) for part in zip(*windows, strict=True))
    return {"input": inputs_BL, "positions": positions_BL}, labels_BL


@dataclass(kw_only=True, slots=True)
class StageRows:
    """What a stage of training is to the loader: see :class:`smallwright_pretrain.mixture.StageData`."""

    name: str = ""
    mixture: dict[str, Any] | None = None
    seq_len: int = 1
    sequences: int = 1
    round: int = 1

    @classmethod
    def of(cls, stage: StageData) -> "StageRows":
        """Return what TorchTitan can write into its log."""
        mixture = None if stage.mixture is None else dict(stage.mixture)
        return cls(
            name=stage.name, mixture=mixture, seq_len=stage.seq_len, sequences=stage.sequences, round=stage.round
        )


class TokenDataLoader(BaseDataLoader):
    """Micro-batches of one rank, with exact resume for any number of ranks.

    It goes from stage to stage as their sequences have been read, as long as their length is the one it was built for.
    """

    @dataclass(kw_only=True, slots=True)
    class Config(BaseDataLoader.Config):
        tokens: dict[str, str] = field(default_factory=dict)
        """Tokens artifacts by the label of their corpus."""
        stages: list[StageRows] = field(default_factory=list)
        """All stages of the run."""
        seed: int = 0
        global_batch_size: int = 1
        padded_batch_size: int | None = None
        """Rows that all ranks compute in a step; those behind the global batch are empty. None: there are none."""
        drawn: dict[int, str] = field(default_factory=dict)
        """By the number of a stage, the file of the windows that were drawn for it."""
        stored: dict[str, dict[str, Any]] = field(default_factory=dict)
        """What a teacher says of each source's windows, where it is stored; see :func:`.stored_files.rows`."""
        skipped: list[list[int]] = field(default_factory=list)
        """Ranges of sequences that are not trained on, [from, up to], counted from the run's first one."""

    def __init__(
        self,
        config: Config,
        *,
        dp_world_size: int,
        dp_rank: int,
        seq_len: int,
        local_batch_size: int,
        **_: Any,
    ) -> None:
        self._tokens = {label: Path(folder) for label, folder in config.tokens.items()}
        self._drawn = {number: Path(file) for number, file in config.drawn.items()}
        self._sources = Sources(self._tokens, config.stages, self._drawn)
        self._stored = {name: Stored(Path(row["folder"]), row["expected"]) for name, row in config.stored.items()}
        self._seed, self._seq_len = config.seed, seq_len
        self._batch, self._ranks = config.global_batch_size, dp_world_size
        self._accumulation = (config.padded_batch_size or self._batch) // (dp_world_size * local_batch_size)
        self._rows = local_batch_size
        first_C = (np.arange(self._accumulation) * dp_world_size + dp_rank) * local_batch_size
        self._own_R = (first_C[:, None] + np.arange(local_batch_size)).ravel()
        """Places in a global batch of this rank's rows, micro-batch after micro-batch; those behind it are empty."""
        self._stage, self._position = 0, 0
        self._choice: tuple[int, Feed, Choose] | None = None
        self._ahead: list[tuple[int, Located]] = []
        self._wanted = joined([(first, last) for first, last in config.skipped])
        self._stages = config.stages
        self.changes: Changes = {}
        """Mixtures that a policy decided on."""
        self.feed = self._sources.feed(self._seed, self._wanted)

    @property
    def sources(self) -> tuple[str, ...]:
        """Names of the sources, in the order of their numbers."""
        return self.feed.names

    def __iter__(self) -> Iterator[Batch]:
        while True:
            upto, located = self._next()
            # Before the yield: a checkpoint is saved when the batch has been consumed.
            self._position = upto
            for part in range(self._accumulation):
                yield self._read(located, slice(part * self._rows, (part + 1) * self._rows))

    def skip(self, first: int, last: int) -> None:
        """Do not train on the sequences from ``first`` up to ``last``, counted from the run's first one.

        What has been read already stays as it is; so the ranges that a checkpoint keeps are those that were left out.
        """
        first = max(first, self.feed.begin(self._stage) + self._position)
        self.feed = self._sources.feed(self._seed, joined([*self.feed.skipped, (first, last)]), self.changes)
        self._ahead.clear()

    def choose(self, candidates: int, choose: Choose) -> None:
        """Read so many sequences for each one of a batch, in the shares of the mixture, and train on those chosen.

        Positions stay those of what is trained on: sequence p has the candidates from ``p * candidates`` on.
        """
        wide = [dataclasses.replace(stage, sequences=stage.sequences * candidates) for stage in self._stages]
        sources = Sources(self._tokens, wide)
        self._choice = candidates, sources.feed(self._seed), choose

    def follow(self, lines: Lines) -> None:
        """Go on with the mixtures that the log of a policy leads to."""
        self.changes = changes(lines, self._stages)
        self.feed = self._sources.feed(self._seed, self.feed.skipped, self.changes)
        self._ahead.clear()

    def place(self) -> tuple[int, int]:
        """Return the stage, and its position behind the batches consumed."""
        return self._stage, self._position

    def check_epochs(self, lines: Lines, most: float | None) -> None:
        """Refuse the mixtures that the log of a policy leads to, where the whole run would read a corpus too often.

        Raises:
            core.errors.UserError: naming ``max_epochs`` and the corpus.
        """
        if most is not None:
            changed = changes(lines, self._stages)
            planned(
                self._tokens,
                self._stages,
                max_epochs=most,
                skipped=self.feed.skipped,
                changes=changed,
                drawn=self._drawn,
            )

    def next_place(self) -> tuple[int, int]:
        """Return the stage and the position of the next batch."""
        self._to_the_next_stage()
        return self._stage, self._position

    def corpus(self, source: int) -> str:
        """Return the corpus that a source, by its number, is a view of."""
        return self._sources.corpus(self.feed.names[source])

    def window(self, source: int, window: int) -> Window:
        """Return a window of a source by its number."""
        return self._sources.windows(self.feed.names[source], self._seq_len).window(window)

    def declared(self, stage: int) -> dict[str, float]:
        """Return the share of each corpus in a stage as it was declared."""
        return self._sources.declared(stage)

    def state_dict(self) -> dict[str, Any]:
        """Return the place behind the batches consumed: valid for any number of ranks and rows.

        The ranges are text, for a checkpoint is read into a state of the same form.
        """
        return {"stage": self._stage, "position": self._position, "skipped": json.dumps(self.feed.skipped)}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Go on behind ``state_dict``'s batches, leaving out what the settings want to be left out from there on."""
        self._stage, self._position = state_dict["stage"], state_dict["position"]
        skipped = [tuple(pair) for pair in json.loads(state_dict["skipped"])]
        self.feed = self._sources.feed(self._seed, skipped, self.changes)
        self._ahead.clear()
        for first, last in self._wanted:
            self.skip(first, last)

    def _next(self) -> tuple[int, Located]:
        """Return the position behind the next global batch, and where this rank's rows of it are."""
        if self._choice is not None:
            return self._chosen(*self._choice)
        if not self._ahead:
            self._to_the_next_stage()
            self._look_ahead()
        return self._ahead.pop()

    def _chosen(self, candidates: int, wide: Feed, choose: Choose) -> tuple[int, Located]:
        self._to_the_next_stage()
        positions_G = self.feed.kept(self._stage, self._position, self._batch)
        candidates_N = (positions_G[:, None] * candidates + np.arange(candidates)).ravel()
        located = wide.locate(self._stage, candidates_N)
        places_G = choose(self._stage, self._position, located, self._batch)
        own_R = places_G[np.minimum(self._own_R, self._batch - 1)]
        return int(positions_G[-1]) + 1, Located(*(array[own_R] for array in located))

    def _to_the_next_stage(self) -> None:
        while not self.feed.left(self._stage, self._position) and self._stage + 1 < len(self.feed.stages):
            self._stage, self._position = self._stage + 1, 0

    def _look_ahead(self) -> None:
        stage = self.feed.stages[self._stage]
        assert stage.seq_len == self._seq_len, f"stage {stage.name} has another sequence length"
        left = self.feed.left(self._stage, self._position)
        batches = max(1, min(LOOK_AHEAD // len(self._own_R), -(-left // self._batch)))
        positions_GB = self.feed.kept(self._stage, self._position, batches * self._batch).reshape(batches, self._batch)
        # A row behind the batch is read as its last one, and then emptied.
        own_R = np.minimum(self._own_R, self._batch - 1)
        located = self.feed.locate(self._stage, positions_GB[:, own_R].ravel())
        parts = zip(*(np.split(array, batches) for array in located), strict=True)
        behind = [int(row[-1]) + 1 for row in positions_GB]
        self._ahead = [(upto, Located(*part)) for upto, part in zip(behind, parts, strict=True)][::-1]

    def _read(self, located: Located, rows: slice) -> Batch:
        source_B, window_B = located.source_N[rows], located.window_N[rows]
        windows = [self.window(int(source), int(window)) for source, window in zip(source_B, window_B, strict=True)]
        inputs, labels_BL = batch(windows)
        labels_BL[self._own_R[rows] >= self._batch] = IGNORED
        inputs[SOURCES] = torch.from_numpy(source_B.copy())
        if self._stored:
            read = [
                self._stored[self.feed.names[source]].window(int(window))
                for source, window in zip(source_B, window_B, strict=True)
            ]
            inputs[STORED_IDS], inputs[STORED_LOGS] = (
                torch.from_numpy(np.stack(part)) for part in zip(*read, strict=True)
            )
        return inputs, labels_BL

"""A policy that chooses among sequences, at work: all ranks measure the candidates of a batch, rank 0 asks.

Import after :func:`smallwright_pretrain.cpu.use_device`.
"""

import json
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from core.interfaces import SelectionPolicy
from core.writing import write_text
from torch.nn import functional

from smallwright_pretrain import selecting
from smallwright_pretrain.distill_config import CHUNK_VALUES, Mix
from smallwright_pretrain.feed import Located
from smallwright_pretrain.policies_run import of_rank_0
from smallwright_pretrain.records import append, read_records
from smallwright_pretrain.selection_log import CHOSEN
from smallwright_pretrain.teacher import Teacher
from smallwright_pretrain.windows import IGNORED

if TYPE_CHECKING:
    from smallwright_pretrain.trainer import PackedTrainer


class Reference:
    """A frozen model that measures candidates, whole on each rank.

    Args:
        folder: Of Hugging Face's format.
        key: Setting that names it.
        ids: Of the tokenizer.
        dtype: Of weights and products.
        device: Where it computes.
    """

    def __init__(self, folder: Path, key: str, *, ids: int, dtype: torch.dtype, device: torch.device) -> None:
        self._model = Teacher(folder, Mix(), ids=ids, dtype=dtype, device=device, key=key)
        self._device, self._ids = device, ids

    @torch.no_grad()
    def losses(self, inputs: dict[str, torch.Tensor], labels_BL: torch.Tensor) -> torch.Tensor:
        """Return summed loss and number of labels of each sequence, shape (B, 2)."""
        labels_N = labels_BL.to(self._device).flatten()
        states_ND = self._model.states(inputs["input"].to(self._device), inputs["positions"].to(self._device))
        chunk = max(1, CHUNK_VALUES // self._ids)
        losses_N = torch.cat(
            [
                functional.cross_entropy(
                    self._model.head(states_ND[first : first + chunk]).float(),
                    labels_N[first : first + chunk],
                    ignore_index=IGNORED,
                    reduction="none",
                )
                for first in range(0, len(labels_N), chunk)
            ]
        )
        losses_BL = losses_N.double().view(labels_BL.shape)
        return torch.stack([losses_BL.sum(1), (labels_N != IGNORED).view(labels_BL.shape).sum(1).double()], dim=1)


class Selection:
    """What chooses the sequences of a training.

    Args:
        policy: Who chooses.
        name: As it was registered, for the log.
        path: Of the log.
        trainer: Trains on what is chosen.
        reference: Measures the candidates, too; None: none does.
    """

    def __init__(
        self, policy: SelectionPolicy, name: str, path: Path, trainer: "PackedTrainer", reference: Reference | None
    ) -> None:
        self._policy, self._name, self._path = policy, name, path
        self._trainer, self._reference = trainer, reference
        self._lines: dict[int, dict[str, Any]] = {}
        trainer.dataloader.choose(policy.candidates, self.choose)

    def go_on(self, step: int) -> None:
        """Take up what was chosen until now, also for steps behind this one, which are done again."""
        self._lines = {line["step"]: line for line in of_rank_0(self._mended)}

    def measured(self, step: int, losses: Mapping[str, float]) -> None:
        """Do nothing: held-out text decides nothing here."""

    def choose(self, stage: int, position: int, located: Located, count: int) -> np.ndarray:
        """Return the places of the candidates that the next step trains on, in order; all ranks call it together."""
        step = self._trainer.step
        made = self._lines.get(step)
        if made is None:
            made = self._asked(step, located, count)
            made = of_rank_0(partial(self._wrote, {"step": step, **made, "stage": stage, "position": position}))
            self._lines[step] = made
        return selecting.places(made)

    def _asked(self, step: int, located: Located, count: int) -> dict[str, Any]:
        trainer, loader = self._trainer, self._trainer.dataloader
        pairs = zip(located.source_N.tolist(), located.window_N.tolist(), strict=True)
        read = [partial(loader.window, source, window) for source, window in pairs]
        validator, parts = trainer.validator, trainer.model_parts
        losses = _means(validator.measure(parts, read))
        other = None if self._reference is None else _means(validator.measure(parts, read, self._reference.losses))

        def asked() -> dict[str, Any]:
            fenced = np.array([loader.corpus(source) in self._policy.fenced for source in range(len(loader.sources))])
            before = max((before for before in self._lines if before < step), default=None)
            state = {} if before is None else self._lines[before]["state"]
            chosen, told = selecting.ask(self._policy, step, losses, other, fenced[located.source_N], count, state)
            return {**told, **selecting.line(chosen, located.source_N, loader.sources, losses, other)}

        return dict(of_rank_0(asked))

    def _wrote(self, line: dict[str, Any]) -> dict[str, Any]:
        line = json.loads(json.dumps({**line, "policy": self._name}))  # the state as it will be read again
        append(self._path, line)
        return line

    def _mended(self) -> list[dict[str, Any]]:
        """Return the lines, and write the file anew: a kill may have cut the last one short."""
        lines = [line for line in read_records(self._path) if CHOSEN in line]
        if self._path.exists():
            write_text(self._path, "".join(json.dumps(line) + "\n" for line in lines))
        return lines


def _means(losses_N2: torch.Tensor) -> np.ndarray:
    return np.asarray((losses_N2[:, 0] / losses_N2[:, 1]).numpy())

"""A mixture policy at work: asked when the loss has been measured, on rank 0, which tells the others.

Import after :func:`smallwright_pretrain.cpu.use_device`.
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from core.errors import UserError
from core.interfaces import MixturePolicy
from core.writing import write_text

from smallwright_pretrain.config import TorchTitanConfig
from smallwright_pretrain.data import TokenDataLoader
from smallwright_pretrain.policies_log import ask, in_force
from smallwright_pretrain.records import append, read_records


class Adaptation:
    """What changes the mixture of a training.

    Args:
        policy: Who decides.
        name: As it was registered, for the log.
        path: Of the log.
        settings: Of the whole run.
        loader: Goes on with the new shares.
    """

    def __init__(
        self, policy: MixturePolicy, name: str, path: Path, settings: TorchTitanConfig, loader: TokenDataLoader
    ) -> None:
        self._policy, self._name, self._path = policy, name, path
        self._settings, self._loader = settings, loader
        self._lines: list[dict[str, Any]] = []

    def go_on(self, step: int) -> None:
        """Take up what was decided until a step; later lines are of steps that are done again."""

        def kept() -> list[dict[str, Any]]:
            lines = read_records(self._path)
            kept = [line for line in lines if line["step"] <= step]
            if self._path.exists():  # also without a line that a kill cut short
                write_text(self._path, "".join(json.dumps(line) + "\n" for line in kept))
            return kept

        self._lines = of_rank_0(kept)
        self._loader.follow(self._lines)

    def measured(self, step: int, losses: Mapping[str, float]) -> None:
        """Ask what the losses after a step change, unless that is known; from the next batch on it holds."""
        if step >= self._settings.steps or any(line["step"] == step for line in self._lines):
            return
        stage, position = self._loader.next_place()
        shares = in_force(self._loader.changes, stage, position, self._loader.declared(stage))

        def line() -> dict[str, Any]:
            state = self._lines[-1]["state"] if self._lines else {}
            asked = ask(self._policy, step, losses, shares, state)
            line = {**asked, "policy": self._name, "stage": stage, "position": position}
            if line["after"] is not None:
                try:
                    self._loader.check_epochs([*self._lines, line], self._settings.max_epochs)
                except UserError as error:
                    line |= {"after": None, "refused": str(error), "state": state}
            line = json.loads(json.dumps(line))  # the state as it will be read again
            append(self._path, line)
            return line

        self._lines.append(of_rank_0(line))
        if self._lines[-1]["after"] is not None:
            self._loader.follow(self._lines)


def of_rank_0(make: Any) -> Any:
    """Return on every rank what rank 0 makes; what it raises is raised on all."""
    told: list[Any] = [None, None]
    if torch.distributed.get_rank() == 0:
        try:
            told = [make(), None]
        except Exception as error:
            told = [None, error]
    torch.distributed.broadcast_object_list(told, src=0)
    if told[1] is not None:
        raise told[1]
    return told[0]

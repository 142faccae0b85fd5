"""When a loss or a gradient is out of line, and what is done then. No torch.

A rule over the last values, the same on every start: its memory is part of a checkpoint.
"""

import json
import math
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from core.typed import setting

SPIKES = "spikes.jsonl"
"""Beside the metrics: a line for each step at which the rule acted."""


@dataclass(frozen=True, kw_only=True)
class SpikeConfig:
    """What is a spike, and what is done about it."""

    action: Literal["none", "skip", "halt"] = "none"
    """``skip``: the step's batch does not change the weights; ``halt``: training ends with a line that says where."""
    watch: Literal["loss", "grad_norm", "both"] = "both"
    """What is looked at: the loss of the batch, the norm of its gradient before clipping, or each of them."""
    sigmas: float = setting(6.0, gt=0)
    """A value is out of line when it is above the mean of the last values by this many of their standard deviations."""
    window: int = setting(128, ge=2)
    """How many last values, of steps of the stage that were in line; before there are so many nothing is judged."""
    patience: int = setting(1, ge=1)
    """Act when this many steps in a row were out of line."""
    limit: int = setting(10, ge=1)
    """Steps in a row that may be skipped; then training halts, for it is no spike but another level."""


NO_RULE = SpikeConfig()


@dataclass(frozen=True)
class Verdict:
    """What the rule says of a step that is out of line."""

    what: str
    value: float
    mean: float
    sigma: float
    action: Literal["skip", "halt"]

    def line(self, step: int, config: SpikeConfig) -> str:
        """Say it in one line."""
        name = {"loss": "loss", "grad_norm": "gradient norm"}[self.what]
        return (
            f"step {step}: the {name} was {self.value:.4g}, more than {config.sigmas:g} standard deviations "
            f"({self.sigma:.2g}) above the mean of the last {config.window} steps ({self.mean:.4g})"
        )


def notes(records: Sequence[Mapping[str, Any]]) -> list[str]:
    """Return what a person should know of the lines of ``spikes.jsonl``."""
    steps = [f"{record['step']:,}" for record in records if record["action"] == "skip"]
    if not steps:
        return []
    shown = ", ".join(steps[:10]) + (" and more" if len(steps) > 10 else "")
    return [f"pretrain.spikes: {len(steps)} steps changed no weight, for they were out of line: {shown}."]


class SpikeWatch:
    """The rule with its memory.

    Args:
        config: The rule; its ``action`` must not be ``none``.
    """

    def __init__(self, config: SpikeConfig) -> None:
        self._config = config
        watched = ("loss", "grad_norm") if config.watch == "both" else (config.watch,)
        self._last: dict[str, deque[float]] = {name: deque(maxlen=config.window) for name in watched}
        self._row = 0

    def see(self, *, loss: float, grad_norm: float) -> Verdict | None:
        """Judge a step before its update, and remember it if it is in line."""
        values = {"loss": loss, "grad_norm": grad_norm}
        found = None
        for name, last in self._last.items():
            if found is None and len(last) == self._config.window:
                mean = sum(last) / len(last)
                sigma = math.sqrt(sum((value - mean) ** 2 for value in last) / len(last))
                if values[name] > mean + self._config.sigmas * sigma:
                    found = (name, values[name], mean, sigma)
        if found is None:
            self._row = 0
            for name, last in self._last.items():
                last.append(values[name])
            return None
        self._row += 1
        acted = self._row - self._config.patience + 1
        if acted < 1:
            return None
        skip = self._config.action == "skip" and acted <= self._config.limit
        return Verdict(*found, action="skip" if skip else "halt")

    def state(self) -> str:
        """Return the memory as text, exact."""
        return json.dumps({"row": self._row, **{name: list(last) for name, last in self._last.items()}})

    def restore(self, text: str) -> None:
        """Go on from a memory; one of another rule is taken as far as it fits."""
        memory: dict[str, Any] = json.loads(text) if text else {}
        self._row = memory.get("row", 0)
        for name, last in self._last.items():
            last.clear()
            last.extend(memory.get(name, ()))

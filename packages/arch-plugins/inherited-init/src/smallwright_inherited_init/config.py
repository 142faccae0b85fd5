"""Settings of parameter inheritance."""

import dataclasses
from typing import Literal

from core.config import setting
from core.errors import ConfigError


@dataclasses.dataclass(frozen=True, kw_only=True)
class InheritedInitConfig:
    """Which model to inherit from, and which of its parts to keep."""

    source: str | None = setting(None, files=True)
    """Directory of a model, or its id on the Hugging Face hub; None: the run trains ``source_size`` first."""
    revision: str | None = None
    """Commit of a source on the hub; its files are then always the same."""
    source_size: str = "nano"
    """Size of the architecture to train as source, when ``source`` is None."""
    layers: Literal["first_last"] | tuple[int, ...] = "first_last"
    """``first_last``: the first and the last layers, half each (the first of an odd number): middle layers are the
    most redundant. Or a list of the source's layers, counted from 0."""
    neurons: Literal["l2", "l1"] = "l2"
    """Norm of the weights by which feed-forward neurons, attention heads and hidden channels are ranked."""

    def __post_init__(self) -> None:
        if self.layers != "first_last" and list(self.layers) != sorted(set(self.layers)):
            raise ConfigError(f"layers={list(self.layers)}: give rising layer numbers, each once.")
        if self.source is None and self.revision is not None:
            raise ConfigError(f"revision={self.revision}: names a commit of no source. Set source too.")

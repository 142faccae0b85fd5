"""Settings of parameter inheritance."""

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

from core.errors import ConfigError
from core.typed import setting

MEASURED_LAYERS = ("block_influence", "perplexity", "contiguous")
MEASURED_STRUCTURES = ("taylor", "activation", "fisher", "mask")


@dataclasses.dataclass(frozen=True, kw_only=True)
class InheritedInitConfig:
    """Which model to inherit from, and by which rules to keep its parts."""

    source: str | None = setting(None, files=True)
    """Directory of a model, or its id on the Hugging Face hub; None: the run trains ``source_size`` first."""
    revision: str | None = None
    """Commit of a source on the hub; its files are then always the same."""
    source_size: str | None = "nano"
    """Size of the architecture to train as source, when ``source`` is None."""
    source_arch: Mapping[str, Any] | None = None
    """Other settings of the source to train, when ``source`` is None: ``{series_activation: 2}``. What the child has
    and its source lacks is refused."""
    layers: Literal["first_last", "block_influence", "perplexity", "contiguous"] | tuple[int, ...] = "first_last"
    """Which layers are kept. ``first_last``: half from each end (the first of an odd number), as middle layers are the
    most redundant (PanGu-pi Pro). ``block_influence``: those that turn the hidden state most (ShortGPT, arXiv
    2403.03853). ``perplexity``: those without which the loss is highest (Shortened LLaMA, arXiv 2402.02834).
    ``contiguous``: all but the run of neighbours whose removal costs least loss (Minitron, arXiv 2408.11796). Or a
    list of the source's layers, counted from 0."""
    neurons: Literal["l2", "l1", "taylor", "activation", "fisher", "mask"] = "l2"
    """How feed-forward neurons, attention heads and hidden channels are ranked. ``l1``, ``l2``: norm of their weights.
    ``taylor``: |weight * gradient|, summed. ``fisher``: squared gradients, summed. ``activation``: size of what they
    put out (Minitron, section 3). ``mask``: gates learned under a constraint on the target shape (Sheared LLaMA,
    arXiv 2310.06694). All but the norms are measured on the run's tokens."""
    key_value_heads: Literal["rank", "mean"] = "rank"
    """Fewer key/value heads than the source: the highest ranked with their query heads, or ``mean``: neighbours are
    averaged and query heads stay (arXiv 2305.13245, section 2.1)."""
    shared_ffn: Literal["refuse", "mean"] = "refuse"
    """A feed-forward that several layers of the child share, of layers that have one each: refused, or ``mean``: their
    weights are averaged (as Relaxed Recursive Transformers, arXiv 2410.20672, start whole blocks that layers share)."""
    vocabulary: Literal["by_token", "same"] = "by_token"
    """A source with another tokenizer: ``by_token`` copies the rows of tokens that both have and gives every other
    token the mean of its pieces' rows (Fast Vocabulary Transfer, arXiv 2402.09977); ``same`` refuses it."""
    calibration_sequences: int = setting(32, ge=1)
    """Windows of the run's training tokens on which the rules that need data measure."""
    calibration_length: int = setting(256, ge=2)
    """Tokens of a window."""
    mask_steps: int = setting(200, ge=1)
    """Optimizer steps of the rule ``mask``; Sheared LLaMA took 3,200."""
    mask_learning_rate: float = setting(0.1, gt=0)
    """Learning rate of the gates and of the constraint's multipliers; Sheared LLaMA took 1.0 over many more steps."""

    def __post_init__(self) -> None:
        if not isinstance(self.layers, str) and list(self.layers) != sorted(set(self.layers)):
            raise ConfigError(f"layers={list(self.layers)}: give rising layer numbers, each once.")
        if self.source is None and self.revision is not None:
            raise ConfigError(f"revision={self.revision}: names a commit of no source. Set source too.")
        if self.source is not None and self.source_arch is not None:
            raise ConfigError("source_arch: of a source to train, and source names a trained one. Set one of the two.")
        if self.source is not None:
            self._check_source(self.source)

    def _check_source(self, source: str) -> None:
        """Refuse what is neither a directory nor a pinned model on the hub, before the data is made."""
        folder = Path(source).expanduser()
        if folder.is_dir():
            if not (model_folder(folder) / "config.json").is_file():
                raise ConfigError(f"source={source}: no config.json. Give the directory of a model.")
            return
        if source.count("/") != 1 or source.startswith((".", "/", "~")):
            raise ConfigError(f"source={source}: no such directory.")
        if self.revision is None:
            raise ConfigError(
                f"source={source}: no such directory. For a model on the hub, pin its commit: revision=<commit>."
            )

    @property
    def measured(self) -> tuple[str, ...]:
        """The settings whose rule needs calibration data, as ``layers=perplexity``."""
        found = {"layers": self.layers in MEASURED_LAYERS, "neurons": self.neurons in MEASURED_STRUCTURES}
        return tuple(f"{key}={getattr(self, key)}" for key, needs in found.items() if needs)

    @property
    def reads_tokens(self) -> bool:
        """Whether the stage needs the run's tokens."""
        return bool(self.measured)


def model_folder(folder: Path) -> Path:
    """Return where in an artifact, or in a directory that is the model's own, ``config.json`` is."""
    return folder / "hf" if (folder / "hf" / "config.json").is_file() else folder

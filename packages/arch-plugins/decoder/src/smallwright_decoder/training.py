"""How published models were trained, by size: what settings of pretraining are where nobody gives them."""

from collections.abc import Mapping
from typing import Any

from smallwright_decoder.config import DecoderConfig

SHAPE = ("hidden_size", "intermediate_size", "num_hidden_layers", "num_attention_heads", "num_key_value_heads")


def training(
    learning_rate: float,
    sequences: int,
    micro_batch_size: int,
    source: str,
    *,
    seq_len: int = 2048,
    warmup_steps: int = 2000,
) -> dict[str, Any]:
    """Return an entry of a configuration's ``TRAINING``, as :meth:`core.architecture.Architecture.training` has it.

    Args:
        learning_rate: The peak.
        sequences: Of an optimizer step, over all devices.
        micro_batch_size: Sequences in one forward pass of one device.
        source: The publication, and what of it is not published.
    """
    return {
        "learning_rate": learning_rate,
        "batch_tokens": sequences * seq_len,
        "seq_len": seq_len,
        "warmup_steps": warmup_steps,
        "micro_batch_size": micro_batch_size,
        "source": source,
    }


def of_size(config: DecoderConfig) -> Mapping[str, Any] | None:
    """Return how the size was trained that a configuration names, or whose shape it has; None: nobody said."""
    known: Mapping[str, Mapping[str, Any]] = getattr(config, "TRAINING", {})
    if config.size is not None:
        return known.get(config.size)
    sizes: Mapping[str, Mapping[str, Any]] = getattr(config, "SIZES", {})
    alike = (name for name in known if all(sizes[name].get(key) == getattr(config, key) for key in SHAPE))
    return next((known[name] for name in alike), None)

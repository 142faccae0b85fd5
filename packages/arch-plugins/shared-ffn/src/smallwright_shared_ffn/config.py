"""Dimensions of a decoder with one shared FFN; keys are Hugging Face's, sizes are MobiLlama's (arXiv 2402.16840)."""

import dataclasses
import math
from collections.abc import Mapping
from typing import Any, ClassVar, Literal

from core.config import setting
from core.errors import ConfigError

# Section 3 and the released configurations. Their "num_key_value_heads: 4" is not what the published sizes have: only
# full-width keys and values give 0.5B and 0.8B.
MOBILLAMA: Mapping[str, Any] = {
    "vocab_size": 32000,
    "num_hidden_layers": 22,
    "num_attention_heads": 32,
    "num_key_value_heads": 32,
    "max_position_embeddings": 2048,
    "rope_theta": 10000.0,
    "rms_norm_eps": 1e-5,
    "tie_word_embeddings": False,
    "initializer_range": 0.02,
    "init_scheme": "constant",
}


@dataclasses.dataclass(frozen=True, kw_only=True)
class SharedFFNConfig:
    """Dimensions and initialisation of a Llama whose layers all use the same SwiGLU feed-forward."""

    SIZES: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        "nano": {
            "hidden_size": 128,
            "intermediate_size": 384,
            "num_hidden_layers": 6,
            "num_attention_heads": 4,
            "num_key_value_heads": 4,
            "max_position_embeddings": 256,
            "initializer_range": 128**-0.5,
        },
        "mobillama-0.5b": {**MOBILLAMA, "hidden_size": 2048, "intermediate_size": 5632},
        "mobillama-0.8b": {**MOBILLAMA, "hidden_size": 2560, "intermediate_size": 10240},
    }

    size: str | None = setting(None, identity=False)
    """Named set of the values below; the name itself does not change the model."""
    hidden_size: int
    """Width of the residual stream."""
    intermediate_size: int
    """Width of the one SwiGLU feed-forward."""
    num_hidden_layers: int
    num_attention_heads: int
    """Query heads."""
    num_key_value_heads: int
    """Key/value heads; equal to the query heads for multi-head attention."""
    head_dim: int | None = None
    """Width of one head; None: hidden_size / num_attention_heads."""
    vocab_size: int | None = None
    """Rows of the embedding; None: the tokenizer's."""
    max_position_embeddings: int = 2048
    """Longest sequence in tokens that the model claims to serve."""
    rope_theta: float = 10000.0
    """Base of the rotary position embedding."""
    rms_norm_eps: float = 1e-5
    tie_word_embeddings: bool = False
    """Use the embedding as output head."""
    initializer_range: float = 0.02
    """Standard deviation of the initial weights."""
    init_scheme: Literal["constant", "depth_scaled"] = "constant"
    """``constant``: the same deviation everywhere, as MobiLlama; ``depth_scaled``: projections back into the residual
    stream start smaller by sqrt(2 * layers)."""

    def __post_init__(self) -> None:
        for key in (field.name for field in dataclasses.fields(self)):
            value = getattr(self, key)
            number = isinstance(value, (int, float)) and not isinstance(value, bool)
            if number and not (value > 0 and math.isfinite(value)):
                raise ConfigError(f"{key}={value}: must be a finite number above 0.")
        if self.hidden_size % self.num_attention_heads:
            raise ConfigError(
                f"num_attention_heads={self.num_attention_heads}: must divide hidden_size={self.hidden_size} "
                f"(Hugging Face's Llama asks for it even with head_dim set). "
                f"Use a hidden_size such as {_multiple(self.hidden_size, self.num_attention_heads)}."
            )
        if self.num_attention_heads % self.num_key_value_heads:
            divisors = [n for n in range(1, self.num_attention_heads + 1) if self.num_attention_heads % n == 0]
            raise ConfigError(
                f"num_key_value_heads={self.num_key_value_heads}: must divide "
                f"num_attention_heads={self.num_attention_heads}. Use one of {divisors}."
            )
        if self.resolved_head_dim % 2:
            raise ConfigError(
                f"head_dim={self.resolved_head_dim}: must be even, RoPE rotates pairs. "
                f"Use head_dim={self.resolved_head_dim + 1} or other heads."
            )

    @property
    def resolved_head_dim(self) -> int:
        """Width of one head."""
        return self.head_dim or self.hidden_size // self.num_attention_heads

    @property
    def resolved_vocab_size(self) -> int:
        """Rows of the embedding.

        Raises:
            ConfigError: while neither the configuration nor a tokenizer has given it.
        """
        if self.vocab_size is None:
            raise ConfigError("arch.vocab_size: not known. Choose a tokenizer, or set arch.vocab_size=<rows>.")
        return self.vocab_size

    @property
    def residual_std(self) -> float:
        """Initial deviation of projections into the residual stream (attention output, FFN down)."""
        scale = (2 * self.num_hidden_layers) ** 0.5 if self.init_scheme == "depth_scaled" else 1.0
        return self.initializer_range / scale


def _multiple(value: int, of: int) -> int:
    return -(-value // of) * of

"""Dimensions of a Llama-style decoder; keys are Hugging Face's, sizes are SmolLM2's (arXiv 2502.02737, Table 6)."""

import dataclasses
import math
from collections.abc import Mapping
from typing import Any, ClassVar, Literal

from core.config import setting
from core.errors import ConfigError

SMOLLM2: Mapping[str, Any] = {
    "vocab_size": 49152,
    "max_position_embeddings": 2048,
    "rope_theta": 10000.0,
    "rms_norm_eps": 1e-5,
    "tie_word_embeddings": True,
    "init_scheme": "depth_scaled",
}


@dataclasses.dataclass(frozen=True, kw_only=True)
class GQAConfig:
    """Dimensions and initialisation of a decoder with RMSNorm, RoPE, SwiGLU and grouped-query attention."""

    SIZES: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        # Deep and narrow like SmolLM2-135M (3 FFN widths, few KV heads), for minutes on two CPU cores.
        "nano": {
            "hidden_size": 128,
            "intermediate_size": 384,
            "num_hidden_layers": 6,
            "num_attention_heads": 4,
            "num_key_value_heads": 2,
            "max_position_embeddings": 256,
            "initializer_range": 128**-0.5,
        },
        "smollm2-135m": {
            **SMOLLM2,
            "hidden_size": 576,
            "intermediate_size": 1536,
            "num_hidden_layers": 30,
            "num_attention_heads": 9,
            "num_key_value_heads": 3,
            "initializer_range": 576**-0.5,
        },
        "smollm2-360m": {
            **SMOLLM2,
            "hidden_size": 960,
            "intermediate_size": 2560,
            "num_hidden_layers": 32,
            "num_attention_heads": 15,
            "num_key_value_heads": 5,
            "initializer_range": 960**-0.5,
        },
        "smollm2-1.7b": {
            **SMOLLM2,
            "hidden_size": 2048,
            "intermediate_size": 8192,
            "num_hidden_layers": 24,
            "num_attention_heads": 32,
            "num_key_value_heads": 32,
            "initializer_range": 0.02,
        },
    }

    size: str | None = setting(None, identity=False)
    """Named set of the values below; the name itself does not change the model."""
    hidden_size: int
    """Width of the residual stream."""
    intermediate_size: int
    """Width of the SwiGLU feed-forward."""
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
    tie_word_embeddings: bool = True
    """Use the embedding as output head."""
    initializer_range: float = 0.02
    """Standard deviation of the initial weights."""
    init_scheme: Literal["depth_scaled", "constant"] = "depth_scaled"
    """``depth_scaled``: projections back into the residual stream start smaller by sqrt(2 * layers), as nanotron
    does for SmolLM2; ``constant``: the same deviation everywhere."""

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

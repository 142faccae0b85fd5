"""Sizes and defaults of the architecture ``swish_beta``."""

import dataclasses
from collections.abc import Mapping
from typing import Any, ClassVar

from smallwright_decoder.config import DecoderConfig


@dataclasses.dataclass(frozen=True, kw_only=True)
class SwishBetaConfig(DecoderConfig):
    """A decoder whose gates use an activation of this package."""

    SIZES: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        # For minutes on two CPU cores. Add yours: the keys are the settings of this class.
        "nano": {
            "hidden_size": 128,
            "intermediate_size": 384,
            "num_hidden_layers": 6,
            "num_attention_heads": 4,
            "num_key_value_heads": 2,
            "max_position_embeddings": 256,
            "initializer_range": 128**-0.5,
        },
    }

    activation: str = "smallwright_swish_beta.activation:swish_gelu"
    """Activation of the feed-forward's gate: ``swish_gelu`` or ``swish_two`` of this package's activation module, silu,
    gelu, relu2, or ``module:function`` of another one."""
    qk_norm: bool = True
    """RMSNorm over each head of queries and keys, before RoPE (Qwen3)."""

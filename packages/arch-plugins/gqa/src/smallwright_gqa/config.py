"""Sizes of published decoders: SmolLM2 (arXiv 2502.02737, Table 6); Llama 3.2, Qwen2.5 and Qwen3 (config.json)."""

import dataclasses
from collections.abc import Mapping
from typing import Any, ClassVar

from smallwright_decoder.config import DecoderConfig
from smallwright_decoder.training import training

SMOLLM2: Mapping[str, Any] = {
    "vocab_size": 49152,
    "max_position_embeddings": 2048,
    "rope_theta": 10000.0,
    "rms_norm_eps": 1e-5,
    "tie_word_embeddings": True,
    "init_scheme": "depth_scaled",
}

# How these were initialised is not published in full: config.json has the deviation, and no scaling by depth.
OTHERS: Mapping[str, Any] = {"tie_word_embeddings": True, "initializer_range": 0.02, "init_scheme": "constant"}

SOURCE = "SmolLM2, arXiv 2502.02737"
"""Sections 4.1 and 6; batches and warm-up are those of its released training configurations."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class GQAConfig(DecoderConfig):
    """A decoder with RMSNorm, RoPE, SwiGLU and grouped-query attention, unless other parts are chosen."""

    TRAINING: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        "smollm2-135m": training(3e-3, 512, 8, SOURCE),
        "smollm2-360m": training(3e-3, 768, 6, SOURCE),
        "smollm2-1.7b": training(5e-4, 1024, 4, SOURCE),
        "llama-3.2-1b": training(5e-4, 1024, 4, f"not published; SmolLM2-1.7B's, the nearest: {SOURCE}"),
        "qwen2.5-0.5b": training(3e-3, 768, 6, f"not published; SmolLM2-360M's, the nearest: {SOURCE}"),
        "qwen3-0.6b": training(3e-3, 768, 6, f"not published; SmolLM2-360M's, the nearest: {SOURCE}"),
    }
    """How each size was trained, for settings of pretraining that nobody gives."""
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
        "llama-3.2-1b": {
            "vocab_size": 128256,
            "hidden_size": 2048,
            "intermediate_size": 8192,
            "num_hidden_layers": 16,
            "num_attention_heads": 32,
            "num_key_value_heads": 8,
            "head_dim": 64,
            "max_position_embeddings": 131072,
            "rope_theta": 500000.0,
            "rope_scaling": "llama3",
            "rope_factor": 32.0,
            "rope_original_max_position": 8192,
            **OTHERS,
        },
        "qwen2.5-0.5b": {
            "vocab_size": 151936,
            "hidden_size": 896,
            "intermediate_size": 4864,
            "num_hidden_layers": 24,
            "num_attention_heads": 14,
            "num_key_value_heads": 2,
            "max_position_embeddings": 32768,
            "rope_theta": 1000000.0,
            "rms_norm_eps": 1e-6,
            "qkv_bias": True,
            **OTHERS,
        },
        "qwen3-0.6b": {
            "vocab_size": 151936,
            "hidden_size": 1024,
            "intermediate_size": 3072,
            "num_hidden_layers": 28,
            "num_attention_heads": 16,
            "num_key_value_heads": 8,
            "head_dim": 128,
            "max_position_embeddings": 40960,
            "rope_theta": 1000000.0,
            "rms_norm_eps": 1e-6,
            "qk_norm": True,
            **OTHERS,
        },
    }

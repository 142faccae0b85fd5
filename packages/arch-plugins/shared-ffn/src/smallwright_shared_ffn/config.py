"""Sizes of MobiLlama (arXiv 2402.16840) and of the models that its paper compares it with."""

import dataclasses
from collections.abc import Mapping
from typing import Any, ClassVar, Literal

from smallwright_decoder.config import DecoderConfig
from smallwright_decoder.training import training

# Where the paper, its repository and the released models contradict each other:
# - Key/value heads. The released configurations say 4, but their attention ignores it: keys and values are full width.
#   With 4 the 0.5B would have 373,385,216 parameters, the 0.8B 567,001,600; only 32 gives the published sizes.
# - Epsilon of RMSNorm. The paper says 1e-6, every released configuration 1e-5: weights were trained with the latter.
# - Layers. The repository's config.json has 8 (baseline2's), the released 0.5B has 22, as the paper.
MOBILLAMA: Mapping[str, Any] = {
    "vocab_size": 32000,
    "hidden_size": 2048,
    "intermediate_size": 5632,
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
UNSHARED: Mapping[str, str] = {}


@dataclasses.dataclass(frozen=True, kw_only=True)
class SharedFFNConfig(DecoderConfig):
    """A Llama whose layers all use the same SwiGLU feed-forward, unless ``ffn_groups`` says which do."""

    TRAINING: ClassVar[Mapping[str, Mapping[str, Any]]] = dict.fromkeys(
        ("mobillama-0.5b", "mobillama-0.8b", "mobillama-1.2b", "mobillama-baseline1", "mobillama-baseline2"),
        # The repository's script of the 0.5B has 3e-5; the paper, and the script of the large model, 3e-4.
        training(3e-4, 800, 5, "MobiLlama, arXiv 2402.16840"),
    )
    """How each size was trained, for settings of pretraining that nobody gives."""
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
        "mobillama-0.5b": MOBILLAMA,
        # The released shape. The paper's text has 2,532 and 11,080, and 2,532 cannot be divided by 32 heads.
        "mobillama-0.8b": {**MOBILLAMA, "hidden_size": 2560, "intermediate_size": 10240},
        # "large-base", released as MobiLlama-1B: what sharing is taken from.
        "mobillama-1.2b": {**MOBILLAMA, "ffn_groups": UNSHARED},
        # The 0.5B's parameters spent without sharing: narrower, and shallower.
        "mobillama-baseline1": {**MOBILLAMA, "ffn_groups": UNSHARED, "hidden_size": 1024},
        "mobillama-baseline2": {**MOBILLAMA, "ffn_groups": UNSHARED, "num_hidden_layers": 8},
    }

    ffn_groups: Mapping[str, str | int] | None = dataclasses.field(default_factory=lambda: {"all": "all"})
    """Layers that share one feed-forward, by group, as ``{middle: 2-19}``; layers in no group have their own. Nothing
    in it, ``{}``: no layer shares."""
    tie_word_embeddings: bool = False
    """Use the embedding as output head."""
    init_scheme: Literal["depth_scaled", "constant"] = "constant"
    """``constant``: the same deviation everywhere, as MobiLlama; ``depth_scaled``: projections back into the residual
    stream start smaller by sqrt(2 * layers)."""

"""Models of the Llama kind: their dimensions and parts, and the names and shapes of their weights."""

import dataclasses
from typing import Any

from core.errors import UserError
from core.interfaces import Architecture
from smallwright_decoder import weight_shapes
from smallwright_decoder.config_json import MODELS
from smallwright_decoder.rope_scaling import LLAMA3, UNSCALED, Scaling


@dataclasses.dataclass(frozen=True, kw_only=True)
class Dimensions:
    """What decides the weights of a model of the Llama kind, and what must agree for them to mean the same."""

    hidden_size: int
    intermediate_size: int
    num_hidden_layers: int
    num_attention_heads: int
    num_key_value_heads: int
    head_dim: int
    vocab_size: int
    tie_word_embeddings: bool
    rms_norm_eps: float
    rope_theta: float
    rope_scaling: Scaling = UNSCALED
    activation: str = "silu"
    qk_norm: bool = False
    qkv_bias: bool = False
    windows: tuple[int | None, ...] = ()
    """Sliding window of each layer; None: it sees everything before it."""
    rope_layers: tuple[bool, ...] = ()
    """Whether each layer has RoPE."""
    ffn_groups: tuple[str | None, ...] = ()
    """Group whose feed-forward each layer uses; None: its own."""
    series_activation: int = 1
    augmented_shortcuts: int = 0
    shortcut_reduction: int = 32

    @classmethod
    def of(cls, config: Any, owner: str) -> "Dimensions":
        """Read a Hugging Face configuration; ``owner`` names it in messages.

        Raises:
            core.errors.UserError: when the model is of another family, or has experts, or biases beyond query, key and
                value.
        """
        _refuse_experts(config, owner)
        kind, layers = config.model_type, config.num_hidden_layers
        if kind not in MODELS:
            raise UserError(f"{owner}: model type {kind!r} is not of the Llama kind ({', '.join(MODELS)}).")
        for key in ("attention_bias", "mlp_bias"):
            if getattr(config, key, False):
                raise UserError(
                    f"{owner}: {key}=true: biases of the output and feed-forward projections are not inherited, only "
                    "Qwen2's of query, key and value. Give a source without them."
                )
        rope = getattr(config, "rope_layers", None) or getattr(config, "no_rope_layers", None) or [True] * layers
        groups = getattr(config, "ffn_groups", None) or [None] * layers
        parameters = config.rope_parameters
        same = ("hidden_size", "intermediate_size", "num_attention_heads", "num_key_value_heads", "vocab_size")
        return cls(
            **{key: getattr(config, key) for key in same},
            num_hidden_layers=layers,
            head_dim=getattr(config, "head_dim", None) or config.hidden_size // config.num_attention_heads,
            tie_word_embeddings=bool(config.tie_word_embeddings),
            rms_norm_eps=config.rms_norm_eps,
            rope_theta=float(parameters["rope_theta"]),
            rope_scaling=Scaling.of(parameters),
            activation=getattr(config, "activation", None) or config.hidden_act,
            qk_norm=kind == "qwen3" or bool(getattr(config, "qk_norm", False)),
            qkv_bias=kind == "qwen2" or bool(getattr(config, "qkv_bias", False)),
            windows=_windows(config),
            rope_layers=tuple(map(bool, rope)),
            ffn_groups=tuple(groups),
            series_activation=getattr(config, "series_activation", 1),
            augmented_shortcuts=getattr(config, "augmented_shortcuts", 0),
            shortcut_reduction=getattr(config, "shortcut_reduction", 32),
        )

    @classmethod
    def planned(cls, architecture: Architecture) -> "Dimensions":
        """Read the settings of a :class:`smallwright_decoder.config.DecoderConfig`, without importing an engine.

        Raises:
            core.errors.UserError: when the architecture is of another kind, or has experts.
        """
        config = architecture.config
        _refuse_experts(config, "arch")
        elsewhere = {"head_dim", "rope_scaling", "windows", "rope_layers", "ffn_groups"}
        try:
            values = {f.name: getattr(config, f.name) for f in dataclasses.fields(cls) if f.name not in elsewhere}
            scaling = {"rope_type": config.rope_scaling, "factor": config.rope_factor}
            if config.rope_scaling != "dynamic":
                scaling["original_max_position_embeddings"] = config.original_max_position
            if config.rope_scaling == "llama3":
                scaling |= LLAMA3
            return cls(
                **values,
                head_dim=config.resolved_head_dim,
                rope_scaling=Scaling.of(scaling if config.rope_scaling != "none" else {}),
                windows=_windows(config),
                rope_layers=tuple(config.rope_layers),
                ffn_groups=tuple(config.layer_groups),
            )
        except AttributeError as error:
            raise UserError(f"arch.name: inherited_init cuts models of the Llama kind only ({error}).") from None

    def ffn(self, layer: int) -> str:
        """Return the prefix of the feed-forward weights that ``layer`` uses."""
        return weight_shapes.feed_forward(self.ffn_groups, layer)

    def shortcuts(self, layer: int) -> list[str]:
        """Return the prefixes of the weights of the learned paths beside the attention of ``layer``."""
        return weight_shapes.shortcuts(self, layer)

    @property
    def queries_per_group(self) -> int:
        """Query heads that share a key/value head."""
        return self.num_attention_heads // self.num_key_value_heads

    @property
    def shortcut_width(self) -> int:
        """Width of a shortcut's bottleneck."""
        return self.hidden_size // self.shortcut_reduction

    def shapes(self) -> dict[str, tuple[int, ...]]:
        """Return the shape of every weight in the checkpoint, by Hugging Face's name."""
        return weight_shapes.weight_shapes(self, self.head_dim, self.ffn_groups)


def _refuse_experts(config: Any, owner: str) -> None:
    if experts := getattr(config, "num_experts", None) or getattr(config, "num_local_experts", None):
        raise UserError(
            f"{owner}: num_experts={experts}: inherited_init cuts dense feed-forwards only. Give a model without "
            "experts, or train without an initializer."
        )


def _windows(config: Any) -> tuple[int | None, ...]:
    """Return each layer's sliding window; a model without types of layers has it in all of them."""
    window = getattr(config, "sliding_window", None)
    types = getattr(config, "layer_types", None)
    if types is None:
        return (window,) * int(config.num_hidden_layers)
    return tuple(window if kind == "sliding_attention" else None for kind in types)

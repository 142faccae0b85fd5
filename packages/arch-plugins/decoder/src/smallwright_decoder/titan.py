"""TorchTitan face: its blocks, and around them the parts that a decoder can have.

Letters of tensor names: docs/architectures.md.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
import torch.nn as nn
from core.errors import ConfigError
from torchtitan.models.common import CosSinRoPE, Embedding, Linear, RMSNorm
from torchtitan.models.common.attention import (
    AttentionMasksType,
    FlexAttention,
    GQAttention,
    get_causal_mask_mod,
    get_efficient_causal_mask_mod_for_packed_document,
    get_sliding_window_mask_mod,
)
from torchtitan.models.common.config_utils import make_ffn_config, make_gqa_config
from torchtitan.models.common.decoder import Decoder, TransformerBlock
from torchtitan.models.common.feed_forward import FeedForward
from torchtitan.models.common.param_init import skip_param_init
from torchtitan.models.common.rope import RoPE
from torchtitan.models.llama3.model import Llama3Model
from torchtitan.protocols.module import ModuleDict, ModuleList

from smallwright_decoder.config import DecoderConfig
from smallwright_decoder.experts import mixture_config, prepare_for_training
from smallwright_decoder.parts import (
    AugmentedShortcut,
    GatedFeedForward,
    NoRoPE,
    ScaledRoPE,
    SeriesActivation,
    check_elementwise,
    first_term_leads,
)

# The names of TorchTitan's models with local layers.
GLOBAL_MASK, LOCAL_MASK = "basic_mask", "sliding_window_mask"


def window_mask(mask_B1LL: torch.Tensor, window: int) -> torch.Tensor:
    """Return an additive causal mask in which a token also sees no further back than ``window`` tokens.

    Token i sees j with i - window < j <= i, and of these what ``mask_B1LL`` lets it see: its own document's.
    """
    place_L = torch.arange(mask_B1LL.shape[-1], device=mask_B1LL.device)
    distance_LL = place_L[:, None] - place_L[None, :]
    return mask_B1LL.masked_fill(distance_LL >= window, float("-inf"))


class DecoderBlock(TransformerBlock):
    """A pre-norm block.

    Its feed-forward is its own, one that the model lends to several blocks, or a mixture of experts; learned shortcuts
    may run beside attention:

    h = x + attention(norm(x)) + sum_i T_i(norm(x));  out = h + ffn(norm(h)).
    """

    @dataclass(kw_only=True, slots=True)
    class Config(TransformerBlock.Config):
        """Settings of one block.

        Blocks of one ``ffn_group`` hold the same ``feed_forward`` object, which the model builds once; a block with
        experts has ``moe`` in its place.
        """

        ffn_group: str | None = None
        shortcuts: tuple[AugmentedShortcut.Config, ...] = ()
        is_local: bool = False

    def __init__(self, config: Config) -> None:
        super().__init__()
        assert (config.feed_forward is None) != (config.moe is None)
        self.is_local = config.is_local
        self.moe_enabled = config.moe is not None  # TorchTitan's name
        self.attention = config.attention.build()
        self._borrowed: tuple[FeedForward, ...] = ()
        if config.moe is not None:
            self.moe = config.moe.build()
        elif config.ffn_group is None and config.feed_forward is not None:
            self.feed_forward = config.feed_forward.build()
        self.attention_norm = config.attention_norm.build()
        self.ffn_norm = config.ffn_norm.build()
        # The paper writes T(Z), Z the block's input; with a norm before attention it leaves open whether Z is normed.
        # Here the paths and attention have one input.
        self.attention_shortcuts = ModuleList(shortcut.build() for shortcut in config.shortcuts)

    def borrow(self, feed_forward: FeedForward) -> None:
        """Use ``feed_forward``, without it becoming a child of this block.

        A child would be sharded with the block: gathered and reduced once per layer, or, met first by the last
        block, never found by the root FSDP unit.
        """
        self._borrowed = (feed_forward,)

    def forward(
        self, x_BLD: torch.Tensor, attention_masks: AttentionMasksType | None, positions: torch.Tensor | None = None
    ) -> torch.Tensor:
        """Return the residual stream, shape (B, L, D), after attention and feed-forward.

        Args:
            attention_masks: What the attention takes; of a model with local layers, one for each kind of layer.
        """
        if isinstance(attention_masks, Mapping):
            attention_masks = attention_masks[LOCAL_MASK if self.is_local else GLOBAL_MASK]  # type: ignore[assignment]
        elif self.is_local:
            raise ValueError("a local layer needs a mask: this attention is given none, and would see everything.")
        normed_BLD = self.attention_norm(x_BLD)
        h_BLD = x_BLD + self.attention(normed_BLD, attention_masks, positions)
        for shortcut in self.attention_shortcuts:
            h_BLD = h_BLD + shortcut(normed_BLD)
        feed_forward: nn.Module = (
            self._borrowed[0] if self._borrowed else self.moe if self.moe_enabled else self.feed_forward
        )
        return h_BLD + feed_forward(self.ffn_norm(h_BLD))


class DecoderModel(Llama3Model):
    """TorchTitan's Llama 3 with other blocks, whose FLOPs are the architecture's own count.

    Shared feed-forwards are children of the model itself: part of the root FSDP unit, gathered and reduced once per
    step.
    """

    @dataclass(kw_only=True, slots=True)
    class Config(Llama3Model.Config):
        """Settings of TorchTitan's Llama 3, and those that the parts of a decoder need."""

        flops_per_token: Callable[[int], float]
        sliding_window: int | None = None
        """Tokens that a token of a local layer sees; None: no layer is local."""

        def update_from_config(self, *, config: Any, **kwargs: Any) -> None:
            """Check the parallelism, and take Llama 3's and Qwen 3's sharding of every part.

            Raises:
                core.errors.ConfigError: a part cannot be split in this way.
            """
            parallelism = config.parallelism
            pipeline, tensor = parallelism.pipeline_parallel_degree, parallelism.tensor_parallel_degree
            if pipeline > 1 and any(layer.ffn_group is not None for layer in self.layers):
                raise ConfigError(
                    f"pipeline_parallel_degree={pipeline}: a shared FFN cannot be split over pipeline stages. Set it "
                    "to 1 and use FSDP or tensor parallelism."
                )
            learned = any(
                layer.shortcuts or isinstance(layer.feed_forward, GatedFeedForward.Config) for layer in self.layers
            )
            if tensor > 1 and learned:
                raise ConfigError(
                    f"tensor_parallel_degree={tensor}: shortcuts and activations of PanGu-pi are not split over tensor "
                    "parallel ranks. Set it to 1 and use FSDP."
                )
            if mixtures := [layer.moe for layer in self.layers if layer.moe is not None]:
                prepare_for_training(mixtures, config)
                # FSDP needs no declared sharding, and Llama 3's knows dense feed-forwards only.
                Decoder.Config.update_from_config(self, config=config, **kwargs)
                return
            Llama3Model.Config.update_from_config(self, config=config, **kwargs)
            for layer in self.layers:
                _shard_head_norms(layer.attention)

        def get_nparams_and_flops(self, model: nn.Module, seq_len: int) -> tuple[int, int]:
            """Return stored parameters and training FLOPs per token.

            TorchTitan's own count, 6 times stored parameters, is 2.6 times too low for MobiLlama 0.5B; it supposes
            ``head_dim * heads == dim``, and counts causal attention twice.
            """
            stored = sum(parameter.numel() for parameter in model.parameters())
            return stored, int(self.flops_per_token(seq_len))

    def __init__(self, config: Config) -> None:
        super().__init__(config)
        self.sliding_window = config.sliding_window
        groups = {layer.ffn_group: layer.feed_forward for layer in config.layers if layer.ffn_group is not None}
        if groups:
            self.shared_ffns = ModuleDict({name: feed_forward.build() for name, feed_forward in groups.items()})
        for layer, block in zip(config.layers, self.layers.values(), strict=True):
            if layer.ffn_group is not None:
                block.borrow(self.shared_ffns[layer.ffn_group])

    def forward(
        self,
        tokens: torch.Tensor,
        positions: torch.Tensor | None = None,
        attention_masks: AttentionMasksType | None = None,
    ) -> torch.Tensor:
        """Return the logits.

        Args:
            attention_masks: What the attention takes. An additive mask is narrowed for local layers here, once.
        """
        if self.sliding_window is not None and isinstance(attention_masks, torch.Tensor):
            local_B1LL = window_mask(attention_masks, self.sliding_window)
            attention_masks = {GLOBAL_MASK: attention_masks, LOCAL_MASK: local_B1LL}  # type: ignore[dict-item]
        return super().forward(tokens, positions, attention_masks)

    def get_attention_masks(self, positions: torch.Tensor) -> AttentionMasksType | None:
        """Return FlexAttention's masks: one, or with local layers one for each kind of layer."""
        attention = self.config.first_attention
        if self.sliding_window is None or not isinstance(attention.inner_attention, FlexAttention.Config):
            return super().get_attention_masks(positions)
        mods = [get_causal_mask_mod(), get_efficient_causal_mask_mod_for_packed_document(positions)]
        local = [*mods, get_sliding_window_mask_mod(self.sliding_window)]
        return {
            GLOBAL_MASK: self._create_flex_attention_mask(positions, attention, mods),
            LOCAL_MASK: self._create_flex_attention_mask(positions, attention, local),
        }


def _shard_head_norms(attention: Any) -> None:
    """Declare the sharding of query and key norms over tensor-parallel ranks, as TorchTitan's Qwen 3 does."""
    import spmd_types as spmd
    from torchtitan.models.common.decoder_sharding import dense_activation_placement, dense_param_placement
    from torchtitan.protocols.sharding import ShardingConfig

    if attention.qk_norm is None:
        return
    heads = dense_activation_placement(tp=spmd.S(2))
    attention.qk_norm.sharding_config = ShardingConfig(
        state_shardings={"weight": dense_param_placement(tp=spmd.R)},
        in_src_shardings={"input": heads},
        in_dst_shardings={"input": heads},
        out_src_shardings=heads,
        out_dst_shardings=heads,
    )


def decoder_config(
    config: DecoderConfig, *, inner_attention: Any, flops_per_token: Callable[[int], float]
) -> DecoderModel.Config:
    """Return TorchTitan's configuration of the model.

    Args:
        config: Dimensions and parts, which :meth:`core.interfaces.Architecture.check_training` has let through.
        inner_attention: TorchTitan's attention, chosen by the trainer.
        flops_per_token: Training FLOPs per token for a sequence length in tokens.

    Raises:
        core.errors.ConfigError: the activation is no elementwise function.
    """
    hidden, vocab = config.hidden_size, config.resolved_vocab_size
    normal = {"weight": partial(nn.init.normal_, std=config.initializer_range)}
    shared = {name: _feed_forward(config) for name in config.layer_groups if name is not None}
    kinds, of_experts = config.layer_types, config.moe_layers

    def block(layer: int) -> DecoderBlock.Config:
        group = config.layer_groups[layer]
        return DecoderBlock.Config(
            attention_norm=_norm(hidden, config),
            ffn_norm=_norm(hidden, config),
            attention=_attention(config, inner_attention, rotary=config.rope_layers[layer]),
            feed_forward=None if of_experts[layer] else _feed_forward(config) if group is None else shared[group],
            moe=mixture_config(config) if of_experts[layer] else None,
            ffn_group=group,
            shortcuts=tuple(_shortcut(config) for _ in range(config.augmented_shortcuts)),
            is_local=kinds[layer] == "sliding_attention",
        )

    return DecoderModel.Config(
        dim=hidden,
        vocab_size=vocab,
        enable_weight_tying=config.tie_word_embeddings,
        tok_embeddings=Embedding.Config(
            num_embeddings=vocab,
            embedding_dim=hidden,
            param_init={"weight": skip_param_init} if config.tie_word_embeddings else normal,
        ),
        norm=_norm(hidden, config),
        lm_head=Linear.Config(in_features=hidden, out_features=vocab, param_init=normal),
        layers=[block(layer) for layer in range(config.num_hidden_layers)],
        flops_per_token=flops_per_token,
        sliding_window=config.sliding_window if "sliding_attention" in kinds else None,
    )


def _norm(width: int, config: DecoderConfig) -> RMSNorm.Config:
    return RMSNorm.Config(normalized_shape=width, eps=config.rms_norm_eps, param_init={"weight": nn.init.ones_})


def _attention(config: DecoderConfig, inner_attention: Any, *, rotary: bool) -> GQAttention.Config:
    normal = {"weight": partial(nn.init.normal_, std=config.initializer_range), "bias": nn.init.zeros_}
    attention = make_gqa_config(
        dim=config.hidden_size,
        n_heads=config.num_attention_heads,
        n_kv_heads=config.num_key_value_heads,
        head_dim=config.resolved_head_dim,
        wqkv_param_init=normal,
        wo_param_init={"weight": partial(nn.init.normal_, std=config.residual_std)},
        qk_norm=_norm(config.resolved_head_dim, config) if config.qk_norm else None,
        inner_attention=inner_attention,
        rope=_rope(config, rotary),
    )
    attention.qkv_linear.wq.bias = attention.qkv_linear.wkv.bias = config.qkv_bias  # type: ignore[attr-defined]
    return attention


def _rope(config: DecoderConfig, rotary: bool) -> RoPE.Config:
    dimensions = {
        "dim": config.resolved_head_dim,
        "max_seq_len": config.max_position_embeddings,
        "theta": config.rope_theta,
    }
    if not rotary:
        return NoRoPE.Config(**dimensions)
    if config.rope_scaling in ("none", "dynamic"):
        # Cosines and sines of half-split pairs are Hugging Face's layout: no permutation in the adapter, so weights
        # sharded in any way convert by renaming alone. Dynamic scaling changes nothing up to the original length.
        return CosSinRoPE.Config(**dimensions)
    from transformers.modeling_rope_utils import ROPE_INIT_FUNCTIONS

    from smallwright_decoder.hf_choice import hf_config

    with torch.device("cpu"):
        frequencies, factor = ROPE_INIT_FUNCTIONS[config.rope_scaling](hf_config(config))
    return ScaledRoPE.Config(
        **dimensions, inverse_frequencies=tuple(frequencies.tolist()), attention_factor=float(factor)
    )


def _feed_forward(config: DecoderConfig) -> FeedForward.Config:
    normal = {"weight": partial(nn.init.normal_, std=config.initializer_range)}
    feed_forward = make_ffn_config(
        dim=config.hidden_size, hidden_dim=config.intermediate_size, w1_param_init=normal, w2w3_param_init=normal
    )
    feed_forward.w2.param_init = {"weight": partial(nn.init.normal_, std=config.residual_std)}
    if config.activation == "silu" and config.series_activation == 1:
        return feed_forward
    from smallwright_decoder.hf import activation_function

    try:
        activation: Any = activation_function(config.activation)
    except ValueError as error:
        raise ConfigError(f"arch.{error}") from error
    check_elementwise(config.activation, activation)
    if config.series_activation > 1:
        activation = SeriesActivation.Config(
            terms=config.series_activation,
            function=activation,
            param_init={
                "scale": partial(first_term_leads, std=config.initializer_range),
                "shift": nn.init.zeros_,
            },
        )
    return GatedFeedForward.Config(w1=feed_forward.w1, w2=feed_forward.w2, w3=feed_forward.w3, activation=activation)


def _shortcut(config: DecoderConfig) -> AugmentedShortcut.Config:
    hidden, narrow = config.hidden_size, config.hidden_size // config.shortcut_reduction
    into_stream = nn.init.zeros_ if config.shortcut_zero_init else partial(nn.init.normal_, std=config.residual_std)
    normal = partial(nn.init.normal_, std=config.initializer_range)
    return AugmentedShortcut.Config(
        down=Linear.Config(in_features=hidden, out_features=narrow, param_init={"weight": normal}),
        up=Linear.Config(in_features=narrow, out_features=hidden, param_init={"weight": into_stream}),
    )

"""TorchTitan face: Llama 3 blocks around one feed-forward network that the model owns."""

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

import torch
import torch.nn as nn
from core.errors import ConfigError
from torchtitan.models.common import CosSinRoPE, Embedding, Linear, RMSNorm
from torchtitan.models.common.attention import AttentionMasksType
from torchtitan.models.common.config_utils import make_ffn_config, make_gqa_config
from torchtitan.models.common.decoder import Decoder, TransformerBlock
from torchtitan.models.common.feed_forward import FeedForward
from torchtitan.models.common.param_init import skip_param_init
from torchtitan.models.llama3.model import Llama3Model

if TYPE_CHECKING:
    from smallwright_shared_ffn.architecture import SharedFFN

# Shape suffixes: B batch, L sequence, D hidden.


class SharedFFNBlock(TransformerBlock):
    """A Llama 3 block that uses the model's feed-forward network without owning it."""

    @dataclass(kw_only=True, slots=True)
    class Config(TransformerBlock.Config):
        """A block's; ``feed_forward`` is the same object in every block, and the model builds it."""

    def __init__(self, config: Config) -> None:
        super().__init__()
        self.attention = config.attention.build()
        self.attention_norm = config.attention_norm.build()
        self.ffn_norm = config.ffn_norm.build()
        self._borrowed: tuple[FeedForward, ...] = ()

    def borrow(self, feed_forward: FeedForward) -> None:
        """Use ``feed_forward``, without it becoming a child of this block.

        A child would be sharded with the block: gathered and reduced once per layer, or, met first by the last
        block, never found by the root FSDP unit.
        """
        self._borrowed = (feed_forward,)

    def forward(
        self, x_BLD: torch.Tensor, attention_masks: AttentionMasksType | None, positions: torch.Tensor | None = None
    ) -> torch.Tensor:
        """Return the residual stream, shape (B, L, D), after attention and the shared feed-forward."""
        h_BLD = x_BLD + self.attention(self.attention_norm(x_BLD), attention_masks, positions)
        return h_BLD + self._borrowed[0](self.ffn_norm(h_BLD))


class SharedFFNModel(Decoder):
    """A decoder whose ``shared_ffn`` is a child of the model itself: part of the root FSDP unit, gathered and
    reduced once per step."""

    @dataclass(kw_only=True, slots=True)
    class Config(Llama3Model.Config):
        """Llama 3's, and what FLOPs per token are computed from."""

        executed_parameters: int
        attention_width: int

        def update_from_config(self, *, config: Any, **kwargs: Any) -> None:
            """Check the parallelism, and take Llama 3's sharding of every part.

            Raises:
                core.errors.ConfigError: for pipeline parallelism: no stage alone can own the shared weights.
            """
            if config.parallelism.pipeline_parallel_degree > 1:
                raise ConfigError(
                    f"pipeline_parallel_degree={config.parallelism.pipeline_parallel_degree}: a shared FFN cannot be "
                    "split over pipeline stages. Set it to 1 and use FSDP or tensor parallelism."
                )
            Llama3Model.Config.update_from_config(self, config=config, **kwargs)

        def get_nparams_and_flops(self, model: nn.Module, seq_len: int) -> tuple[int, int]:
            """Return stored parameters and training FLOPs per token, which follow executed parameters.

            TorchTitan's own count, 6 times stored parameters, is 2.6 times too low for MobiLlama 0.5B.
            """
            stored = sum(parameter.numel() for parameter in model.parameters())
            return stored, 6 * self.executed_parameters + 6 * self.attention_width * seq_len

    def __init__(self, config: Config) -> None:
        super().__init__(config)
        self.shared_ffn = config.layers[0].feed_forward.build()
        for block in self.layers.values():
            block.borrow(self.shared_ffn)


def shared_ffn_config(architecture: "SharedFFN", *, inner_attention: Any, seq_len: int) -> SharedFFNModel.Config:
    """Return the model configuration; see ``Architecture.titan_config``."""
    config = architecture.config
    if seq_len > config.max_position_embeddings:
        raise ConfigError(
            f"arch.max_position_embeddings={config.max_position_embeddings}: shorter than the training sequences. "
            f"Set arch.max_position_embeddings={seq_len}, or train on shorter sequences."
        )
    hidden, vocab = config.hidden_size, config.resolved_vocab_size
    into_stream = {"weight": partial(nn.init.normal_, std=config.residual_std)}
    normal = {"weight": partial(nn.init.normal_, std=config.initializer_range)}
    norm = RMSNorm.Config(normalized_shape=hidden, eps=config.rms_norm_eps, param_init={"weight": nn.init.ones_})
    feed_forward = make_ffn_config(
        dim=hidden, hidden_dim=config.intermediate_size, w1_param_init=normal, w2w3_param_init=normal
    )
    feed_forward.w2.param_init = into_stream

    def block() -> SharedFFNBlock.Config:
        return SharedFFNBlock.Config(
            attention_norm=norm,
            ffn_norm=norm,
            attention=make_gqa_config(
                dim=hidden,
                n_heads=config.num_attention_heads,
                n_kv_heads=config.num_key_value_heads,
                head_dim=config.resolved_head_dim,
                wqkv_param_init=normal,
                wo_param_init=into_stream,
                inner_attention=inner_attention,
                # Cosines and sines of half-split pairs are Hugging Face's layout: no permutation in the adapter,
                # so weights sharded in any way convert by renaming alone.
                rope=CosSinRoPE.Config(
                    dim=config.resolved_head_dim, max_seq_len=config.max_position_embeddings, theta=config.rope_theta
                ),
            ),
            feed_forward=feed_forward,
        )

    return SharedFFNModel.Config(
        dim=hidden,
        vocab_size=vocab,
        enable_weight_tying=config.tie_word_embeddings,
        tok_embeddings=Embedding.Config(
            num_embeddings=vocab,
            embedding_dim=hidden,
            param_init={"weight": skip_param_init} if config.tie_word_embeddings else normal,
        ),
        norm=norm,
        lm_head=Linear.Config(in_features=hidden, out_features=vocab, param_init=normal),
        layers=[block() for _ in range(config.num_hidden_layers)],
        executed_parameters=architecture.executed_parameters(),
        attention_width=architecture.attention_width(),
    )

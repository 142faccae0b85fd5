"""TorchTitan face: its Llama 3 blocks with this configuration's dimensions and initialisation."""

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

import torch.nn as nn
from core.errors import ConfigError
from torchtitan.models.common import CosSinRoPE, Embedding, Linear, RMSNorm
from torchtitan.models.common.config_utils import make_ffn_config, make_gqa_config
from torchtitan.models.common.param_init import skip_param_init
from torchtitan.models.llama3.model import Llama3Model, Llama3TransformerBlock

if TYPE_CHECKING:
    from smallwright_gqa.architecture import GQA


class GQAModel(Llama3Model):
    """TorchTitan's Llama 3, whose FLOPs are the architecture's own count."""

    @dataclass(kw_only=True, slots=True)
    class Config(Llama3Model.Config):
        """Llama 3's, and what FLOPs per token are computed from."""

        executed_parameters: int
        attention_width: int

        def get_nparams_and_flops(self, model: nn.Module, seq_len: int) -> tuple[int, int]:
            """Return stored parameters and training FLOPs per token.

            TorchTitan's own count supposes ``head_dim * heads == dim``, and counts causal attention twice.
            """
            stored = sum(parameter.numel() for parameter in model.parameters())
            return stored, 6 * self.executed_parameters + 6 * self.attention_width * seq_len


def llama3_config(architecture: "GQA", *, inner_attention: Any, seq_len: int) -> GQAModel.Config:
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

    def block() -> Llama3TransformerBlock.Config:
        feed_forward = make_ffn_config(
            dim=hidden, hidden_dim=config.intermediate_size, w1_param_init=normal, w2w3_param_init=normal
        )
        feed_forward.w2.param_init = into_stream
        return Llama3TransformerBlock.Config(
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

    return GQAModel.Config(
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

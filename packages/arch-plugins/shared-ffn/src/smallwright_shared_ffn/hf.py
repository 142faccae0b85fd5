"""Hugging Face face: a Llama with one feed-forward network.

This file is copied into every exported model (``trust_remote_code=True`` loads it where smallwright is not installed),
so it imports nothing but torch and transformers.
"""

from typing import Any

from torch import nn
from transformers import AutoConfig, AutoModelForCausalLM, LlamaConfig, LlamaForCausalLM
from transformers.models.llama.modeling_llama import (
    LlamaAttention,
    LlamaDecoderLayer,
    LlamaMLP,
    LlamaModel,
    LlamaRMSNorm,
    LlamaRotaryEmbedding,
)

MODEL_TYPE = "smallwright_shared_ffn"


class SharedFFNHFConfig(LlamaConfig):
    """Llama's configuration under a model type of its own: stock Llama code must not load these weights."""

    model_type = MODEL_TYPE
    base_model_tp_plan = {
        **{name: plan for name, plan in LlamaConfig.base_model_tp_plan.items() if ".mlp." not in name},
        "shared_ffn.gate_proj": "colwise",
        "shared_ffn.up_proj": "colwise",
        "shared_ffn.down_proj": "rowwise",
    }


class SharedFFNDecoderLayer(LlamaDecoderLayer):
    """A Llama layer that uses the model's feed-forward network without owning it.

    Owning it (a module registered in every layer) would list its weights once per layer in the state dict, and
    ``_tied_weights_keys`` does not help: transformers 5 ignores it when the embeddings are untied.
    """

    def __init__(self, config: LlamaConfig, layer_idx: int, shared_ffn: LlamaMLP) -> None:
        nn.Module.__init__(self)
        self.hidden_size = config.hidden_size
        self.self_attn = LlamaAttention(config=config, layer_idx=layer_idx)
        self.input_layernorm = LlamaRMSNorm(config.hidden_size, eps=config.rms_norm_eps)
        self.post_attention_layernorm = LlamaRMSNorm(config.hidden_size, eps=config.rms_norm_eps)
        # Past nn.Module's __setattr__, which would register it; Llama's forward calls self.mlp.
        object.__setattr__(self, "mlp", shared_ffn)


class SharedFFNModel(LlamaModel):
    """Llama's decoder; ``shared_ffn`` is a child of the model and appears once in its state dict."""

    config: SharedFFNHFConfig
    _no_split_modules = ["SharedFFNDecoderLayer"]

    def __init__(self, config: SharedFFNHFConfig) -> None:
        super(LlamaModel, self).__init__(config)
        self.padding_idx = config.pad_token_id
        self.vocab_size = config.vocab_size
        self.embed_tokens = nn.Embedding(config.vocab_size, config.hidden_size, self.padding_idx)
        self.shared_ffn = LlamaMLP(config)
        self.layers = nn.ModuleList(
            SharedFFNDecoderLayer(config, layer, self.shared_ffn) for layer in range(config.num_hidden_layers)
        )
        self.norm = LlamaRMSNorm(config.hidden_size, eps=config.rms_norm_eps)
        self.rotary_emb = LlamaRotaryEmbedding(config=config)
        self.gradient_checkpointing = False
        self.post_init()


class SharedFFNForCausalLM(LlamaForCausalLM):
    """The decoder with a language-model head; generates, saves and loads like any Hugging Face model."""

    config: SharedFFNHFConfig
    config_class = SharedFFNHFConfig
    _no_split_modules = ["SharedFFNDecoderLayer"]

    def __init__(self, config: SharedFFNHFConfig) -> None:
        super(LlamaForCausalLM, self).__init__(config)
        self.model = SharedFFNModel(config)
        self.vocab_size = config.vocab_size
        self.lm_head = nn.Linear(config.hidden_size, config.vocab_size, bias=False)
        self.post_init()


def shared_ffn_config(config: Any) -> SharedFFNHFConfig:
    """Return the Hugging Face configuration of a ``smallwright_shared_ffn.config.SharedFFNConfig``.

    Token ids are left to whoever has the tokenizer.
    """
    return SharedFFNHFConfig(
        vocab_size=config.resolved_vocab_size,
        hidden_size=config.hidden_size,
        intermediate_size=config.intermediate_size,
        num_hidden_layers=config.num_hidden_layers,
        num_attention_heads=config.num_attention_heads,
        num_key_value_heads=config.num_key_value_heads,
        head_dim=config.resolved_head_dim,
        max_position_embeddings=config.max_position_embeddings,
        rope_parameters={"rope_type": "default", "rope_theta": config.rope_theta},
        rms_norm_eps=config.rms_norm_eps,
        tie_word_embeddings=config.tie_word_embeddings,
        initializer_range=config.initializer_range,
        # Llama's defaults (1 and 2) would stop generation at two arbitrary words of another tokenizer.
        bos_token_id=None,
        eos_token_id=None,
        architectures=["SharedFFNForCausalLM"],
        auto_map={  # type: ignore[call-arg]
            "AutoConfig": "hf.SharedFFNHFConfig",
            "AutoModelForCausalLM": "hf.SharedFFNForCausalLM",
        },
    )


SharedFFNHFConfig.register_for_auto_class()
SharedFFNForCausalLM.register_for_auto_class("AutoModelForCausalLM")
# As the copy inside an exported model this module has another name, and must leave an installed plugin's alone.
if not __name__.startswith("transformers_modules."):
    AutoConfig.register(MODEL_TYPE, SharedFFNHFConfig, exist_ok=True)
    AutoModelForCausalLM.register(SharedFFNHFConfig, SharedFFNForCausalLM, exist_ok=True)

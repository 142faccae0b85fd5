"""Hugging Face face: the stock Llama."""

from transformers import LlamaConfig

from smallwright_gqa.config import GQAConfig


def llama_config(config: GQAConfig) -> LlamaConfig:
    """Return the ``LlamaConfig`` with the dimensions of ``config``; token ids are left to whoever has the tokenizer."""
    return LlamaConfig(
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
        architectures=["LlamaForCausalLM"],
    )

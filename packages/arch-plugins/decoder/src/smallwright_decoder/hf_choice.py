"""Which Hugging Face class a decoder is: a stock one where one computes the same, else ``smallwright_decoder.hf``'s.

A stock class loads everywhere without remote code, and vLLM serves it with its own, faster, class.
"""

from typing import TYPE_CHECKING, Any

from smallwright_decoder.config import DecoderConfig

if TYPE_CHECKING:
    from smallwright_decoder.hf import SmallwrightConfig

# Llama 3.1's constants: wavelengths over original / low are scaled, those under original / high are left.
LLAMA3_FREQUENCIES = {"low_freq_factor": 1.0, "high_freq_factor": 4.0}


def stock_model(config: DecoderConfig) -> str | None:
    """Return the stock class that computes ``config``, or None: the class of ``smallwright_decoder.hf``."""
    return _stock(config, config.layer_groups, config.resolved_head_dim, config.rope_scaling)


def stock_model_of(config: "SmallwrightConfig") -> str | None:
    """Return the stock class that computes an exported model's configuration, or None."""
    rope: Any = config.rope_parameters
    assert config.head_dim is not None
    return _stock(config, config.ffn_groups, config.head_dim, rope["rope_type"])


def _stock(config: Any, groups: Any, head_dim: int, rope_type: str) -> str | None:
    special = (
        "sliding_attention" in config.layer_types
        or not all(config.rope_layers)
        or any(groups)
        or config.activation != "silu"  # vLLM's Llama has no other
        or config.series_activation > 1
        or config.augmented_shortcuts
        or rope_type == "dynamic"  # vLLM's Llama ends its table of positions at the unscaled length
        or (config.qk_norm and config.qkv_bias)  # Qwen3 would add a bias to the output projection too
    )
    if special:
        return None
    if any(config.moe_layers):
        return _stock_mixture(config, head_dim)
    if config.qk_norm:
        return "Qwen3ForCausalLM"
    if config.qkv_bias:  # vLLM's Qwen2 takes the width of a head from the other two
        return "Qwen2ForCausalLM" if head_dim * config.num_attention_heads == config.hidden_size else None
    # Llama's configuration refuses other dimensions, even with head_dim.
    return "LlamaForCausalLM" if config.hidden_size % config.num_attention_heads == 0 else None


def _stock_mixture(config: Any, head_dim: int) -> str | None:
    """Return the stock class with experts: one that has no other part, and lacks none, in Transformers and in vLLM."""
    if config.shared_expert_intermediate_size:
        # vLLM's Qwen2-MoE always has biases, and takes the width of a head from the other two.
        fits = config.qkv_bias and not config.qk_norm and head_dim * config.num_attention_heads == config.hidden_size
        return "Qwen2MoeForCausalLM" if fits else None
    if config.qk_norm:
        return "Qwen3MoeForCausalLM"
    fits = config.norm_topk_prob and all(config.moe_layers) and not config.qkv_bias
    return "MixtralForCausalLM" if fits else None


def hf_model_class(config: DecoderConfig) -> type:
    """Return the ``transformers.PreTrainedModel`` class of ``config``."""
    import transformers

    from smallwright_decoder import hf

    stock = stock_model(config)
    return hf.SmallwrightForCausalLM if stock is None else getattr(transformers, stock)


def hf_config(config: DecoderConfig) -> Any:
    """Return the ``transformers.PretrainedConfig`` of ``config``; token ids are left to whoever has the tokenizer."""
    import transformers

    stock = stock_model(config)
    if stock is None:
        return smallwright_config(config)
    dimensions = _dimensions(config) | {"architectures": [stock]}
    if not stock.startswith("Qwen2"):
        dimensions["head_dim"] = config.resolved_head_dim
    if stock == "MixtralForCausalLM":
        dimensions |= {"intermediate_size": config.expert_size, "num_local_experts": config.num_experts}
        dimensions |= {key: getattr(config, key) for key in ("num_experts_per_tok", "router_aux_loss_coef")}
    elif config.num_experts is not None:
        dimensions |= _experts(config)
    return getattr(transformers, stock).config_class(**dimensions)


def smallwright_config(config: DecoderConfig) -> "SmallwrightConfig":
    """Return our own configuration of ``config``, also where a stock class would do."""
    from smallwright_decoder.hf import SmallwrightConfig

    return SmallwrightConfig(
        **_dimensions(config),
        head_dim=config.resolved_head_dim,
        qk_norm=config.qk_norm,
        qkv_bias=config.qkv_bias,
        layer_types=config.layer_types,
        sliding_window=config.sliding_window,
        rope_layers=config.rope_layers,
        ffn_groups=config.layer_groups,
        activation=config.activation,
        series_activation=config.series_activation,
        augmented_shortcuts=config.augmented_shortcuts,
        shortcut_reduction=config.shortcut_reduction,
        **(_experts(config) if config.num_experts is not None else {}),
        architectures=["SmallwrightForCausalLM"],
        auto_map={  # type: ignore[call-arg]
            "AutoConfig": "hf.SmallwrightConfig",
            "AutoModelForCausalLM": "hf.SmallwrightForCausalLM",
        },
    )


def _dimensions(config: DecoderConfig) -> dict[str, Any]:
    rope_parameters, longest = _rope_parameters(config)
    return {
        "vocab_size": config.resolved_vocab_size,
        "hidden_size": config.hidden_size,
        "intermediate_size": config.intermediate_size,
        "num_hidden_layers": config.num_hidden_layers,
        "num_attention_heads": config.num_attention_heads,
        "num_key_value_heads": config.num_key_value_heads,
        "max_position_embeddings": longest,
        "rope_parameters": rope_parameters,
        "rms_norm_eps": config.rms_norm_eps,
        "tie_word_embeddings": config.tie_word_embeddings,
        "initializer_range": config.initializer_range,
        # Llama's defaults (1 and 2) would stop generation at two arbitrary words of another tokenizer.
        "bos_token_id": None,
        "eos_token_id": None,
    }


def _experts(config: DecoderConfig) -> dict[str, Any]:
    shared = config.shared_expert_intermediate_size
    return {
        "num_experts": config.num_experts,
        "num_experts_per_tok": config.num_experts_per_tok,
        "moe_intermediate_size": config.expert_size,
        "norm_topk_prob": config.norm_topk_prob,
        "mlp_only_layers": list(config.mlp_only_layers),
        "router_aux_loss_coef": config.router_aux_loss_coef,
        **({} if shared is None else {"shared_expert_intermediate_size": shared}),
    }


def _rope_parameters(config: DecoderConfig) -> tuple[dict[str, Any], int]:
    """Return Transformers' parameters of RoPE, and its ``max_position_embeddings``.

    For dynamic scaling Transformers means by the latter the length from which it scales, and vLLM multiplies it by
    the factor to know how long it may serve.
    """
    longest, factor = config.max_position_embeddings, config.rope_factor
    if config.rope_scaling == "none":
        return {"rope_type": "default", "rope_theta": config.rope_theta}, longest
    original = config.rope_original_max_position or int(longest / factor)
    scaling = {"rope_type": config.rope_scaling, "rope_theta": config.rope_theta, "factor": factor}
    if config.rope_scaling == "dynamic":
        return scaling, original
    scaling["original_max_position_embeddings"] = original
    return scaling | (LLAMA3_FREQUENCIES if config.rope_scaling == "llama3" else {}), longest

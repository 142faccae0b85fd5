"""Hugging Face face: Llama, and the parts that a decoder of smallwright can add to it.

A copy is in every exported model that needs it (``trust_remote_code=True`` loads it without smallwright), so it imports
nothing but torch, transformers and what transformers itself needs.
"""

import dataclasses
import importlib
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from huggingface_hub.dataclasses import strict
from torch import nn
from transformers import AutoConfig, AutoModelForCausalLM, LlamaConfig, LlamaForCausalLM, LlamaModel
from transformers import initialization as init
from transformers.cache_utils import Cache, DynamicCache
from transformers.masking_utils import create_causal_mask, create_sliding_window_causal_mask
from transformers.modeling_outputs import BaseModelOutputWithPast
from transformers.modeling_utils import ALL_ATTENTION_FUNCTIONS
from transformers.models.llama.modeling_llama import (
    LlamaAttention,
    LlamaDecoderLayer,
    LlamaPreTrainedModel,
    LlamaRMSNorm,
    LlamaRotaryEmbedding,
    apply_rotary_pos_emb,
    eager_attention_forward,
)
from transformers.models.qwen2_moe import modeling_qwen2_moe as qwen2_moe
from transformers.models.qwen3_moe import modeling_qwen3_moe as qwen3_moe
from transformers.utils.generic import merge_with_config_defaults
from transformers.utils.output_capturing import capture_outputs

# Letters of tensor names: B rows, L tokens, D residual stream, N query heads, K key/value heads, H width of a head.

MODEL_TYPE = "smallwright_decoder"


@strict
class SmallwrightConfig(LlamaConfig):
    """Llama's configuration and the parts, under a model type of its own: stock Llama must not load these weights."""

    model_type = MODEL_TYPE

    qk_norm: bool = False
    """RMSNorm over each head of queries and keys, before RoPE."""
    qkv_bias: bool = False
    layer_types: list[str] = dataclasses.field(default_factory=list)
    """For each layer ``full_attention`` or ``sliding_attention``; empty: all full."""
    sliding_window: int | None = None
    """Token i of a sliding layer sees j with i - sliding_window < j <= i."""
    rope_layers: list[bool] = dataclasses.field(default_factory=list)
    """For each layer whether it has RoPE; empty: all."""
    ffn_groups: list[str | None] = dataclasses.field(default_factory=list)
    """For each layer the group whose feed-forward it uses, None for its own; empty: no layer shares."""
    activation: str = "silu"
    """silu, gelu (exact), relu2, or ``module:function``."""
    series_activation: int = 1
    augmented_shortcuts: int = 0
    shortcut_reduction: int = 32
    num_experts: int = 0
    """Experts of a layer; 0: all layers are dense. These keys are Qwen2-MoE's; no shared expert where its size is 0."""
    num_experts_per_tok: int = 2
    moe_intermediate_size: int = 0
    norm_topk_prob: bool = True
    shared_expert_intermediate_size: int = 0
    mlp_only_layers: list[int] = dataclasses.field(default_factory=list)
    router_aux_loss_coef: float = 0.0

    def __post_init__(self, **kwargs: Any) -> None:
        layers = self.num_hidden_layers
        self.layer_types = self.layer_types or ["full_attention"] * layers
        self.rope_layers = self.rope_layers or [True] * layers
        self.ffn_groups = self.ffn_groups or [None] * layers
        self.hidden_act = self.activation
        self.base_model_tp_plan = self._tensor_parallel_plan()  # type: ignore[misc] # as PreTrainedConfig does
        super().__post_init__(**kwargs)

    @property
    def moe_layers(self) -> list[bool]:
        """For each layer whether it has experts."""
        return [self.num_experts > 0 and layer not in self.mlp_only_layers for layer in range(self.num_hidden_layers)]

    def _tensor_parallel_plan(self) -> dict[str, str]:
        """Return Llama's plan with the parts: what every rank holds whole has its gradients added up."""
        plan = {name: style for name, style in LlamaConfig.base_model_tp_plan.items() if ".mlp." not in name}
        groups = sorted({group for group in self.ffn_groups if group is not None})
        for ffn in ["layers.*.mlp", *(f"shared_ffns.{group}" for group in groups)]:
            plan |= {f"{ffn}.gate_proj": "colwise", f"{ffn}.up_proj": "colwise", f"{ffn}.down_proj": "rowwise"}
            if self.series_activation > 1:
                plan |= {f"{ffn}.act_fn.{name}": "replicated_with_grad_allreduce" for name in ("scale", "shift")}
        if self.qk_norm:
            plan |= {f"layers.*.self_attn.{name}": "replicated_with_grad_allreduce" for name in ("q_norm", "k_norm")}
        return plan

    def validate_architecture(self) -> None:
        """Check the parts; unlike Llama's, ``head_dim`` is free of ``hidden_size``."""
        for key in ("layer_types", "rope_layers", "ffn_groups"):
            if len(getattr(self, key)) != self.num_hidden_layers:
                raise ValueError(f"{key}: {len(getattr(self, key))} values for {self.num_hidden_layers} layers.")
        if "sliding_attention" in self.layer_types and self.sliding_window is None:
            raise ValueError("sliding_window: not set, and layer_types has sliding layers.")
        if self.augmented_shortcuts and self.hidden_size % self.shortcut_reduction:
            raise ValueError(f"shortcut_reduction={self.shortcut_reduction} does not divide {self.hidden_size}.")


def relu2(z: torch.Tensor) -> torch.Tensor:
    """Return the squared ReLU (Primer, arXiv 2109.08668)."""
    return torch.relu(z).square()


ACTIVATIONS: dict[str, Callable[[torch.Tensor], torch.Tensor]] = {
    "silu": nn.functional.silu,
    "gelu": nn.functional.gelu,
    "relu2": relu2,
}


def add_plugin_folders() -> None:
    """Let modules beside the files in ``SMALLWRIGHT_PLUGIN_FILES`` be imported, after everything installed."""
    for file in filter(None, os.environ.get("SMALLWRIGHT_PLUGIN_FILES", "").split(os.pathsep)):
        folder = str(Path(file).resolve().parent)
        if folder not in sys.path:
            sys.path.append(folder)


def activation_function(name: str) -> Callable[[torch.Tensor], torch.Tensor]:
    """Return the elementwise function called ``name``.

    Raises:
        ValueError: it cannot be imported here.
    """
    if name in ACTIVATIONS:
        return ACTIVATIONS[name]
    module, _, function = name.partition(":")
    add_plugin_folders()
    try:
        return getattr(importlib.import_module(module), function)
    except (ImportError, AttributeError, ValueError) as error:
        raise ValueError(
            f"activation={name}: not one of {', '.join(ACTIVATIONS)}, and not importable here ({error}). "
            "Install the package that has it, or put its folder on PYTHONPATH."
        ) from error


class GateActivation(nn.Module):
    """The activation of a feed-forward's gate: plain, or series-informed (PanGu-pi, arXiv 2312.17276, section 4.2).

    The series sum_i act(scale_i z + shift_i) is taken of the gate: the paper does not say where it stands.
    """

    def __init__(self, name: str, terms: int = 1) -> None:
        super().__init__()
        self.function = activation_function(name)
        self.scale = nn.Parameter(torch.ones(terms)) if terms > 1 else None
        self.shift = nn.Parameter(torch.zeros(terms)) if terms > 1 else None

    def forward(self, z: torch.Tensor) -> torch.Tensor:
        """Return the activation of ``z``, in its shape."""
        if self.scale is None or self.shift is None:
            return self.function(z)
        out = self.function(self.scale[0] * z + self.shift[0])
        for scale, shift in zip(self.scale[1:], self.shift[1:], strict=True):
            out = out + self.function(scale * z + shift)
        return out


class SmallwrightMLP(nn.Module):
    """A gated feed-forward: down(act(gate(y)) * up(y))."""

    def __init__(self, config: SmallwrightConfig) -> None:
        super().__init__()
        self.gate_proj = nn.Linear(config.hidden_size, config.intermediate_size, bias=False)
        self.up_proj = nn.Linear(config.hidden_size, config.intermediate_size, bias=False)
        self.down_proj = nn.Linear(config.intermediate_size, config.hidden_size, bias=False)
        self.act_fn = GateActivation(config.activation, config.series_activation)

    def forward(self, y_BLD: torch.Tensor) -> torch.Tensor:
        """Return the feed-forward of ``y_BLD``, shape (B, L, D)."""
        return self.down_proj(self.act_fn(self.gate_proj(y_BLD)) * self.up_proj(y_BLD))


class ShortcutOutput(nn.Linear):
    """A projection with its own initialisation: Transformers asks only modules that hold weights for theirs."""


class AugmentedShortcut(nn.Module):
    """A learned path beside attention, as a bottleneck (PanGu-pi, arXiv 2312.17276, section 4.1)."""

    def __init__(self, config: SmallwrightConfig) -> None:
        super().__init__()
        width = config.hidden_size // config.shortcut_reduction
        self.down_proj = nn.Linear(config.hidden_size, width, bias=False)
        self.up_proj = ShortcutOutput(width, config.hidden_size, bias=False)

    def forward(self, n_BLD: torch.Tensor) -> torch.Tensor:
        """Return the path's output, shape (B, L, D)."""
        return self.up_proj(nn.functional.gelu(self.down_proj(n_BLD)))


class SmallwrightAttention(LlamaAttention):
    """Llama's attention with biases, norms of queries and keys, a window, or without positions."""

    def __init__(self, config: SmallwrightConfig, layer_idx: int) -> None:
        super().__init__(config, layer_idx)
        query, key_value = (n * self.head_dim for n in (config.num_attention_heads, config.num_key_value_heads))
        if config.qkv_bias:  # Llama's attention_bias would give the output projection one too
            self.q_proj = nn.Linear(config.hidden_size, query)
            self.k_proj = nn.Linear(config.hidden_size, key_value)
            self.v_proj = nn.Linear(config.hidden_size, key_value)
        self.q_norm = LlamaRMSNorm(self.head_dim, eps=config.rms_norm_eps) if config.qk_norm else nn.Identity()
        self.k_norm = LlamaRMSNorm(self.head_dim, eps=config.rms_norm_eps) if config.qk_norm else nn.Identity()
        self.sliding_window = config.sliding_window if config.layer_types[layer_idx] == "sliding_attention" else None

    def forward(  # type: ignore[override]
        self,
        hidden_states: torch.Tensor,
        position_embeddings: tuple[torch.Tensor, torch.Tensor] | None = None,
        attention_mask: torch.Tensor | None = None,
        past_key_values: Cache | None = None,
        **kwargs: Any,
    ) -> tuple[torch.Tensor, torch.Tensor | None]:
        """Return the output, shape (B, L, D), and attention weights where the implementation gives them."""
        shape_BL = hidden_states.shape[:-1]
        q_BNLH = self.q_norm(self.q_proj(hidden_states).view(*shape_BL, -1, self.head_dim)).transpose(1, 2)
        k_BKLH = self.k_norm(self.k_proj(hidden_states).view(*shape_BL, -1, self.head_dim)).transpose(1, 2)
        v_BKLH = self.v_proj(hidden_states).view(*shape_BL, -1, self.head_dim).transpose(1, 2)
        if position_embeddings is not None:
            q_BNLH, k_BKLH = apply_rotary_pos_emb(q_BNLH, k_BKLH, *position_embeddings)
        if past_key_values is not None:
            k_BKLH, v_BKLH = past_key_values.update(k_BKLH, v_BKLH, self.layer_idx)
        attention = ALL_ATTENTION_FUNCTIONS.get_interface(self.config._attn_implementation, eager_attention_forward)
        output_BLNH, weights = attention(
            self,
            q_BNLH,
            k_BKLH,
            v_BKLH,
            attention_mask,
            dropout=self.attention_dropout if self.training else 0.0,
            scaling=self.scaling,
            sliding_window=self.sliding_window,
            **kwargs,
        )
        return self.o_proj(output_BLNH.reshape(*shape_BL, -1).contiguous()), weights


class SmallwrightDecoderLayer(LlamaDecoderLayer):
    """A Llama layer with shortcuts beside attention, and a feed-forward of its own or of its group.

    A group's feed-forward is used without being owned: registered in every layer it would be in the state dict for
    each, and ``_tied_weights_keys`` does not help, which transformers 5 ignores when the embeddings are untied.
    """

    def __init__(self, config: SmallwrightConfig, layer_idx: int, shared_ffn: SmallwrightMLP | None) -> None:
        nn.Module.__init__(self)
        self.hidden_size = config.hidden_size
        self.self_attn = SmallwrightAttention(config, layer_idx)
        self.attention_shortcuts = nn.ModuleList(AugmentedShortcut(config) for _ in range(config.augmented_shortcuts))
        self.input_layernorm = LlamaRMSNorm(config.hidden_size, eps=config.rms_norm_eps)
        self.post_attention_layernorm = LlamaRMSNorm(config.hidden_size, eps=config.rms_norm_eps)
        if config.moe_layers[layer_idx]:
            shared = config.shared_expert_intermediate_size  # Qwen2-MoE always has one, Qwen3-MoE never
            mixture: Any = qwen2_moe.Qwen2MoeSparseMoeBlock if shared else qwen3_moe.Qwen3MoeSparseMoeBlock
            self.mlp = mixture(config)
        elif shared_ffn is None:
            self.mlp = SmallwrightMLP(config)  # type: ignore[assignment]
        else:
            object.__setattr__(self, "mlp", shared_ffn)  # past nn.Module's, which would register it

    def forward(self, hidden_states: torch.Tensor, **kwargs: Any) -> torch.Tensor:  # type: ignore[override]
        """Return the residual stream, shape (B, L, D); a shortcut reads the normed stream, as attention does."""
        normed_BLD = self.input_layernorm(hidden_states)
        attended_BLD, _ = self.self_attn(normed_BLD, **kwargs)
        for shortcut in self.attention_shortcuts:
            attended_BLD = attended_BLD + shortcut(normed_BLD)
        h_BLD = hidden_states + attended_BLD
        return h_BLD + self.mlp(self.post_attention_layernorm(h_BLD))


class SmallwrightPreTrainedModel(LlamaPreTrainedModel):
    """Base of the decoder and of the language model: how the weights of the parts are initialised."""

    config: SmallwrightConfig
    config_class = SmallwrightConfig
    _no_split_modules = ["SmallwrightDecoderLayer"]
    _can_record_outputs = {"hidden_states": SmallwrightDecoderLayer, "attentions": SmallwrightAttention}

    @classmethod
    def _can_set_experts_implementation(cls) -> bool:
        return True  # Transformers looks for its decorator in this file, and would loop over the experts

    @torch.no_grad()
    def _init_weights(self, module: nn.Module) -> None:
        super()._init_weights(module)
        if isinstance(module, GateActivation) and module.scale is not None and module.shift is not None:
            # Next to the plain activation; equal terms would stay equal for ever.
            scale = torch.randn_like(module.scale) * self.config.initializer_range
            scale[0] = 1.0
            init.copy_(module.scale, scale)
            init.zeros_(module.shift)
        elif isinstance(module, ShortcutOutput):
            init.zeros_(module.weight)  # the logits begin as those of the model without shortcuts
        elif type(module).__module__ in (qwen2_moe.__name__, qwen3_moe.__name__):  # experts and routers
            for weight in module.parameters(recurse=False):
                init.normal_(weight, std=self.config.initializer_range)


class SmallwrightModel(SmallwrightPreTrainedModel, LlamaModel):
    """Llama's decoder; a group's feed-forward is a child of the model and appears once in its state dict."""

    def __init__(self, config: SmallwrightConfig) -> None:
        super(LlamaModel, self).__init__(config)
        self.padding_idx = config.pad_token_id
        self.vocab_size = config.vocab_size
        self.embed_tokens = nn.Embedding(config.vocab_size, config.hidden_size, self.padding_idx)
        groups = dict.fromkeys(group for group in config.ffn_groups if group is not None)
        shared = {group: SmallwrightMLP(config) for group in groups}
        self.shared_ffns = nn.ModuleDict(shared)
        self.layers = nn.ModuleList(
            SmallwrightDecoderLayer(config, layer, None if group is None else shared[group])
            for layer, group in enumerate(config.ffn_groups)
        )
        self.norm = LlamaRMSNorm(config.hidden_size, eps=config.rms_norm_eps)
        self.rotary_emb = LlamaRotaryEmbedding(config=config)
        self.gradient_checkpointing = False
        self.post_init()

    @merge_with_config_defaults
    @capture_outputs
    def forward(
        self,
        input_ids: torch.LongTensor | None = None,
        attention_mask: torch.Tensor | dict[str, Any] | None = None,
        position_ids: torch.Tensor | None = None,
        past_key_values: Cache | None = None,
        inputs_embeds: torch.FloatTensor | None = None,
        use_cache: bool | None = None,
        **kwargs: Any,
    ) -> BaseModelOutputWithPast:
        """Return the last hidden states; Llama's forward with a mask for each type of layer."""
        if (input_ids is None) ^ (inputs_embeds is not None):
            raise ValueError("You must specify exactly one of input_ids or inputs_embeds")
        hidden_BLD = self.embed_tokens(input_ids) if inputs_embeds is None else inputs_embeds
        if use_cache and past_key_values is None:
            past_key_values = DynamicCache(config=self.config)
        if position_ids is None:
            seen = past_key_values.get_seq_length() if past_key_values is not None else 0
            position_ids = (torch.arange(hidden_BLD.shape[1], device=hidden_BLD.device) + seen).unsqueeze(0)

        if isinstance(attention_mask, dict):  # generate has made them
            masks = attention_mask
        else:
            makers = {"full_attention": create_causal_mask, "sliding_attention": create_sliding_window_causal_mask}
            masks = {
                layer_type: makers[layer_type](
                    config=self.config,
                    inputs_embeds=hidden_BLD,
                    attention_mask=attention_mask,
                    past_key_values=past_key_values,
                    position_ids=position_ids,
                )
                for layer_type in set(self.config.layer_types)
            }

        rotation = self.rotary_emb(hidden_BLD, position_ids=position_ids)
        for index, layer in enumerate(self.layers[: self.config.num_hidden_layers]):
            hidden_BLD = layer(
                hidden_BLD,
                attention_mask=masks[self.config.layer_types[index]],
                position_embeddings=rotation if self.config.rope_layers[index] else None,
                position_ids=position_ids,
                past_key_values=past_key_values,
                use_cache=use_cache,
                **kwargs,
            )
        return BaseModelOutputWithPast(last_hidden_state=self.norm(hidden_BLD), past_key_values=past_key_values)


class SmallwrightForCausalLM(SmallwrightPreTrainedModel, LlamaForCausalLM):
    """The decoder with a language-model head; generates, saves and loads like any Hugging Face model."""

    def __init__(self, config: SmallwrightConfig) -> None:
        super(LlamaForCausalLM, self).__init__(config)
        self.model = SmallwrightModel(config)
        self.vocab_size = config.vocab_size
        self.lm_head = nn.Linear(config.hidden_size, config.vocab_size, bias=False)
        self.post_init()


SmallwrightConfig.register_for_auto_class()
SmallwrightForCausalLM.register_for_auto_class("AutoModelForCausalLM")
# As the copy inside an exported model this module has another name, and must leave an installed package's alone.
if not __name__.startswith("transformers_modules."):
    AutoConfig.register(MODEL_TYPE, SmallwrightConfig, exist_ok=True)
    AutoModelForCausalLM.register(SmallwrightConfig, SmallwrightForCausalLM, exist_ok=True)

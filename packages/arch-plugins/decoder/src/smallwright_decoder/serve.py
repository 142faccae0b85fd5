"""vLLM face: its Llama with the parts of a decoder, and one feed-forward in memory for each group that shares one.

Letters of tensor names: docs/architectures.md; A, C and F are this tensor-parallel rank's part.
"""

import copy
import re
from collections.abc import Iterable, Iterator
from typing import Any

import torch
from torch import nn
from vllm.config import VllmConfig, get_current_vllm_config
from vllm.model_executor.layers.layernorm import RMSNorm
from vllm.model_executor.layers.linear import ReplicatedLinear
from vllm.model_executor.layers.rotary_embedding import get_rope
from vllm.model_executor.models.llama import (
    LlamaAttention,
    LlamaDecoderLayer,
    LlamaForCausalLM,
    LlamaMLP,
    LlamaModel,
)
from vllm.model_executor.models.qwen3_moe import Qwen3MoeSparseMoeBlock
from vllm.model_executor.models.utils import PPMissingLayer, WeightsMapper, extract_layer_index, maybe_prefix

from smallwright_decoder import hf

# Llama's mapper joins every gate_proj and up_proj; a shortcut's up_proj is not half of anything.
WEIGHT_NAMES = LlamaModel.hf_to_vllm_mapper | WeightsMapper(
    orig_to_new_regex={re.compile(r"(attention_shortcuts\.\d+)\.(down|up)_proj\."): r"\1.\2."}
)


class GateActivationAndMul(hf.GateActivation):
    """The activation of the first half times the second half."""

    def forward(self, z: torch.Tensor) -> torch.Tensor:
        """Return act(gate) * up, shape (T, F), of both side by side, shape (T, 2F)."""
        gate_TF, up_TF = z.chunk(2, dim=-1)
        return super().forward(gate_TF) * up_TF


class SmallwrightMLP(LlamaMLP):
    """Llama's feed-forward, with vLLM's fused SwiGLU where the activation is the plain one."""

    def __init__(self, config: Any, quant_config: Any, prefix: str) -> None:
        super().__init__(
            hidden_size=config.hidden_size,
            intermediate_size=config.intermediate_size,
            hidden_act="silu",
            quant_config=quant_config,
            prefix=prefix,
        )
        if config.activation != "silu" or config.series_activation > 1:
            self.act_fn = GateActivationAndMul(  # type: ignore[assignment] # called the same way
                config.activation, config.series_activation
            )


class AugmentedShortcut(nn.Module):
    """A learned path beside attention; whole on every rank: too small to be worth a sum over ranks."""

    def __init__(self, config: Any, quant_config: Any, prefix: str) -> None:
        super().__init__()
        hidden, width = config.hidden_size, config.hidden_size // config.shortcut_reduction
        options = {"bias": False, "quant_config": quant_config, "return_bias": False}
        self.down = ReplicatedLinear(hidden, width, prefix=f"{prefix}.down_proj", **options)
        self.up = ReplicatedLinear(width, hidden, prefix=f"{prefix}.up_proj", **options)

    def forward(self, n_TD: torch.Tensor) -> torch.Tensor:
        """Return the path's output, shape (T, D)."""
        return self.up(nn.functional.gelu(self.down(n_TD)))


class SmallwrightAttention(LlamaAttention):
    """Llama's attention, which knows windows and biases, with norms of queries and keys, or without positions."""

    def __init__(self, config: Any, prefix: str, **kwargs: Any) -> None:
        super().__init__(config=config, prefix=prefix, **kwargs)
        self.has_rope = config.rope_layers[extract_layer_index(prefix)]
        self.q_norm = RMSNorm(self.head_dim, eps=config.rms_norm_eps) if config.qk_norm else None
        self.k_norm = RMSNorm(self.head_dim, eps=config.rms_norm_eps) if config.qk_norm else None

    def _init_rotary_emb(self, config: Any, quant_config: Any) -> None:
        parameters, longest = dict(config.rope_parameters), self.max_position_embeddings
        if parameters["rope_type"] == "dynamic":
            # Transformers scales by the length of each batch. A server has one table for all sequences: scaled for
            # the longest it serves, which is not at all where that is within the original length.
            parameters["max_trained_positions"] = longest
            longest = max(longest, get_current_vllm_config().model_config.max_model_len)
        self.rotary_emb = get_rope(self.head_dim, max_position=longest, rope_parameters=parameters)

    def forward(self, positions: torch.Tensor, hidden_states: torch.Tensor) -> torch.Tensor:
        """Return the output, shape (T, D)."""
        qkv, _ = self.qkv_proj(hidden_states)
        q_TA, k_TC, v_TC = qkv.split([self.q_size, self.kv_size, self.kv_size], dim=-1)
        if self.q_norm is not None and self.k_norm is not None:
            q_TA = self.q_norm(q_TA.unflatten(-1, (-1, self.head_dim))).flatten(-2)
            k_TC = self.k_norm(k_TC.unflatten(-1, (-1, self.head_dim))).flatten(-2)
        if self.has_rope:
            q_TA, k_TC = self.rotary_emb(positions, q_TA, k_TC)
        output_TD, _ = self.o_proj(self.attn(q_TA, k_TC, v_TC))
        return output_TD


class SmallwrightDecoderLayer(LlamaDecoderLayer):
    """A Llama layer with shortcuts beside attention; a feed-forward that layers share is lent by the model."""

    def __init__(self, vllm_config: VllmConfig, prefix: str = "", config: Any = None) -> None:
        nn.Module.__init__(self)  # Llama's would build a feed-forward, and refuses other activations
        config = config or vllm_config.model_config.hf_config
        quant_config = self.get_quant_config(vllm_config)
        self.hidden_size = config.hidden_size
        self.self_attn = SmallwrightAttention(
            config=config,
            hidden_size=config.hidden_size,
            num_heads=config.num_attention_heads,
            num_kv_heads=config.num_key_value_heads,
            max_position_embeddings=config.max_position_embeddings,
            quant_config=quant_config,
            bias=config.qkv_bias,
            cache_config=vllm_config.cache_config,
            prefix=f"{prefix}.self_attn",
        )
        self.attention_shortcuts = nn.ModuleList(
            AugmentedShortcut(config, quant_config, f"{prefix}.attention_shortcuts.{index}")
            for index in range(config.augmented_shortcuts)
        )
        layer = extract_layer_index(prefix)
        self.ffn_group = config.ffn_groups[layer]
        if config.moe_layers[layer]:
            # With a shared expert where the configuration has one: as in vLLM's Qwen2-MoE.
            self.mlp = Qwen3MoeSparseMoeBlock(vllm_config, f"{prefix}.mlp")  # type: ignore[assignment]
        elif self.ffn_group is None:
            self.mlp = SmallwrightMLP(config, quant_config, f"{prefix}.mlp")
        self.input_layernorm = RMSNorm(config.hidden_size, eps=config.rms_norm_eps)
        self.post_attention_layernorm = RMSNorm(config.hidden_size, eps=config.rms_norm_eps)

    def forward(
        self, positions: torch.Tensor, hidden_states: torch.Tensor, residual: torch.Tensor | None
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Return the feed-forward's output and the stream that it is to be added to, shapes (T, D)."""
        if residual is None:
            residual, normed_TD = hidden_states, self.input_layernorm(hidden_states)
        else:
            normed_TD, residual = self.input_layernorm(hidden_states, residual)
        attended_TD = self.self_attn(positions=positions, hidden_states=normed_TD)
        for shortcut in self.attention_shortcuts:
            attended_TD = attended_TD + shortcut(normed_TD)
        hidden_states, residual = self.post_attention_layernorm(attended_TD, residual)
        return self.mlp(hidden_states), residual


class SmallwrightForCausalLM(LlamaForCausalLM):
    """vLLM's Llama of these layers; the checkpoint, and memory, hold what a group shares once."""

    hf_to_vllm_mapper = WEIGHT_NAMES

    def __init__(self, *, vllm_config: VllmConfig, prefix: str = "") -> None:
        super().__init__(vllm_config=vllm_config, prefix=prefix, layer_type=SmallwrightDecoderLayer)
        # Later calls of load_weights (a trainer's updates) may bring some of the weights only.
        self._to_be_completed = vllm_config.load_config.load_format != "dummy"

    def _init_model(
        self, vllm_config: VllmConfig, prefix: str = "", layer_type: type[nn.Module] = SmallwrightDecoderLayer
    ) -> nn.Module:
        config = vllm_config.model_config.hf_config
        model = super()._init_model(vllm_config, prefix=prefix, layer_type=layer_type)
        model.hf_to_vllm_mapper = WEIGHT_NAMES
        borrowers = [layer for layer in model.layers if isinstance(layer, SmallwrightDecoderLayer)]
        here = {layer.ffn_group for layer in borrowers}
        model.shared_ffns = nn.ModuleDict(
            {
                group: SmallwrightMLP(config, vllm_config.quant_config, maybe_prefix(prefix, f"shared_ffns.{group}"))
                if group in here
                else PPMissingLayer()  # all its layers are on other pipeline ranks
                for group in dict.fromkeys(config.ffn_groups)
                if group is not None
            }
        )
        for layer in borrowers:
            if layer.ffn_group is not None:
                # Past nn.Module's __setattr__, which would register one more owner per layer.
                object.__setattr__(layer, "mlp", model.shared_ffns[layer.ffn_group])
        return model

    def load_weights(self, weights: Iterable[tuple[str, torch.Tensor]]) -> set[str]:
        """Load a checkpoint of Hugging Face's names.

        Raises:
            ValueError: a name that this model does not have, or, in the first call, one that is missing. vLLM alone
                ignores biases that no layer has, and a missing half of a joined projection.
        """
        if self.model.quant_config is not None:  # names are the quantization method's
            return super().load_weights(weights)
        names = checkpoint_names(self.config)
        found: set[str] = set()
        extra: list[str] = []

        def known() -> Iterator[tuple[str, torch.Tensor]]:
            for name, weight in weights:
                if name in names:
                    found.add(name)
                    yield name, weight
                elif not (name == "lm_head.weight" and self.config.tie_word_embeddings):
                    extra.append(name)

        loaded = super().load_weights(known())
        missing = sorted(names - found) if self._to_be_completed else []
        if missing or extra:
            raise ValueError(
                f"the checkpoint is not of this config.json: missing {', '.join(missing) or 'nothing'}; "
                f"without a place {', '.join(sorted(extra)) or 'nothing'}."
            )
        self._to_be_completed = False
        return loaded


def checkpoint_names(config: Any) -> set[str]:
    """Return the names of all weights of a checkpoint of ``config``; a tied output head is not in it."""
    with torch.device("meta"):
        model = hf.SmallwrightForCausalLM(copy.deepcopy(config))
    return {name for name, _ in model.named_parameters()}

"""State-dict adapter: TorchTitan's names to Hugging Face's and back. Tensors are the same, bit for bit.

Experts are the only ones that are put together: Transformers holds their gates and ups as one tensor.
"""

import re
from collections.abc import Iterator, Mapping
from typing import Any

import torch
from core.errors import InputError
from core.weights import compare, shapes, shown
from torchtitan.models.common import Linear
from torchtitan.protocols.state_dict_adapter import StateDictAdapter

from smallwright_decoder.parts import SeriesActivation

Weight = tuple[str, str, tuple[int, ...]]
"""TorchTitan's name, Hugging Face's, and the shape."""

GATE_AND_UP = ("w1_EFD", "w3_EFD")
"""TorchTitan's names of what Transformers calls ``gate_up_proj``: an expert's gate, then its up."""
EXPERT = re.compile(r"(.*\.)(?:mlp|block_sparse_moe)\.experts\.(\d+)\.(gate_proj|up_proj|down_proj|w[123])\.weight")
PARTS = {"w1": "gate_proj", "w2": "down_proj", "w3": "up_proj"}
"""Mixtral's files call the projections so, and the mixture ``block_sparse_moe``."""


class DecoderStateDictAdapter(StateDictAdapter):
    """Rename weights; a tied output head exists in TorchTitan's state and not in Hugging Face's files."""

    def __init__(self, model_config: Any, hf_assets_path: str | None) -> None:
        super().__init__(model_config, hf_assets_path)
        self._tied = model_config.enable_weight_tying
        weights = list(_weights(model_config))
        self._to_hf = {titan: hf for titan, hf, _ in weights}
        self._from_hf = {hf: (titan, shape) for titan, hf, shape in weights}

    def to_hf(self, state_dict: dict[str, Any]) -> dict[str, Any]:
        """Return ``state_dict`` under Hugging Face's names.

        Raises:
            KeyError: a name is no weight of this model.
        """
        tied_head = "lm_head.weight" if self._tied else None
        found: dict[str, Any] = {}
        for name, weight in state_dict.items():
            if name == tied_head or name.endswith(GATE_AND_UP[1]):
                continue
            if name.endswith(GATE_AND_UP[0]):
                weight = torch.cat([weight, state_dict[name.replace(*GATE_AND_UP)]], dim=1)
            found[self._to_hf[name]] = weight
        return found

    def from_hf(self, hf_state_dict: dict[str, Any]) -> dict[str, Any]:
        """Return ``hf_state_dict`` under TorchTitan's names.

        Raises:
            KeyError: names that are no weights of this model.
            core.errors.InputError: weights are missing, or have another shape.
        """
        # Llama checkpoints of long ago hold the frequencies of RoPE; a tied head may be stored beside the embedding.
        ignored = {"lm_head.weight"} if self._tied else set()
        given = {
            name: weight
            for name, weight in _stacked(hf_state_dict).items()
            if name not in ignored and not name.endswith("rotary_emb.inv_freq")
        }
        different = compare(shapes(given), {name: shape for name, (_, shape) in self._from_hf.items()})
        if different.unexpected:
            raise KeyError(shown(different.unexpected))
        if different:
            raise InputError(f"{different}. Give all weights of a model of these settings.")
        state = {}
        for name, weight in given.items():
            titan = self._from_hf[name][0]
            if titan.endswith(GATE_AND_UP[0]):
                weight, state[titan.replace(*GATE_AND_UP)] = weight.chunk(2, dim=1)
            state[titan] = weight
        if self._tied:
            state["lm_head.weight"] = state["tok_embeddings.weight"]
        return state


def _weights(config: Any) -> Iterator[Weight]:
    """Name every weight of a ``DecoderModel.Config``, but a tied head."""
    embedding = (config.tok_embeddings.num_embeddings, config.tok_embeddings.embedding_dim)
    yield "tok_embeddings.weight", "model.embed_tokens.weight", embedding
    yield from _norm("norm", "model.norm", config.norm)
    if not config.enable_weight_tying:
        yield from _linear("lm_head", "lm_head", config.lm_head)
    for index, layer in enumerate(config.layers):
        yield from _layer(f"layers.{index}", f"model.layers.{index}", layer)
    groups = {layer.ffn_group: layer.feed_forward for layer in config.layers if layer.ffn_group is not None}
    for group, feed_forward in groups.items():
        yield from _feed_forward(f"shared_ffns.{group}", f"model.shared_ffns.{group}", feed_forward)


def _layer(titan: str, hf: str, layer: Any) -> Iterator[Weight]:
    attention = layer.attention
    for part, projection in (
        ("q", attention.qkv_linear.wq),
        ("k", attention.qkv_linear.wkv),
        ("v", attention.qkv_linear.wkv),
    ):
        yield from _linear(f"{titan}.attention.qkv_linear.w{part}", f"{hf}.self_attn.{part}_proj", projection)
    yield from _linear(f"{titan}.attention.wo", f"{hf}.self_attn.o_proj", attention.wo)
    if attention.qk_norm is not None:
        for part in ("q_norm", "k_norm"):
            yield from _norm(f"{titan}.attention.{part}", f"{hf}.self_attn.{part}", attention.qk_norm)
    yield from _norm(f"{titan}.attention_norm", f"{hf}.input_layernorm", layer.attention_norm)
    yield from _norm(f"{titan}.ffn_norm", f"{hf}.post_attention_layernorm", layer.ffn_norm)
    if layer.moe is not None:
        yield from _mixture(f"{titan}.moe", f"{hf}.mlp", layer.moe)
    elif layer.ffn_group is None:
        yield from _feed_forward(f"{titan}.feed_forward", f"{hf}.mlp", layer.feed_forward)
    for index, shortcut in enumerate(layer.shortcuts):
        names = f"{titan}.attention_shortcuts.{index}", f"{hf}.attention_shortcuts.{index}"
        yield from _linear(f"{names[0]}.down", f"{names[1]}.down_proj", shortcut.down)
        yield from _linear(f"{names[0]}.up", f"{names[1]}.up_proj", shortcut.up)


def _feed_forward(titan: str, hf: str, feed_forward: Any) -> Iterator[Weight]:
    for part, name in (("w1", "gate_proj"), ("w2", "down_proj"), ("w3", "up_proj")):
        yield from _linear(f"{titan}.{part}", f"{hf}.{name}", getattr(feed_forward, part))
    series = getattr(feed_forward, "activation", None)
    if isinstance(series, SeriesActivation.Config):
        for part in ("scale", "shift"):
            yield f"{titan}.activation.{part}", f"{hf}.act_fn.{part}", (series.terms,)


def _mixture(titan: str, hf: str, mixture: Any) -> Iterator[Weight]:
    experts = mixture.routed_experts.inner_experts
    E, D, F = experts.num_experts, experts.dim, experts.hidden_dim
    names = f"{titan}.routed_experts.inner_experts", f"{hf}.experts"
    yield f"{names[0]}.{GATE_AND_UP[0]}", f"{names[1]}.gate_up_proj", (E, 2 * F, D)
    yield f"{names[0]}.w2_EDF", f"{names[1]}.down_proj", (E, D, F)
    yield from _linear(f"{titan}.router.gate", f"{hf}.gate", mixture.router.gate)
    if mixture.shared_experts is not None:
        yield from _feed_forward(f"{titan}.shared_experts", f"{hf}.shared_expert", mixture.shared_experts)
        yield from _linear(f"{titan}.shared_experts.gate", f"{hf}.shared_expert_gate", mixture.shared_experts.gate)


def _stacked(hf_state_dict: Mapping[str, Any]) -> dict[str, Any]:
    """Return weights as Transformers holds them; the files of its stock classes have each expert's by itself.

    Raises:
        core.errors.InputError: an expert, or one of its projections, is missing.
    """
    state: dict[str, Any] = {}
    experts: dict[str, dict[str, dict[int, Any]]] = {}
    for name, weight in hf_state_dict.items():
        if match := EXPERT.fullmatch(name):
            layer, number, part = match.groups()
            experts.setdefault(f"{layer}mlp.experts", {}).setdefault(PARTS.get(part, part), {})[int(number)] = weight
        else:
            state[name.replace(".block_sparse_moe.gate.", ".mlp.gate.")] = weight
    for prefix, parts in experts.items():
        count = 1 + max(number for found in parts.values() for number in found)
        if missing := [
            f"{prefix}.{number}.{part}.weight"
            for number in range(count)
            for part in PARTS.values()
            if number not in parts.get(part, {})
        ]:
            raise InputError(
                f"missing weights: {', '.join(missing[:4])}, {len(missing)} in all. Give all weights of a model of "
                "these settings."
            )
        stacks = {part: torch.stack([parts[part][number] for number in range(count)]) for part in PARTS.values()}
        state[f"{prefix}.gate_up_proj"] = torch.cat([stacks["gate_proj"], stacks["up_proj"]], dim=1)
        state[f"{prefix}.down_proj"] = stacks["down_proj"]
    return state


def _linear(titan: str, hf: str, linear: Linear.Config) -> Iterator[Weight]:
    yield f"{titan}.weight", f"{hf}.weight", (linear.out_features, linear.in_features)
    if linear.bias:
        yield f"{titan}.bias", f"{hf}.bias", (linear.out_features,)


def _norm(titan: str, hf: str, norm: Any) -> Iterator[Weight]:
    yield f"{titan}.weight", f"{hf}.weight", (norm.normalized_shape,)

"""State-dict adapter: TorchTitan's names to Hugging Face's and back. Tensors are the same, bit for bit."""

from collections.abc import Iterator
from typing import Any

from core.errors import InputError
from torchtitan.models.common import Linear
from torchtitan.protocols.state_dict_adapter import StateDictAdapter

from smallwright_decoder.parts import SeriesActivation

Weight = tuple[str, str, tuple[int, ...]]
"""TorchTitan's name, Hugging Face's, and the shape."""


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
        return {self._to_hf[name]: weight for name, weight in state_dict.items() if name != tied_head}

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
            for name, weight in hf_state_dict.items()
            if name not in ignored and not name.endswith("rotary_emb.inv_freq")
        }
        if unknown := [name for name in given if name not in self._from_hf]:
            raise KeyError(", ".join(unknown[:5]))
        if missing := [name for name in self._from_hf if name not in given]:
            raise InputError(f"weights are missing: {_some(missing)}. Give all of a model of these settings.")
        for name, weight in given.items():
            shape = self._from_hf[name][1]
            if tuple(weight.shape) != shape:
                raise InputError(
                    f"{name} has shape {tuple(weight.shape)}, this model's is {shape}. Give a model of these settings."
                )
        state = {self._from_hf[name][0]: weight for name, weight in given.items()}
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
    if layer.ffn_group is None:
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


def _linear(titan: str, hf: str, linear: Linear.Config) -> Iterator[Weight]:
    yield f"{titan}.weight", f"{hf}.weight", (linear.out_features, linear.in_features)
    if linear.bias:
        yield f"{titan}.bias", f"{hf}.bias", (linear.out_features,)


def _norm(titan: str, hf: str, norm: Any) -> Iterator[Weight]:
    yield f"{titan}.weight", f"{hf}.weight", (norm.normalized_shape,)


def _some(names: list[str]) -> str:
    return ", ".join(names[:5]) + (f" and {len(names) - 5} more" if len(names) > 5 else "")

"""State-dict adapter: TorchTitan's names to Hugging Face's and back. Tensors are the same, bit for bit."""

import re
from typing import Any

from torchtitan.protocols.state_dict_adapter import StateDictAdapter

LAYER_NAMES = {
    "attention.qkv_linear.wq": "self_attn.q_proj",
    "attention.qkv_linear.wk": "self_attn.k_proj",
    "attention.qkv_linear.wv": "self_attn.v_proj",
    "attention.wo": "self_attn.o_proj",
    "attention_norm": "input_layernorm",
    "ffn_norm": "post_attention_layernorm",
}
MODEL_NAMES = {
    "tok_embeddings": "model.embed_tokens",
    "shared_ffn.w1": "model.shared_ffn.gate_proj",
    "shared_ffn.w3": "model.shared_ffn.up_proj",
    "shared_ffn.w2": "model.shared_ffn.down_proj",
    "norm": "model.norm",
    "lm_head": "lm_head",
}


class SharedFFNStateDictAdapter(StateDictAdapter):
    """Rename weights; a tied output head exists in TorchTitan's state and not in Hugging Face's files."""

    def __init__(self, model_config: Any, hf_assets_path: str | None) -> None:
        super().__init__(model_config, hf_assets_path)
        self._tied = model_config.enable_weight_tying
        names = {f"{titan}.weight": f"{hf}.weight" for titan, hf in MODEL_NAMES.items()}
        for layer in range(len(model_config.layers)):
            for titan, hf in LAYER_NAMES.items():
                names[f"layers.{layer}.{titan}.weight"] = f"model.layers.{layer}.{hf}.weight"
        self._to_hf = names
        self._from_hf = {hf: titan for titan, hf in names.items()}

    def to_hf(self, state_dict: dict[str, Any]) -> dict[str, Any]:
        """Return ``state_dict`` under Hugging Face's names; an unknown name is a KeyError."""
        tied_head = "lm_head.weight" if self._tied else None
        return {self._to_hf[name]: weight for name, weight in state_dict.items() if name != tied_head}

    def from_hf(self, hf_state_dict: dict[str, Any]) -> dict[str, Any]:
        """Return ``hf_state_dict`` under TorchTitan's names; an unknown name is a KeyError."""
        state = {
            self._from_hf[name]: weight
            for name, weight in hf_state_dict.items()
            if not re.search(r"rotary_emb\.inv_freq$", name)
        }
        if self._tied:
            state["lm_head.weight"] = state["tok_embeddings.weight"]
        return state

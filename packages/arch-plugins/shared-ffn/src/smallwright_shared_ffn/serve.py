"""vLLM face: its Llama with one feed-forward network in memory, whatever the number of layers."""

from typing import Any

from torch import nn
from vllm.config import VllmConfig
from vllm.model_executor.models.llama import LlamaDecoderLayer, LlamaForCausalLM, LlamaMLP
from vllm.model_executor.models.utils import maybe_prefix


class SharedFFNDecoderLayer(LlamaDecoderLayer):
    """A Llama layer without a feed-forward network of its own; the model lends it one."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        # Freed at once, so that no more than one spare exists at a time while the model is built.
        del self.mlp


class SharedFFNForCausalLM(LlamaForCausalLM):
    """vLLM's Llama whose layers use ``model.shared_ffn``; the checkpoint holds its weights once."""

    def _init_model(
        self, vllm_config: VllmConfig, prefix: str = "", layer_type: type[nn.Module] = SharedFFNDecoderLayer
    ) -> nn.Module:
        config = vllm_config.model_config.hf_config
        model = super()._init_model(vllm_config, prefix=prefix, layer_type=SharedFFNDecoderLayer)
        model.shared_ffn = LlamaMLP(
            hidden_size=config.hidden_size,
            intermediate_size=config.intermediate_size,
            hidden_act=config.hidden_act,
            quant_config=vllm_config.quant_config,
            prefix=maybe_prefix(prefix, "shared_ffn"),
        )
        for layer in model.layers:
            if isinstance(layer, SharedFFNDecoderLayer):
                # Past nn.Module's __setattr__, which would register one more owner per layer.
                object.__setattr__(layer, "mlp", model.shared_ffn)
        return model

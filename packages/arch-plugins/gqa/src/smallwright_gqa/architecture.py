"""The architecture ``gqa``: parameter counts, and the four faces of the model."""

from typing import Any

from core.interfaces import Architecture

from smallwright_gqa.config import GQAConfig


class GQA(Architecture):
    """Llama: RMSNorm before attention and SwiGLU, RoPE, grouped-query attention, no biases."""

    config: GQAConfig

    def _attention(self) -> int:
        c = self.config
        query, key_value = c.num_attention_heads * c.resolved_head_dim, c.num_key_value_heads * c.resolved_head_dim
        return 2 * c.hidden_size * query + 2 * c.hidden_size * key_value

    def _feed_forward(self) -> int:
        return 3 * self.config.hidden_size * self.config.intermediate_size

    def _embedding(self) -> int:
        return self.config.resolved_vocab_size * self.config.hidden_size

    def parameters(self) -> int:
        """Stored parameters: SmolLM2-135M has 134,515,008."""
        c = self.config
        layer = self._attention() + self._feed_forward() + 2 * c.hidden_size
        embeddings = self._embedding() * (1 if c.tie_word_embeddings else 2)
        return embeddings + c.num_hidden_layers * layer + c.hidden_size

    def executed_parameters(self) -> int:
        """Matmul weights used per token: all layers and the output head."""
        return self.config.num_hidden_layers * (self._attention() + self._feed_forward()) + self._embedding()

    def attention_width(self) -> int:
        """Layers times query heads times head dimension."""
        c = self.config
        return c.num_hidden_layers * c.num_attention_heads * c.resolved_head_dim

    def hf_config(self) -> Any:
        """Return the ``LlamaConfig`` of these dimensions."""
        from smallwright_gqa.hf import llama_config

        return llama_config(self.config)

    def hf_model_class(self) -> type:
        """Return ``transformers.LlamaForCausalLM``."""
        from transformers import LlamaForCausalLM

        return LlamaForCausalLM

    def titan_config(self, *, inner_attention: Any, seq_len: int) -> Any:
        """Return a ``Llama3Model.Config`` of these dimensions.

        Raises:
            core.errors.ConfigError: when ``seq_len`` exceeds ``max_position_embeddings``.
        """
        from smallwright_gqa.titan import llama3_config

        return llama3_config(self, inner_attention=inner_attention, seq_len=seq_len)

    def state_dict_adapter(self) -> type:
        """Return the adapter between TorchTitan's names and Hugging Face's."""
        from smallwright_gqa.adapter import GQAStateDictAdapter

        return GQAStateDictAdapter

    def vllm_architecture(self) -> str:
        """Return vLLM's own Llama."""
        return "LlamaForCausalLM"

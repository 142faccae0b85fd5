"""The architecture ``shared_ffn``: parameter counts, and the four faces of the model."""

from typing import Any

from core.interfaces import Architecture

from smallwright_shared_ffn.config import SharedFFNConfig


class SharedFFN(Architecture):
    """A Llama whose layers keep their own attention and norms, and all use one SwiGLU FFN (arXiv 2402.16840 §3)."""

    config: SharedFFNConfig

    def _attention(self) -> int:
        c = self.config
        query, key_value = c.num_attention_heads * c.resolved_head_dim, c.num_key_value_heads * c.resolved_head_dim
        return 2 * c.hidden_size * query + 2 * c.hidden_size * key_value

    def _feed_forward(self) -> int:
        return 3 * self.config.hidden_size * self.config.intermediate_size

    def _embedding(self) -> int:
        return self.config.resolved_vocab_size * self.config.hidden_size

    def parameters(self) -> int:
        """Stored parameters, the FFN once: MobiLlama 0.5B has 534,865,920."""
        c = self.config
        layers = c.num_hidden_layers * (self._attention() + 2 * c.hidden_size)
        embeddings = self._embedding() * (1 if c.tie_word_embeddings else 2)
        return embeddings + layers + self._feed_forward() + c.hidden_size

    def executed_parameters(self) -> int:
        """Matmul weights used per token, the FFN once per layer: 1,195,900,928 for MobiLlama 0.5B."""
        return self.config.num_hidden_layers * (self._attention() + self._feed_forward()) + self._embedding()

    def attention_width(self) -> int:
        """Layers times query heads times head dimension."""
        c = self.config
        return c.num_hidden_layers * c.num_attention_heads * c.resolved_head_dim

    def hf_config(self) -> Any:
        """Return the ``SharedFFNHFConfig`` of these dimensions."""
        from smallwright_shared_ffn.hf import shared_ffn_config

        return shared_ffn_config(self.config)

    def hf_model_class(self) -> type:
        """Return ``SharedFFNForCausalLM``, known to the Auto classes from then on."""
        from smallwright_shared_ffn.hf import SharedFFNForCausalLM

        return SharedFFNForCausalLM

    def titan_config(self, *, inner_attention: Any, seq_len: int) -> Any:
        """Return a ``SharedFFNModel.Config`` of these dimensions.

        Raises:
            core.errors.ConfigError: when ``seq_len`` exceeds ``max_position_embeddings``.
        """
        from smallwright_shared_ffn.titan import shared_ffn_config

        return shared_ffn_config(self, inner_attention=inner_attention, seq_len=seq_len)

    def state_dict_adapter(self) -> type:
        """Return the adapter between TorchTitan's names and Hugging Face's."""
        from smallwright_shared_ffn.adapter import SharedFFNStateDictAdapter

        return SharedFFNStateDictAdapter

    def vllm_architecture(self) -> str:
        """Return the class that this package's ``vllm.general_plugins`` entry point registers."""
        return "SharedFFNForCausalLM"

"""The counts of a decoder, and its four faces; plugins subclass this with a configuration of their own."""

from collections.abc import Mapping
from typing import Any

from core.errors import ConfigError
from core.interfaces import Architecture
from core.weights import ModelFolder, compare

from smallwright_decoder.config import DecoderConfig, check_activation
from smallwright_decoder.from_hf import settings_of
from smallwright_decoder.training import of_size
from smallwright_decoder.weight_shapes import weight_shapes


class DecoderArchitecture(Architecture):
    """A pre-norm decoder of composable parts, see :class:`smallwright_decoder.config.DecoderConfig`."""

    config: DecoderConfig

    @classmethod
    def settings_of(cls, model: ModelFolder) -> dict[str, Any] | None:
        """Return the settings that make exactly a model of the Llama kind; see :mod:`smallwright_decoder.from_hf`."""
        return settings_of(model)

    def training(self) -> Mapping[str, Any] | None:
        """Return how the size was trained; see :mod:`smallwright_decoder.training`."""
        return of_size(self.config)

    def check_weights(self, model: ModelFolder) -> None:
        """Compare the headers of the weights; those of a mixture of experts have too many forms, and are not looked at.

        A head that is tied may be stored beside the embedding, and frequencies of RoPE in checkpoints of long ago.
        """
        c = self.config
        if c.num_experts is not None:
            return
        tied = ("lm_head.weight",) if c.tie_word_embeddings else ()
        found = {
            name: weight.shape
            for name, weight in model.weights().items()
            if name not in tied and not name.endswith("rotary_emb.inv_freq")
        }
        if different := compare(found, weight_shapes(c, c.resolved_head_dim, c.layer_groups)):
            raise model.refusal(f"{different}. Use a complete checkpoint whose config.json is its own.")

    def _attention(self) -> int:
        """Weights of one layer's four projections."""
        c = self.config
        heads = c.num_attention_heads + c.num_key_value_heads
        return 2 * c.hidden_size * heads * c.resolved_head_dim

    def _attention_vectors(self) -> int:
        """Biases and head norms of one layer's attention: stored, and multiplied with no matrix."""
        c = self.config
        biases = (c.num_attention_heads + 2 * c.num_key_value_heads) * c.resolved_head_dim if c.qkv_bias else 0
        return biases + (2 * c.resolved_head_dim if c.qk_norm else 0)

    def _shortcuts(self) -> int:
        """Weights of one layer's shortcuts, down and up."""
        c = self.config
        return c.augmented_shortcuts * 2 * c.hidden_size * (c.hidden_size // c.shortcut_reduction)

    def _feed_forward(self) -> int:
        """Weights of one feed-forward's three projections."""
        return 3 * self.config.hidden_size * self.config.intermediate_size

    def _mixture(self, experts: int) -> int:
        """Weights of one layer's router, shared expert and its gate, and of ``experts`` experts."""
        c = self.config
        router = c.hidden_size * (c.num_experts or 0)
        shared = c.shared_expert_intermediate_size
        beside = 3 * c.hidden_size * shared + c.hidden_size if shared else 0
        return router + beside + experts * 3 * c.hidden_size * c.expert_size

    def _embedding(self) -> int:
        return self.config.resolved_vocab_size * self.config.hidden_size

    def embedding_parameters(self) -> int:
        """Stored parameters of the input embedding and, unless it is tied to that, of the output head."""
        return self._embedding() * (1 if self.config.tie_word_embeddings else 2)

    def parameters(self) -> int:
        """Stored parameters; a tied embedding counts once, and so does a feed-forward that layers share; every expert
        counts."""
        c = self.config
        layer = self._attention() + self._attention_vectors() + self._shortcuts() + 2 * c.hidden_size
        series = 2 * c.series_activation if c.series_activation > 1 else 0
        return (
            self.embedding_parameters()
            + c.num_hidden_layers * layer
            + c.stored_feed_forwards * (self._feed_forward() + series)
            + sum(c.moe_layers) * self._mixture(c.num_experts or 0)
            + c.hidden_size
        )

    def executed_parameters(self) -> int:
        """Matmul weights used per token: of every layer, whether it shares its feed-forward or not, and the head's; of
        experts those that one token uses, and the router."""
        c = self.config
        mixtures = sum(c.moe_layers)
        feed_forwards = (c.num_hidden_layers - mixtures) * self._feed_forward()
        return (
            c.num_hidden_layers * (self._attention() + self._shortcuts())
            + feed_forwards
            + mixtures * self._mixture(c.num_experts_per_tok)
            + self._embedding()
        )

    def shared_parameters(self) -> int:
        """Weights of the feed-forwards that layers share, each counted once."""
        return len(set(self.config.layer_groups) - {None}) * self._feed_forward()

    def layer_parameters(self) -> int:
        """Stored parameters of a layer with a feed-forward of its own, where some share one; else the layers' mean."""
        mean, groups = super().layer_parameters(), self.config.layer_groups
        sharing = len(groups) - groups.count(None)
        return mean + self._feed_forward() * sharing // len(groups) if None in groups else mean

    def activation_values(self, seq_len: int, *, scores: bool) -> tuple[int, ...]:
        """Values that each layer keeps per token for the backward pass; see :meth:`Architecture.activation_values`.

        Norms of queries and keys keep these twice more. A series-informed activation of n terms keeps n more values of
        the feed-forward's width, each augmented shortcut two of its bottleneck's. A mixture of experts keeps, for each
        expert that a token uses, 5 of the expert's width and 3 of the residual width (the row given to it, its output,
        and that times its weight); 5 of the width of a shared expert; and 3 per expert for the router.
        """
        c = self.config
        of_heads = (c.num_attention_heads + c.num_key_value_heads) * c.resolved_head_dim
        values = 6 * c.hidden_size + (4 if c.qk_norm else 2) * of_heads
        values += 2 * c.augmented_shortcuts * (c.hidden_size // c.shortcut_reduction)
        if scores:
            values += c.num_attention_heads * seq_len
        terms = c.series_activation if c.series_activation > 1 else 0
        dense = (4 + terms) * c.intermediate_size
        routed = c.num_experts_per_tok * (5 * c.expert_size + 3 * c.hidden_size)
        mixture = routed + 5 * (c.shared_expert_intermediate_size or 0) + 3 * (c.num_experts or 0)
        return tuple(values + (mixture if has_experts else dense) for has_experts in c.moe_layers)

    def check_training(self, seq_len: int) -> None:
        """Refuse sequences that the positions do not reach, and an activation of a module that is not installed."""
        c = self.config
        if seq_len > c.max_position_embeddings:
            raise ConfigError(
                f"arch.max_position_embeddings={c.max_position_embeddings}: shorter than the training sequences. Set "
                f"arch.max_position_embeddings={seq_len} or pretrain.seq_len={c.max_position_embeddings}."
            )
        if c.rope_scaling == "dynamic" and seq_len > c.original_max_position:
            raise ConfigError(
                "arch.rope_scaling=dynamic: changes with the length of what is served, and cannot be trained on "
                f"{seq_len} tokens. Set pretrain.seq_len={c.original_max_position}, or use yarn."
            )
        check_activation(c.activation)

    def check_split(self, *, tensor: int = 1, context: int = 1, pipeline: int = 1) -> None:
        """Refuse, beside what cannot be split in any model, experts, and shortcuts and activations of PanGu-pi."""
        c = self.config
        degrees = {"tensor_parallel": tensor, "context_parallel": context, "pipeline_parallel": pipeline}
        for key, degree in degrees.items():
            if degree > 1 and c.num_experts is not None:
                raise ConfigError(f"{key}={degree}: experts are split by FSDP only. Set it to 1.")
        if tensor > 1 and (c.augmented_shortcuts or c.series_activation > 1 or c.activation != "silu"):
            raise ConfigError(
                f"tensor_parallel={tensor}: shortcuts, series and activations other than silu are not "
                "split over ranks. Set it to 1 and use FSDP."
            )
        super().check_split(tensor=tensor, context=context, pipeline=pipeline)

    def attention_width(self) -> int:
        """Layers times query heads times head dimension."""
        c = self.config
        return c.num_hidden_layers * c.num_attention_heads * c.resolved_head_dim

    def flops_per_token(self, seq_len: int) -> float:
        """Training FLOPs per token: 6 per executed parameter, and 12 per key that a token sees, layer and query width.

        A token of a causal sequence of T tokens sees T / 2 others on average, and w - w^2 / 2T where its layer has a
        window of w: with w = T that is the same.
        """
        c = self.config
        sums = 0.0
        for kind in c.layer_types:
            window = c.sliding_window if kind == "sliding_attention" else None
            short = window is not None and window < seq_len
            sums += window * (2 - window / seq_len) if short and window else seq_len
        return 6.0 * self.executed_parameters() + 6.0 * c.num_attention_heads * c.resolved_head_dim * sums

    def hf_config(self) -> Any:
        """Return the configuration of a stock class where one computes the same, else a ``SmallwrightConfig``."""
        from smallwright_decoder.hf_choice import hf_config

        return hf_config(self.config)

    def hf_model_class(self) -> type:
        """Return a stock class where one computes the same, else ``SmallwrightForCausalLM``."""
        from smallwright_decoder.hf_choice import hf_model_class

        return hf_model_class(self.config)

    def titan_config(self, *, inner_attention: Any, seq_len: int) -> Any:
        """Return a ``DecoderModel.Config`` of these parts.

        Raises:
            core.errors.ConfigError: see :meth:`check_training`; or the activation is no elementwise function.
        """
        from smallwright_decoder.titan import decoder_config

        self.check_training(seq_len)
        return decoder_config(self.config, inner_attention=inner_attention, flops_per_token=self.flops_per_token)

    def state_dict_adapter(self) -> type:
        """Return the adapter between TorchTitan's names and Hugging Face's."""
        from smallwright_decoder.adapter import DecoderStateDictAdapter

        return DecoderStateDictAdapter

    def vllm_architecture(self) -> str:
        """Return vLLM's class of the stock model, else the one that this library's entry point registers."""
        from smallwright_decoder.hf_choice import stock_model

        return stock_model(self.config) or "SmallwrightForCausalLM"

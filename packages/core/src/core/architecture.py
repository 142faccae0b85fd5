"""What an architecture must answer: a decoder-only language model in four faces, and its counts without torch."""

import math
from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any

from core.errors import ConfigError
from core.weights import ModelFolder


class Architecture(ABC):
    """A decoder-only language model in four faces that must agree: Hugging Face, TorchTitan, adapter, vLLM.

    The module of a subclass imports nothing heavy at its head: planning counts parameters without torch. The faces
    import what they need when called.
    """

    def __init__(self, config: Any) -> None:
        self.config = config

    @classmethod
    def settings_of(cls, model: ModelFolder) -> dict[str, Any] | None:
        """Return the settings with which this architecture is exactly a model that exists, from its ``config.json``.

        Planning asks this of every installed architecture to go on training from a model that was not made here.

        Returns:
            None: the model is of another kind, which is the default.

        Raises:
            core.errors.InputError: the model is of this kind and has a part that this architecture lacks; says which.
        """
        return None

    def check_weights(self, model: ModelFolder) -> None:
        """Refuse, while planning, a model to train on from whose weights are not those of this architecture.

        By default nothing is refused: the trainer finds it when it loads them.

        Args:
            model: A folder whose ``config.json`` gave the settings of this architecture.

        Raises:
            core.errors.InputError: names weights that are missing, have no place, or another shape.
        """
        return

    @abstractmethod
    def parameters(self) -> int:
        """Stored parameters, exact; a tied or shared tensor counts once."""

    @abstractmethod
    def executed_parameters(self) -> int:
        """Matmul parameters executed per token: a feed-forward shared by L layers counts L times, the input
        embedding not at all, the output head once. FLOPs and MFU rest on this number."""

    def flops_per_token(self, seq_len: int) -> float:
        """Training FLOPs per token, forward and backward: 6 per executed parameter, and causal attention once
        (6 * layers * seq_len * query width)."""
        return 6.0 * self.executed_parameters() + 6.0 * self.attention_width() * seq_len

    def training(self) -> Mapping[str, Any] | None:
        """Return how a model of exactly this size was trained by who published it; None: nobody said.

        Returns:
            ``learning_rate`` (the peak), ``batch_tokens`` (an optimizer step's), ``seq_len``, ``warmup_steps``,
            ``micro_batch_size`` (sequences in one forward pass) and ``source``, one line that names the publication.
        """
        return None

    def check_training(self, seq_len: int) -> None:
        """Refuse, while planning and without torch, what cannot be trained on sequences of ``seq_len`` tokens.

        Raises:
            core.errors.ConfigError: names the setting of ``arch``, its value and the fix.
        """
        return

    def check_split(self, *, tensor: int = 1, context: int = 1, pipeline: int = 1) -> None:
        """Refuse, while planning and without torch, ranks that this model cannot be split over.

        Read from Hugging Face's keys; an architecture with parts that cannot be split says so in its own.

        Args:
            tensor: Ranks that split every matrix.
            context: Ranks that split each sequence.
            pipeline: Ranks that split the layers.

        Raises:
            core.errors.ConfigError: the message begins with ``tensor_parallel``, ``context_parallel`` or
                ``pipeline_parallel``.
        """
        heads = getattr(self.config, "num_attention_heads", None) or 1
        kv_heads = getattr(self.config, "num_key_value_heads", None) or heads
        if heads % tensor or kv_heads % tensor:
            common = math.gcd(heads, kv_heads)
            fits = ", ".join(str(ranks) for ranks in range(1, common + 1) if common % ranks == 0)
            raise ConfigError(
                f"tensor_parallel={tensor}: must divide the {heads} heads and the {kv_heads} key/value heads of the "
                f"model. These do: {fits}."
            )
        if context > 1 and self.mask_kinds() > 1:
            raise ConfigError(
                f"context_parallel={context}: layers with a sliding window are not split along the sequence. Set it "
                "to 1."
            )
        if pipeline > 1 and getattr(self.config, "tie_word_embeddings", True):
            raise ConfigError(
                f"pipeline_parallel={pipeline}: the first and the last rank would share the tied embedding. Set it to "
                "1, or arch.tie_word_embeddings=false."
            )
        if pipeline > 1 and self.shared_parameters():
            raise ConfigError(f"pipeline_parallel={pipeline}: ranks would share a feed-forward. Set it to 1.")
        if pipeline > self.layers():
            raise ConfigError(
                f"pipeline_parallel={pipeline}: the model has {self.layers()} layers. Use at most as many."
            )

    @abstractmethod
    def attention_width(self) -> int:
        """Sum over layers of query heads times head dimension."""

    def embedding_parameters(self) -> int:
        """Stored parameters of the input embedding and, unless it is tied to that, of the output head.

        Read from Hugging Face's keys ``hidden_size``, ``vocab_size``, ``tie_word_embeddings``; override where a
        configuration has others.
        """
        tables = 1 if getattr(self.config, "tie_word_embeddings", True) else 2
        return int(tables * self.config.vocab_size * self.config.hidden_size)

    def shared_parameters(self) -> int:
        """Stored parameters that belong to the model and not to one layer, embedding and head aside: 0 by default."""
        return 0

    def layer_parameters(self) -> int:
        """Stored parameters of one layer, for estimates: their mean; override where layers differ much in size."""
        own = self.parameters() - self.embedding_parameters() - self.shared_parameters()
        return own // self.layers()

    def layers(self) -> int:
        """Number of layers: Hugging Face's ``num_hidden_layers``, 1 where the configuration lacks it."""
        return int(getattr(self.config, "num_hidden_layers", None) or 1)

    def residual_width(self) -> int:
        """Width of the residual stream: Hugging Face's ``hidden_size``, 0 where the configuration lacks it."""
        return int(getattr(self.config, "hidden_size", None) or 0)

    def vocab_rows(self) -> int:
        """Rows of the embedding: Hugging Face's ``vocab_size``, 0 where the configuration lacks it."""
        return int(getattr(self.config, "vocab_size", None) or 0)

    def head_width(self) -> int | None:
        """Width of an attention head: ``head_dim``, or ``hidden_size / num_attention_heads``; None: without these."""
        hidden, heads = getattr(self.config, "hidden_size", None), getattr(self.config, "num_attention_heads", None)
        return getattr(self.config, "head_dim", None) or (hidden // heads if hidden and heads else None)

    def context(self) -> int | None:
        """Longest sequence in tokens that the model claims to serve: Hugging Face's ``max_position_embeddings``."""
        return getattr(self.config, "max_position_embeddings", None)

    def mask_kinds(self) -> int:
        """Attention masks that a forward pass needs at once: 2 where ``layer_types`` has sliding layers, else 1."""
        return 2 if "sliding_attention" in (getattr(self.config, "layer_types", None) or ()) else 1

    def activation_values(self, seq_len: int, *, scores: bool) -> tuple[int, ...]:
        """Values that each layer keeps per token for the backward pass, for estimates of memory.

        The default is a pre-norm layer with a gated feed-forward of width ``intermediate_size``, as PyTorch's autograd
        keeps it: 6 values of the residual width (two norms: input, normed, scaled), 2 of the attention width (rotated
        queries, output) and 2 of that of keys and values, and 4 of the feed-forward's width.

        Args:
            seq_len: Training sequence length in tokens.
            scores: Attention keeps its weights, as on a CPU: a value for each query head and token of the sequence.
        """
        layers, hidden, width = self.layers(), self.residual_width(), self.attention_width() // self.layers()
        heads = getattr(self.config, "num_attention_heads", None) or 1
        kv_heads = getattr(self.config, "num_key_value_heads", None) or heads
        values = 6 * hidden + 2 * width + 2 * width * kv_heads // heads
        values += 4 * (getattr(self.config, "intermediate_size", None) or 4 * hidden)
        if scores:
            values += seq_len * heads
        return (values,) * layers

    def kv_cache_bytes(self, tokens: int, bytes_per_value: int = 2) -> int | None:
        """Bytes of the keys and values that one sequence of ``tokens`` keeps while it is generated.

        A layer whose entry in ``layer_types`` is ``sliding_attention`` keeps ``sliding_window`` tokens at most. Read
        from Hugging Face's keys; None where the configuration lacks ``num_hidden_layers`` or ``num_key_value_heads``.

        Args:
            tokens: Context in tokens.
            bytes_per_value: Size of one value of the cache: 2 for bfloat16.
        """
        config = self.config
        layers, heads = getattr(config, "num_hidden_layers", None), getattr(config, "num_key_value_heads", None)
        width = self.head_width()
        if layers is None or heads is None or width is None:
            return None
        window = getattr(config, "sliding_window", None) or tokens
        types = getattr(config, "layer_types", None) or ["full_attention"] * layers
        kept = sum(min(tokens, window) if kind == "sliding_attention" else tokens for kind in types)
        return int(2 * heads * width * kept * bytes_per_value)

    @abstractmethod
    def hf_config(self) -> Any:
        """Return a ``transformers.PretrainedConfig``; its dimensions are this configuration's."""

    @abstractmethod
    def hf_model_class(self) -> type:
        """Return the ``transformers.PreTrainedModel`` class with a language-model head."""

    @abstractmethod
    def titan_config(self, *, inner_attention: Any, seq_len: int) -> Any:
        """Return a ``torchtitan`` ``Decoder.Config``.

        Args:
            inner_attention: TorchTitan attention config, chosen by the trainer for the device (FlexAttention on a
                GPU, matmul-softmax with a document mask on a CPU).
            seq_len: Training sequence length in tokens; the RoPE cache covers at least this.
        """

    @abstractmethod
    def state_dict_adapter(self) -> type:
        """Return a ``torchtitan.protocols.state_dict_adapter.StateDictAdapter`` subclass: ``to_hf``, ``from_hf``."""

    @abstractmethod
    def vllm_architecture(self) -> str:
        """Return the model class name that vLLM serves this with: its own, or one that this plugin's
        ``vllm.general_plugins`` entry point adds."""

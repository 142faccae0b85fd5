"""A model of a family that no plugin has, as planning sees it: Transformers and vLLM load it by its ``config.json``."""

import dataclasses
from typing import Any

from core.architecture import Architecture
from core.errors import ConfigError, InputError
from core.weights import ModelFolder

OLDER = {
    "hidden_size": "n_embd",
    "num_hidden_layers": "n_layer",
    "num_attention_heads": "n_head",
    "max_position_embeddings": "n_positions",
}
"""What GPT-2 and its kin call a key."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class StockConfig:
    """What ``config.json`` of any family says in Hugging Face's words; None where it does not."""

    model_type: str
    vocab_size: int
    hidden_size: int
    num_hidden_layers: int
    num_attention_heads: int
    num_key_value_heads: int | None = None
    head_dim: int | None = None
    intermediate_size: int | None = None
    max_position_embeddings: int | None = None
    tie_word_embeddings: bool = True
    stored_parameters: int | None = None
    """From the headers of the weights; None: they are not here yet."""

    @classmethod
    def of(cls, model: ModelFolder, parameters: int | None) -> "StockConfig":
        """Read ``config.json``.

        Raises:
            InputError: a key that every language model has is missing, or no number.
        """
        written = model.config()
        nested = written.get("text_config")
        described = {**written, **(nested if isinstance(nested, dict) else {}), "model_type": written["model_type"]}
        for key, older in OLDER.items():
            described.setdefault(key, described.get(older))
        values: dict[str, Any] = {"stored_parameters": parameters}
        for field in dataclasses.fields(cls):
            value, needed = described.get(field.name), field.default is dataclasses.MISSING
            if field.name in ("model_type", "tie_word_embeddings", "stored_parameters"):
                continue
            right = type(value) is int and 0 < value < 2**31
            if value is not None and not right:
                raise model.refusal(f"config.json: {field.name}={str(value)[:40]}: must be a whole number above 0.")
            if value is None and needed:
                raise model.refusal(f"config.json: has no {field.name}. Give the folder of a language model.")
            if right:
                values[field.name] = value
        values["tie_word_embeddings"] = described.get("tie_word_embeddings") is not False
        values["model_type"] = described["model_type"]
        return cls(**values)


class StockArchitecture(Architecture):
    """The counts of such a model. It is evaluated and post-trained, and not pretrained: it has none of the faces."""

    config: StockConfig

    def parameters(self) -> int:
        """Stored parameters, from the headers of the weights.

        Raises:
            InputError: the weights are not here yet.
        """
        if self.config.stored_parameters is None:
            raise InputError("model: its weights are not downloaded yet, so they cannot be counted.")
        return self.config.stored_parameters

    def executed_parameters(self) -> int:
        """Stored parameters, without the input embedding where the head is another."""
        table = self.config.vocab_size * self.config.hidden_size
        return self.parameters() - (0 if self.config.tie_word_embeddings else table)

    def attention_width(self) -> int:
        """Layers times query heads times head dimension."""
        return self.config.num_hidden_layers * self.config.num_attention_heads * (self.head_width() or 0)

    def hf_config(self) -> Any:
        """Refuse: the model's own ``config.json`` is its configuration.

        Raises:
            ConfigError: always, as the other faces do; no installed architecture is this model.
        """
        raise ConfigError(f"model: no installed architecture has models of type {self.config.model_type}.")

    def hf_model_class(self) -> type:
        """Refuse: Transformers chooses the class by ``config.json``."""
        return type(self.hf_config())

    def titan_config(self, *, inner_attention: Any, seq_len: int) -> Any:
        """Refuse: it cannot be pretrained."""
        return self.hf_config()

    def state_dict_adapter(self) -> type:
        """Refuse: it cannot be pretrained."""
        return type(self.hf_config())

    def vllm_architecture(self) -> str:
        """Refuse: vLLM chooses the class by ``config.json``."""
        return str(self.hf_config())

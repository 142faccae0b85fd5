"""Settings of the scorers and of the classifier."""

import dataclasses
from typing import Literal

from core.config import setting
from core.errors import ConfigError

HIGHEST = 5
SCORES = tuple(range(HIGHEST + 1))


def _at_least(config: object, **least: float) -> None:
    for name, low in least.items():
        value = getattr(config, name)
        if value is not None and value < low:
            raise ConfigError(f"{name}={value}: must be at least {low}.")


@dataclasses.dataclass(frozen=True, kw_only=True)
class ScoreRulesConfig:
    """Labels by rules: no model, for demonstrations and as a baseline."""

    sample: int | None = setting(1000)
    """Documents to label, those with the smallest hash of their id; null labels all."""
    max_chars: int = setting(20_000)
    """Characters read of each document."""

    def __post_init__(self) -> None:
        _at_least(self, sample=1, max_chars=100)


@dataclasses.dataclass(frozen=True, kw_only=True)
class ScoreLlmConfig:
    """Labels by a language model, served by vLLM in this process with structured output."""

    model: str | None = setting(None, files=True)
    """Hub id or directory of an instruction-tuned model. Required. FineMath used Llama-3.1-70B-Instruct (SmolLM2
    §3.3.2)."""
    revision: str | None = setting(None)
    """Commit of the hub model; pin it to get the same labels again."""
    prompt: str = setting("finemath")
    """``finemath``, ``fineweb_edu``, or the path of a text file with ``{document}`` where the text goes."""
    sample: int | None = setting(1000)
    """Documents to label, those with the smallest hash of their id; null labels all. FineMath labelled about 1M,
    FineWeb-Edu 460,000."""
    max_chars: int = setting(12_000)
    """Characters of each document shown to the model; cut further when ``max_model_len`` asks for it."""
    max_model_len: int = setting(4096)
    """Context of the engine in tokens: prompt, document and reply."""
    justification: bool = setting(True)
    """The model writes a short reason before the score, as FineMath's and FineWeb-Edu's annotators did; without it
    the reply is one digit, which is several times faster."""
    justification_chars: int = setting(500)
    """Longest reason in characters (the papers ask for at most 100 words)."""
    dtype: Literal["auto", "bfloat16", "float16", "float32"] = setting("auto")
    """Type of the weights in the engine; auto takes the model's."""
    tensor_parallel_size: int = setting(1, identity=False)
    """GPUs that share the model."""
    gpu_memory_utilization: float = setting(0.9, identity=False)
    """Share of a GPU's memory that the engine may take."""
    enforce_eager: bool | None = setting(None, identity=False)
    """Skip graph capture and compilation; null: on a CPU only."""
    batch: int = setting(256, identity=False)
    """Documents handed to the engine at once; labels are saved after each batch."""
    seed: int = setting(0)
    """Seed of the engine. Decoding is greedy."""

    def __post_init__(self) -> None:
        if not self.model:
            raise ConfigError(
                "model: not set. Name the model that labels the documents: data.scorer.model=<hub id or path>."
            )
        _at_least(
            self, sample=1, max_chars=100, max_model_len=64, justification_chars=20, batch=1, tensor_parallel_size=1
        )
        if not 0 < self.gpu_memory_utilization <= 1:
            raise ConfigError(f"gpu_memory_utilization={self.gpu_memory_utilization}: must be above 0 and at most 1.")


@dataclasses.dataclass(frozen=True, kw_only=True)
class ClassifierConfig:
    """A small regression model distilled from the labels, that scores every document."""

    word_ngrams: int = setting(2)
    """Longest run of words and signs that is a feature."""
    features: int = setting(2**18)
    """Hash buckets for the features."""
    max_chars: int = setting(10_000)
    """Characters read of each document."""
    regularization: float = setting(0.3)
    """Ridge penalty on the weights."""
    balance: float = setting(0.5)
    """How far rare labels are weighted up: 0 not at all, 1 until each label weighs the same. FineMath upsampled maths
    pages among its labelled pages instead (finemath-classifier card)."""
    validation_fraction: float = setting(0.1)
    """Share of the labels of each value held out to measure the classifier. FineWeb-Edu held out 10 %."""
    binary_threshold: int = setting(3)
    """Score from which a document counts as good in the report's binary F1."""
    min_labels: int = setting(50)
    """Fewer labelled documents than this are refused."""

    def __post_init__(self) -> None:
        _at_least(self, word_ngrams=1, features=1024, max_chars=100, regularization=1e-3, balance=0, min_labels=10)
        if self.balance > 1:
            raise ConfigError(f"balance={self.balance}: must be at most 1.")
        if not 0 < self.validation_fraction < 1:
            raise ConfigError(f"validation_fraction={self.validation_fraction}: must lie between 0 and 1.")
        if self.binary_threshold not in SCORES[1:]:
            raise ConfigError(f"binary_threshold={self.binary_threshold}: must be from 1 to {HIGHEST}.")

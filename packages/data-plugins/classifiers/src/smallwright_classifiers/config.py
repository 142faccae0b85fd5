"""Settings of the classifiers: what all of them share, and one class for each kind."""

import dataclasses
from pathlib import Path
from typing import Literal

from core.checks import check_local, check_modules
from core.errors import ConfigError, InputError
from core.interfaces import StepConfig
from core.registry import Registry
from core.typed import setting


@dataclasses.dataclass(frozen=True, kw_only=True)
class CommonConfig(StepConfig):
    """Settings of every kind of classifier: which labels, which score, how to split and to measure."""

    labels: str = setting("label", min_length=1)
    """Metadata key of the labels to learn from; not read with ``good_files``. A second pass names its own."""
    key: str = setting("score", min_length=1)
    """Metadata key of the score given to every document; ``int_<key>`` gets the rounded one."""
    scale: int | None = setting(None, ge=1, le=100)
    """Highest score: 3 or 5 (SmolLM2 §3.3.2). Null: what the labels say (``<labels>_scale``), else 5."""
    target: Literal["score", "good"] = setting("score")
    """``score`` learns the label's value. ``good`` learns whether the label is at least ``binary_threshold``, and the
    score is from 0 to 1, as DCLM's (§4.4)."""
    good_files: tuple[str, ...] | None = setting(None, min_length=1, files=True)
    """With ``target: good``: JSONL or Parquet files (fsspec paths) whose field ``text`` holds good texts, to learn from
    instead of labels. DCLM took OpenHermes 2.5 and high-scoring posts of r/ExplainLikeImFive (§4.4)."""
    bad_files: tuple[str, ...] | None = setting(None, min_length=1, files=True)
    """Files of bad texts beside ``good_files``. Null: as many documents of the corpus as there are good texts, chosen
    by hash; DCLM took random pages (§4.4)."""
    by: str | None = setting(None)
    """Metadata key of a group, such as ``language``: a classifier each, as Stack-Edu has one for each of 15 programming
    languages (SmolLM2 §3.4). A group with too few labels gets the classifier of all labels."""
    max_chars: int | None = setting(10_000, ge=100)
    """Characters read of each document; null reads all."""
    validation_fraction: float = setting(0.1, gt=0, lt=1)
    """Share of the labels of each value (and group) held out to measure the classifier. FineWeb-Edu's script holds out
    10 %, its paper 50,000 of 460,000 (FineWeb §4)."""
    binary_threshold: int = setting(3, ge=1, le=100)
    """Score from which a document counts as good in the report's headline (the report has every other one too), and
    from which a label is good with ``target: good``."""
    min_labels: int = setting(50, ge=10)
    """Fewer labelled documents than this are refused, or in a group of ``by`` left to the common classifier."""
    pretrained: str | None = setting(None, files=True)
    """A classifier to score with instead of training one: ``reports/<step>/classifier`` of an earlier corpus, or what
    the kind of classifier takes beside that. Labels, where there are any, then only measure it."""

    def __post_init__(self) -> None:
        if self.scale is not None and self.binary_threshold > self.scale:
            raise ConfigError(f"binary_threshold={self.binary_threshold}: must be from 1 to scale={self.scale}.")
        if self.good_files is not None:
            if self.target != "good":
                raise ConfigError("good_files: teach what is good or not; set target=good.")
            if self.by is not None:
                raise ConfigError(f"by={self.by}: a classifier for each group needs labels; leave good_files out.")
        if self.bad_files is not None and self.good_files is None:
            raise ConfigError("bad_files: needs good_files beside it.")

    def check(self, registry: Registry, where: str) -> None:
        """Refuse a trained classifier that is not there, before any work."""
        if self.pretrained is not None:
            check_local(self.pretrained, f"{where}.pretrained")


@dataclasses.dataclass(frozen=True, kw_only=True)
class ClassifierConfig(CommonConfig):
    """Hashed n-grams with a ridge regression: trains in seconds and needs no engine."""

    word_ngrams: int = setting(2, ge=1, le=100)
    """Longest run of words and signs that is a feature."""
    features: int = setting(2**18, ge=1024, le=2**30)
    """Hash buckets for the features."""
    regularization: float = setting(0.3, ge=1e-3)
    """Ridge penalty on the weights."""
    balance: float = setting(0.5, ge=0, le=1)
    """How far rare labels are weighted up: 0 not at all, 1 until each label weighs the same. FineMath upsampled maths
    pages among its labelled pages instead (finemath-classifier card)."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class FastTextClassifierConfig(CommonConfig):
    """fastText's supervised classifier, as in DCLM (arXiv 2406.11794 §4.4), which does not say how it was trained.

    ``pretrained`` also takes any supervised fastText ``.bin``, such as DCLM's published one.
    """

    word_ngrams: int = setting(2, ge=1, le=100)
    """Longest run of words that is a feature: bigrams, after the name of DCLM's published model (§4.4)."""
    dim: int = setting(100, ge=1, le=10_000)
    """Length of the vectors."""
    epochs: int = setting(25, ge=1)
    """Times that each label is seen. fastText's defaults are 5 times at a rate of 0.1, which learn next to nothing from
    some thousand labels (benchmarks/README.md); its tutorial raises both."""
    learning_rate: float = setting(0.5, gt=0, le=10)
    """Learning rate at the start; it falls linearly to 0."""
    buckets: int = setting(200_000, ge=1000, le=2**31 - 1)
    """Hash buckets for runs of words. fastText's default of 2,000,000 makes a file of 800 MB with 100 dimensions, in
    the memory of each worker."""
    min_count: int = setting(1, ge=1)
    """Words seen fewer times are dropped."""
    lowercase: bool = setting(False)
    """Turn the text to lower case first. A model must be given text as it was trained on; DCLM's was not lowered."""
    good_labels: tuple[str, ...] = setting(("__label__hq",))
    """For a ``pretrained`` file whose labels are words: the score is the probability of these (DCLM's file has
    ``__label__hq`` and ``__label__cc``). Labels that are numbers, ``__label__3``, give the expected score."""

    def check(self, registry: Registry, where: str) -> None:
        """Refuse a trained classifier that is not there and missing libraries; there is no hub of such files."""
        if self.pretrained is not None and not Path(self.pretrained).exists():
            raise InputError(f"{where}.pretrained={self.pretrained}: no such file or folder.")
        self.check_libraries(where)

    def check_libraries(self, where: str) -> None:
        """Refuse to score without fastText's reader, and to train without floret."""
        libraries = {"fasttext": "fasttext-predict"} | ({} if self.pretrained else {"floret": "floret"})
        check_modules(where, libraries, "smallwright-data-classifiers[fasttext]")


@dataclasses.dataclass(frozen=True, kw_only=True)
class EncoderClassifierConfig(CommonConfig):
    """One regression output on a sentence encoder, as FineWeb-Edu's (arXiv 2406.17557 §4), FineMath's and Stack-Edu's
    classifiers (SmolLM2 §3.3.2, §3.4). Defaults are FineWeb-Edu's training script.

    ``pretrained`` also takes a hub id or directory of a model with one output, such as
    ``HuggingFaceTB/finemath-classifier`` or ``HuggingFaceFW/fineweb-edu-classifier``.
    """

    encoder: str | None = setting(None, files=True)
    """Hub id or directory of the encoder. FineWeb-Edu: Snowflake/snowflake-arctic-embed-m; FineMath:
    intfloat/multilingual-e5-small; Stack-Edu: bigcode/starencoder. Required unless ``pretrained`` is set."""
    revision: str | None = setting(None)
    """Commit of the hub model (``encoder`` or ``pretrained``); pin it to get the same scores again."""
    freeze: bool = setting(True)
    """Train only what stands on the encoder: its pooler, where it has one, and the output (all three papers). Then
    texts are encoded once, whatever the number of epochs. False trains the whole encoder."""
    max_tokens: int = setting(512, ge=8)
    """Tokens read of each document: 512 in FineWeb-Edu, 1024 in Stack-Edu."""
    prefix: str = setting("")
    """Put before each text, such as "query: " for e5 encoders. Nothing is known of one in the published classifiers."""
    max_chars: int | None = setting(20_000, ge=100)
    """Characters read of each document before it is cut to ``max_tokens``; null reads all."""
    epochs: int = setting(20, ge=1)
    """Times that each label is seen (all three)."""
    learning_rate: float = setting(3e-4, gt=0, le=1)
    """Peak of AdamW's rate, which falls linearly to 0 (all three)."""
    batch: int = setting(256, ge=1)
    """Labelled documents a step (FineWeb-Edu)."""
    warmup_steps: int = setting(0, ge=0)
    """Steps until the peak. FineWeb-Edu 0, Stack-Edu 200."""
    weight_decay: float = setting(0.0, ge=0)
    """AdamW's weight decay."""
    evaluate_every: int = setting(1000, ge=1)
    """Steps between measurements of macro F1 on the held-out labels (FineWeb-Edu), and at least one an epoch; the best
    weights are kept."""
    scoring_batch: int = setting(64, ge=1)
    """Documents encoded at once. Part of the identity: it moves the last digits of scores."""
    device: Literal["auto", "cpu", "cuda"] = setting("auto", identity=False)
    """auto: the GPU where there is one."""
    dtype: Literal["float32", "bfloat16"] = setting("float32")
    """Type of the encoder's products; FineWeb-Edu trained in bfloat16. The output is computed in float32."""
    threads: int = setting(1, ge=1, le=1024)
    """CPU threads a worker. Part of the identity: another number moves the last digits of scores."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.encoder and not self.pretrained:
            raise ConfigError(
                "encoder: not set. Name the encoder to train a classifier on, such as intfloat/multilingual-e5-small, "
                "or a trained classifier in pretrained."
            )

    def check(self, registry: Registry, where: str) -> None:
        """Refuse models that are not there and missing libraries; what a hub has is looked at when the step starts."""
        super().check(registry, where)
        if self.encoder is not None and self.pretrained is None:
            check_local(self.encoder, f"{where}.encoder")
        self.check_libraries(where)

    def check_libraries(self, where: str) -> None:
        """Refuse to work without what runs encoders."""
        libraries = {"torch": "torch", "transformers": "transformers"}
        check_modules(where, libraries, "smallwright-data-classifiers[encoder]")

"""Settings of the dedup steps."""

import dataclasses
import re
from typing import Literal

from core.checks import check_local, check_modules
from core.errors import ConfigError, UserError
from core.interfaces import StepConfig
from core.registry import Registry
from core.typed import setting

from smallwright_dedup.against import resolve

MOST_HASHES = 100_000
"""Of a document, for MinHash: ten times the most that a recipe has (RefinedWeb: 450 bands of 20). Memory holds those
of 500 documents."""


def _check_scope(scope: str | None, pattern: str | None) -> None:
    if pattern is None:
        return
    if scope is None:
        raise ConfigError(f"scope_pattern={pattern}: needs scope, the metadata key that the pattern looks at.")
    try:
        re.compile(pattern)
    except re.error as error:
        raise ConfigError(f"scope_pattern={pattern}: no regular expression ({error}).") from None


@dataclasses.dataclass(frozen=True, kw_only=True)
class ExactDedupConfig(StepConfig):
    """Removal of documents with equal text."""

    normalize: bool = setting(True)
    """Compare words only: case, accents, punctuation and white space do not count. False compares every character."""
    by_text: bool = setting(True)
    """Compare texts: keep only one document of each."""
    by_url: bool = setting(False)
    """Compare URLs: keep only one document of each."""
    scope: str | None = setting(None)
    """Metadata key: only documents with the same value are duplicates. None: the whole corpus."""
    scope_pattern: str | None = setting(None)
    """Regular expression that takes the scope out of that value, by its first group or as a whole."""

    def __post_init__(self) -> None:
        if not (self.by_text or self.by_url):
            raise ConfigError("by_text=false and by_url=false: nothing is left to compare; set one, or drop the step.")
        _check_scope(self.scope, self.scope_pattern)


@dataclasses.dataclass(frozen=True, kw_only=True)
class MinHashConfig(StepConfig):
    """MinHash with locality-sensitive hashing. Two documents of similarity s share a band with probability
    1 - (1 - s^rows)^bands. Defaults: FineWeb (arXiv 2406.17557, section 3.4 and appendix): 14 bands of 8.
    FineMath (arXiv 2502.02737, section 3.3.2): bands=1, rows=10."""

    bands: int = setting(14, ge=1, le=10_000)
    rows: int = setting(8, ge=1, le=10_000)
    """Hashes of a band, which all must agree."""
    ngram: int = setting(5, ge=1, le=1000)
    """Words in a shingle (FineWeb: 5)."""
    fold_numbers: bool = setting(True)
    """Take every number for the same word, as DataTrove does. False keeps exercises apart that differ in numbers."""
    keep: Literal["first", "longest", "random"] = setting("first")
    """Which document of a cluster stays: the first in the order of files and rows, the one with most words, or one at
    random (FineWeb), which depends on the seed and on the documents' places in the corpus."""
    scope: str | None = setting(None)
    """Metadata key: only documents with the same value are duplicates, such as those of one snapshot (FineWeb, where
    deduplication over all snapshots was worse). None: the whole corpus."""
    scope_pattern: str | None = setting(None)
    """Regular expression that takes the scope out of that value, by its first group or as a whole:
    ``CC-MAIN-\\d{4}-\\d{2}`` finds the snapshot in the path of a file of Common Crawl."""
    seed: int = setting(1, ge=0)
    """Seed of the hash functions, and of the choice at random."""

    def __post_init__(self) -> None:
        if self.bands * self.rows > MOST_HASHES:
            raise ConfigError(f"bands={self.bands}, rows={self.rows}: {MOST_HASHES} hashes of a document at most.")
        _check_scope(self.scope, self.scope_pattern)


@dataclasses.dataclass(frozen=True, kw_only=True)
class BloomDedupConfig(StepConfig):
    """Removal of paragraphs and documents most of whose n-grams were seen before, remembered in a Bloom filter: DCLM
    (arXiv 2406.11794, section 4.3 and appendix on deduplication). Defaults are DCLM's."""

    remove: Literal["paragraph", "document", "both"] = setting("both")
    """``paragraph``: lines whose n-grams were seen. ``document``: documents whose n-grams, across lines, were seen.
    ``both``: lines, and the whole document when the n-grams of all its lines were seen (DCLM; its code calls this
    ``old-both``)."""
    ngram: int = setting(13, ge=1, le=1000)
    """Words and punctuation marks in an n-gram."""
    min_ngram: int = setting(13, ge=1)
    """A text shorter than ``ngram`` but with at least this many words counts as one n-gram. Shorter ones are kept."""
    threshold: float = setting(0.8, gt=0, le=1)
    """What goes has more than this share of its n-grams seen before."""
    expected_ngrams: int = setting(100_000_000, ge=1, le=10**12)
    """N-grams of the whole corpus (of one shard, with ``shards``), about one per word. Too few make the filter err
    more often; the report says what it came to. Memory: 1.2 bytes each at a false positive rate of 0.01."""
    false_positive_rate: float = setting(0.01, gt=0, lt=1)
    """Share of new n-grams that count as seen, once ``expected_ngrams`` have been seen."""
    shards: int = setting(1, ge=1)
    """Number of filters that work in parallel. Each reads every n-th file and knows nothing of the others, so
    duplicates in different shards stay. DCLM does so at scale. The outcome depends on this number, but never on the
    number of workers."""

    def __post_init__(self) -> None:
        if self.min_ngram > self.ngram:
            raise ConfigError(f"min_ngram={self.min_ngram}: must be at most ngram={self.ngram}.")


@dataclasses.dataclass(frozen=True, kw_only=True)
class EmbeddingDedupConfig(StepConfig):
    """Removal of instructions that say the same as an earlier one: nearest neighbours by the cosine of embeddings, as
    for MagPie-Ultra (arXiv 2502.02737, section 5.1.1: embeddings of the first instruction, k=5; the threshold is not
    published)."""

    model: str = setting(files=True)
    """Hugging Face encoder: a hub id or a folder, such as ``Alibaba-NLP/gte-large-en-v1.5``."""
    revision: str | None = setting(None)
    """Commit or tag of a hub model."""
    text_key: str | None = setting(None)
    """Metadata key of the text to embed, such as the first instruction. None: the document's text."""
    prefix: str = setting("")
    """Put before every text; some encoders want ``query: ``."""
    pooling: Literal["mean", "cls"] = setting("mean")
    """How the encoder's states become one vector: their mean, or the first one."""
    max_length: int = setting(512, ge=1)
    """Tokens of a text that count."""
    threshold: float = setting(0.95, gt=0, le=1)
    """Cosine from which two documents are duplicates; our choice, since none is published."""
    neighbours: int = setting(5, ge=1)
    """How many nearest documents each document is compared with."""
    batch_size: int = setting(32, ge=1)
    """Texts encoded at once. Part of the identity, because sums are rounded differently in other batches."""
    device: Literal["auto", "cpu", "cuda"] = setting("auto", identity=False)
    """``cpu``, ``cuda``, or ``auto``: a GPU where there is one."""

    def check(self, registry: Registry, where: str) -> None:
        """Refuse a model that is not there and missing libraries, before any work."""
        check_local(self.model, f"{where}.model")
        libraries = {"torch": "torch", "transformers": "transformers"}
        check_modules(where, libraries, "smallwright-data-dedup[embeddings]")


@dataclasses.dataclass(frozen=True, kw_only=True)
class DecontaminateConfig(StepConfig):
    """Removal of documents that hold benchmark items: a shared n-gram, then enough overlap by one of two rules."""

    against: tuple[str, ...] = setting(min_length=1, files=True)
    """Registered benchmarks, ``package:relative/path.jsonl``, or files: JSONL (also gzipped), Parquet, or plain text
    with an item a line (``.txt``)."""
    fields: tuple[str, ...] | None = setting(None, min_length=1)
    """Fields of a record whose texts are looked for, each by itself; a field may hold a list of texts. None: the
    question (``context``, ``question``, ``problem``, ``prompt``, ``instruction``, ``query`` or ``text``), and question
    and answer together."""
    rule: Literal["lcs", "difflib"] = setting("lcs")
    """``lcs``: the longest common subsequence of words is at least ``ratio`` of the shorter of item and document
    (FineMath, arXiv 2502.02737, section 3.3.2; the rule of Qwen2.5-Math, arXiv 2409.12122). ``difflib``: characters in
    matching blocks of more than 5, over those of the item, are above ``ratio`` (Cosmopedia's decontamination code)."""
    ngram: int | None = setting(None, ge=2, le=1000)
    """Words that must agree in a row. None: 13 with ``lcs``, 10 with ``difflib``, as published."""
    ratio: float | None = setting(None, gt=0, le=1)
    """None: 0.6 with ``lcs``, 0.5 with ``difflib``, as published."""
    short_items: Literal["skip", "exact"] = setting("skip")
    """What becomes of items with fewer than ``ngram`` words, which share an n-gram with nothing. They are counted and
    listed in either case. ``exact``: a document that holds all their words in a row is contaminated."""
    shortest: int = setting(5, ge=1)
    """With ``exact``: items with fewer words than this are not looked for, because most documents have them."""
    max_checks: int = setting(20_000, ge=1)
    """Most comparisons of one document. A page made of repeated item texts needs more: it fails."""
    max_characters: int = setting(20_000, ge=1000)
    """``difflib`` compares a document that is longer only in windows of this size around each shared n-gram, because
    its time grows with the square. Documents compared so are counted, whether an item was found or not."""

    def check(self, registry: Registry, where: str) -> None:
        """Refuse a benchmark that nothing offers, before any work."""
        for name in self.against:
            try:
                resolve(name, registry=registry)
            except UserError as error:
                reason = str(error).removeprefix(f"against={name}: ")
                raise type(error)(f"{where}.against={name}: {reason}") from None

    @property
    def words_in_a_row(self) -> int:
        """``ngram``, or the rule's own."""
        return self.ngram if self.ngram is not None else {"lcs": 13, "difflib": 10}[self.rule]

    @property
    def least_ratio(self) -> float:
        """``ratio``, or the rule's own."""
        return self.ratio if self.ratio is not None else {"lcs": 0.6, "difflib": 0.5}[self.rule]

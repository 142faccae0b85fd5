"""Settings of the dedup steps."""

import dataclasses
from typing import Literal

from core.config import setting
from core.errors import ConfigError


@dataclasses.dataclass(frozen=True, kw_only=True)
class ExactDedupConfig:
    """Removal of documents with equal text."""

    normalize: bool = setting(True)
    """Compare words only: case, accents, punctuation and white space do not count. False compares every character."""
    by_url: bool = setting(False)
    """Also keep only one document of each URL."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class MinHashConfig:
    """MinHash with locality-sensitive hashing. Two documents of similarity s share a band with probability
    1 - (1 - s^rows)^bands. Defaults: FineWeb (arXiv 2406.17557, section 3.3 and appendix): 14 bands of 8.
    FineMath (arXiv 2502.02737, section 3.3.2): bands=1, rows=10."""

    bands: int = setting(14)
    rows: int = setting(8)
    """Hashes of a band, which all must agree."""
    ngram: int = setting(5)
    """Words in a shingle (FineWeb: 5)."""
    fold_numbers: bool = setting(True)
    """Take every number for the same word, as DataTrove does. False keeps exercises apart that differ in numbers."""
    keep: Literal["first", "longest"] = setting("first")
    """Which document of a cluster stays: the first in the order of files and rows, or the one with most words.
    FineWeb kept one at random."""
    seed: int = setting(1)
    """Of the hash functions."""

    def __post_init__(self) -> None:
        for name in ("bands", "rows", "ngram"):
            if getattr(self, name) < 1:
                raise ConfigError(f"{name}={getattr(self, name)}: must be at least 1.")
        if self.seed < 0:
            raise ConfigError(f"seed={self.seed}: must not be negative.")


@dataclasses.dataclass(frozen=True, kw_only=True)
class DecontaminateConfig:
    """Removal of documents that hold benchmark items: a shared n-gram, then a longest common subsequence of at least
    ``ratio`` (FineMath, arXiv 2502.02737, section 3.3.2; the rule of Qwen2.5-Math, arXiv 2409.12122)."""

    against: tuple[str, ...] = setting(files=True)
    """Registered benchmarks, paths of JSONL files, or ``package:relative/path.jsonl``."""
    ngram: int = setting(13)
    """Words that must agree in a row. Items with fewer words are not looked for."""
    ratio: float = setting(0.6)
    """Longest common subsequence over the shorter of item and document, in words."""
    max_checks: int = setting(20_000)
    """Comparisons per document; a page made of repeated item texts would take for ever. Past it, the document fails."""

    def __post_init__(self) -> None:
        if not self.against:
            raise ConfigError("against is empty: name at least one benchmark, or drop the step.")
        if self.ngram < 2 or self.max_checks < 1:
            raise ConfigError("ngram must be at least 2 and max_checks at least 1.")
        if not 0 < self.ratio <= 1:
            raise ConfigError(f"ratio={self.ratio}: give a share above 0, at most 1.")

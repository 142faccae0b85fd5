"""Settings of the quality steps. Published numbers name their source; the others say how they were chosen."""

import dataclasses
from typing import Literal

from core.config import setting
from core.errors import ConfigError


def _check_fractions(config: object, *names: str) -> None:
    for name in names:
        value = getattr(config, name)
        if value is not None and not 0 <= value <= 1:
            raise ConfigError(f"{name}={value}: a share, give a number from 0 to 1.")


@dataclasses.dataclass(frozen=True, kw_only=True)
class UrlFilterConfig:
    """Block lists over URLs (FineWeb, arXiv 2406.17557, section 3.2; counts of words from DataTrove's URLFilter)."""

    lists: Literal["small", "fineweb", "none"] = setting("small")
    """``small``: the short lists of this package. ``fineweb``: the lists inside the datatrove package, 4.6 million
    domains, about 10 seconds once per worker process and machine-wide nothing to download. ``none``: only what the
    other keys give."""
    domains: tuple[str, ...] = setting(())
    """Further blocked hosts; their subdomains are blocked too."""
    domain_files: tuple[str, ...] = setting(())
    """Files with one blocked host a line; ``#`` starts a comment."""
    urls: tuple[str, ...] = setting(())
    """Further blocked URLs, compared exactly."""
    url_files: tuple[str, ...] = setting(())
    """Files with one blocked URL a line."""
    banned_words: tuple[str, ...] = setting(())
    """Further words of which one in the URL is enough."""
    soft_words: tuple[str, ...] = setting(())
    """Further words of which ``soft_word_threshold`` different ones are needed."""
    banned_substrings: tuple[str, ...] = setting(())
    """Further strings that no URL may hold, after everything but letters and digits is taken out."""
    soft_word_threshold: int = setting(2)
    """FineWeb, section 3.2."""
    missing_url: Literal["keep", "reject"] = setting("reject")
    """What to do with a document that has no URL."""

    def __post_init__(self) -> None:
        if self.soft_word_threshold < 1:
            raise ConfigError(f"soft_word_threshold={self.soft_word_threshold}: must be at least 1.")


@dataclasses.dataclass(frozen=True, kw_only=True)
class LanguageConfig:
    """Language identification (FineWeb, section 3.2: English with a score of at least 0.65)."""

    languages: tuple[str, ...] = setting(("en",))
    """ISO 639-1 codes to keep."""
    threshold: float = setting(0.65)
    """Least score (FineWeb, section 3.2)."""
    backend: Literal["resiliparse", "fasttext"] = setting("resiliparse")
    """``resiliparse`` works without a model file, with 101 languages. ``fasttext`` is what FineWeb used."""
    model: str | None = setting(None, files=True)
    """Path of ``lid.176.bin`` or ``lid.176.ftz``; needed by ``fasttext``."""
    max_rank: int = setting(800)
    """``resiliparse`` only: largest distance to the language's profile. Its authors call 1200 the limit of sense;
    English web pages measured here stay under 750."""
    margin_scale: float = setting(4.0)
    """``resiliparse`` only: distance to the next language that takes the score from 0.5 to 0.73."""
    max_chars: int = setting(20_000)
    """Only this many characters from the start are looked at."""

    def __post_init__(self) -> None:
        _check_fractions(self, "threshold")
        if not self.languages:
            raise ConfigError("languages is empty: give at least one code, such as languages=[en].")
        if self.backend == "fasttext" and self.model is None:
            raise ConfigError("backend=fasttext needs model=<path of lid.176.bin>, from https://fasttext.cc.")
        if self.margin_scale <= 0 or self.max_rank < 1 or self.max_chars < 1:
            raise ConfigError("margin_scale, max_rank and max_chars must be above 0.")


@dataclasses.dataclass(frozen=True, kw_only=True)
class WordsConfig:
    """How the text is cut into words."""

    words: Literal["fast", "spacy"] = setting("fast")
    """``fast``: a regular expression, for languages with spaces. ``spacy``: DataTrove's default, which the published
    recipes used; about a tenth of the speed; needs the extra ``spacy``."""
    language: str = setting("eng")
    """ISO 639-3 code of the ``spacy`` tokenizer."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class GopherRepetitionConfig(WordsConfig):
    """Repetition in a document (Gopher, arXiv 2112.11446, table A1). A threshold of None is not applied."""

    dup_line_frac: float | None = setting(0.30)
    dup_para_frac: float | None = setting(0.30)
    dup_line_char_frac: float | None = setting(0.20)
    dup_para_char_frac: float | None = setting(0.20)
    top_2_gram: float | None = setting(0.20)
    """Share of characters in the most frequent word 2-gram; likewise the next two."""
    top_3_gram: float | None = setting(0.18)
    top_4_gram: float | None = setting(0.16)
    dup_5_gram: float | None = setting(0.15)
    """Share of characters in word 5-grams seen before in the document; likewise the next five."""
    dup_6_gram: float | None = setting(0.14)
    dup_7_gram: float | None = setting(0.13)
    dup_8_gram: float | None = setting(0.12)
    dup_9_gram: float | None = setting(0.11)
    dup_10_gram: float | None = setting(0.10)

    def __post_init__(self) -> None:
        _check_fractions(self, *(field.name for field in dataclasses.fields(self) if "_" in field.name))


@dataclasses.dataclass(frozen=True, kw_only=True)
class GopherQualityConfig(WordsConfig):
    """Word and line statistics (Gopher, arXiv 2112.11446, section A1.1). A threshold of None is not applied."""

    min_doc_words: int | None = setting(50)
    max_doc_words: int | None = setting(100_000)
    min_avg_word_length: float | None = setting(3.0)
    max_avg_word_length: float | None = setting(10.0)
    max_symbol_word_ratio: float | None = setting(0.1)
    """Hash signs, and ellipses, per word."""
    max_bullet_lines_ratio: float | None = setting(0.9)
    max_ellipsis_lines_ratio: float | None = setting(0.3)
    min_alpha_words_ratio: float | None = setting(0.8)
    """Least share of words with a letter."""
    min_stop_words: int | None = setting(2)
    """Least number of different ones of ``stop_words``."""
    stop_words: tuple[str, ...] = setting(("the", "be", "to", "of", "and", "that", "have", "with"))

    def __post_init__(self) -> None:
        _check_fractions(self, "max_bullet_lines_ratio", "max_ellipsis_lines_ratio", "min_alpha_words_ratio")


@dataclasses.dataclass(frozen=True, kw_only=True)
class C4QualityConfig(WordsConfig):
    """Line and page rules of C4 (JMLR 21/140, section 2.2); FineWeb, section 3.4, leaves terminal punctuation out."""

    filter_no_terminal_punct: bool = setting(False)
    """Drop lines without terminal punctuation. C4: yes; FineWeb: no."""
    min_num_sentences: int = setting(5)
    """-1 turns a rule with a number off."""
    min_words_per_line: int = setting(3)
    max_word_length: int = setting(1000)
    remove_citations: bool = setting(True)
    filter_lorem_ipsum: bool = setting(True)
    filter_javascript: bool = setting(True)
    filter_curly_bracket: bool = setting(True)
    """Turn off for mathematics: LaTeX is full of curly brackets."""
    filter_policy: bool = setting(True)


@dataclasses.dataclass(frozen=True, kw_only=True)
class FineWebQualityConfig(WordsConfig):
    """FineWeb's own rules (arXiv 2406.17557, section 3.4; ``new_line_ratio`` from DataTrove's code only)."""

    line_punct_thr: float = setting(0.12)
    """Least share of lines that end in punctuation."""
    short_line_thr: float = setting(0.67)
    """Largest share of lines of up to ``short_line_length`` characters."""
    short_line_length: int = setting(30)
    char_duplicates_ratio: float = setting(0.01)
    """Largest share of characters in repeated lines."""
    new_line_ratio: float = setting(0.3)
    """Largest number of line breaks per word."""

    def __post_init__(self) -> None:
        _check_fractions(self, "line_punct_thr", "short_line_thr", "char_duplicates_ratio")


@dataclasses.dataclass(frozen=True, kw_only=True)
class PiiConfig:
    """Masking of personal data (FineWeb, section 3.6): e-mail addresses and public IP addresses."""

    emails: bool = setting(True)
    ips: bool = setting(True)
    """Turn off for mathematics: ``8.2.1.4`` may be the number of a section."""
    public_ips_only: bool = setting(True)
    email_replacements: tuple[str, ...] = setting(("email@example.com", "firstname.lastname@example.org"))
    """Used in turn, from the first one in each document."""
    ip_replacements: tuple[str, ...] = setting(
        ("22.214.171.124", "126.96.36.199", "188.8.131.52", "184.108.40.206", "220.127.116.11", "18.104.22.168")
    )
    """DataTrove's addresses, which answered nobody when its authors chose them."""

    def __post_init__(self) -> None:
        if not self.email_replacements or not self.ip_replacements:
            raise ConfigError("email_replacements and ip_replacements must not be empty.")


@dataclasses.dataclass(frozen=True, kw_only=True)
class ThresholdConfig:
    """Keep documents whose number ``key`` is large enough."""

    key: str = setting("score")
    """Name in the document's metadata."""
    minimum: float = setting(3.0)
    """Least value kept. 3 is FineWeb-Edu's and FineMath3+'s (arXiv 2406.17557, section 4; 2502.02737, section 3.3)."""

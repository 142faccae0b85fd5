"""Settings of the quality steps. Published numbers name their source; the others say how they were chosen.

Sources: "FineWeb" is arXiv 2406.17557, "Gopher" 2112.11446, "C4" JMLR 21/140, "SmolLM2" 2502.02737, "DCLM" 2406.11794;
"README" is that of FineMath in the SmolLM2 project.
"""

import dataclasses
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Literal

from core.checks import check_local, check_modules
from core.errors import ConfigError, InputError, nearest
from core.interfaces import StepConfig
from core.registry import Registry
from core.typed import setting


def _check_lists(domain_files: tuple[str, ...], url_files: tuple[str, ...], where: str) -> None:
    for key, files in (("domain_files", domain_files), ("url_files", url_files)):
        for file in files:
            check_local(file, f"{where}.{key}")


@dataclasses.dataclass(frozen=True, kw_only=True)
class UrlFilterConfig(StepConfig):
    """Block lists over URLs (FineWeb, section 3.3; the rules from DataTrove's URLFilter)."""

    lists: Literal["small", "fineweb", "none"] = setting("small")
    """``small``: the short lists of this package. ``fineweb``: the 4.6 million domains inside the datatrove package,
    which a worker process reads in about 10 seconds. ``none``: only what the other keys give."""
    domains: tuple[str, ...] = setting(())
    """Further blocked hosts; their subdomains are blocked too."""
    domain_files: tuple[str, ...] = setting((), files=True)
    """Files with one blocked host a line; ``#`` starts a comment."""
    urls: tuple[str, ...] = setting(())
    """Further blocked URLs, compared exactly."""
    url_files: tuple[str, ...] = setting((), files=True)
    """Files with one blocked URL a line."""
    banned_words: tuple[str, ...] = setting(())
    """Further words: a URL that has any of them is blocked."""
    soft_words: tuple[str, ...] = setting(())
    """Further words: a URL is blocked that has ``soft_word_threshold`` different ones."""
    banned_substrings: tuple[str, ...] = setting(())
    """Further strings: a URL is blocked whose letters and digits, without all other signs, hold any of them."""
    soft_word_threshold: int | None = setting(2, ge=1)
    """DataTrove's URLFilter, as used for FineWeb. Null: soft words do not count."""
    missing_url: Literal["keep", "reject"] = setting("reject")
    """What to do with a document that has no URL."""

    def check(self, registry: Registry, where: str) -> None:
        """Refuse a file of hosts or URLs that is not there."""
        _check_lists(self.domain_files, self.url_files, where)


@dataclasses.dataclass(frozen=True, kw_only=True)
class LanguageConfig(StepConfig):
    """Language identification (FineWeb, section 3.3: English, fastText score of at least 0.65)."""

    languages: tuple[str, ...] | None = setting(("en",))
    """ISO 639-1 codes to keep. Null: record the language and reject nothing."""
    threshold: float | None = setting(0.65, ge=0, le=1)
    """Least score (FineWeb, section 3.3). Null: no score is too low."""
    backend: Literal["resiliparse", "fasttext"] = setting("resiliparse")
    """``resiliparse`` works without a model file, with 101 languages. ``fasttext`` is what FineWeb used."""
    model: str | None = setting(None, files=True)
    """Path of ``lid.176.bin`` or ``lid.176.ftz``; needed by ``fasttext``."""
    top_k: int = setting(0, ge=0, le=100)
    """Write this many languages with their scores to ``metadata["languages"]``; 0: only the best one, as always, to
    ``language`` and ``language_score``."""
    max_rank: int = setting(800, ge=1)
    """``resiliparse`` only: largest distance to the language's profile. Its authors call 1200 the limit of sense;
    English web pages measured here stay under 750."""
    margin_scale: float = setting(4.0, gt=0)
    """``resiliparse`` only: distance to the next language that takes the score from 0.5 to 0.73."""
    max_chars: int | None = setting(20_000, ge=1)
    """Only this many characters from the start are looked at. Null: all, as in FineWeb."""

    def __post_init__(self) -> None:
        if self.languages is not None and not self.languages:
            raise ConfigError("languages is empty: give at least one code, such as [en], or null to reject nothing.")
        if self.backend == "fasttext" and self.model is None:
            raise ConfigError("backend=fasttext needs model=<path of lid.176.bin>, from https://fasttext.cc.")

    def check(self, registry: Registry, where: str) -> None:
        """Refuse codes that resiliparse does not know, a model that is not there and a missing library."""
        if self.backend == "fasttext":
            if self.model is not None and not Path(self.model).is_file():
                raise InputError(
                    f"{where}.model={self.model}: no such file; lid.176.bin comes from https://fasttext.cc."
                )
            check_modules(where, {"fasttext": "fasttext"}, "smallwright-data-quality[fasttext]")
        else:
            self.check_codes(where)

    def check_codes(self, where: str) -> None:
        """Refuse codes that resiliparse does not know."""
        from resiliparse.parse.lang import supported_langs

        known = supported_langs()
        for code in self.languages or ():
            if code not in known:
                raise ConfigError(f"{where}.languages: {code!r} is unknown to resiliparse.{nearest(code, known)}")


@dataclasses.dataclass(frozen=True, kw_only=True)
class WordsConfig(StepConfig):
    """How the text is cut into words."""

    words: Literal["fast", "spacy"] = setting("fast")
    """``fast``: for languages with spaces. ``spacy``: DataTrove's default, which the published recipes used; many
    times slower (``benchmarks/README.md``); needs the extra ``spacy``."""
    language: str = setting("eng")
    """ISO 639-3 code of the ``spacy`` tokenizer."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class LinesConfig(WordsConfig):
    """How the text is cut into lines and words."""

    lines: Literal["any", "lf"] = setting("any")
    """``any``: LF, CRLF or CR ends a line, and blanks and no-break spaces before it do not count. ``lf``: as DataTrove,
    which takes LF alone and finds no punctuation before a blank."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class GopherRepetitionConfig(LinesConfig):
    """Repetition in a document (Gopher, appendix A.1.1, table A1; used by FineWeb, section 3.3). Null: no such rule."""

    dup_line_frac: float | None = setting(0.30, ge=0, le=1)
    dup_para_frac: float | None = setting(0.30, ge=0, le=1)
    dup_line_char_frac: float | None = setting(0.20, ge=0, le=1)
    dup_para_char_frac: float | None = setting(0.20, ge=0, le=1)
    top_2_gram: float | None = setting(0.20, ge=0, le=1)
    """Share of characters in the most frequent word 2-gram; likewise the next two."""
    top_3_gram: float | None = setting(0.18, ge=0, le=1)
    top_4_gram: float | None = setting(0.16, ge=0, le=1)
    dup_5_gram: float | None = setting(0.15, ge=0, le=1)
    """Share of characters in word 5-grams seen before in the document; likewise the next five."""
    dup_6_gram: float | None = setting(0.14, ge=0, le=1)
    dup_7_gram: float | None = setting(0.13, ge=0, le=1)
    dup_8_gram: float | None = setting(0.12, ge=0, le=1)
    dup_9_gram: float | None = setting(0.11, ge=0, le=1)
    dup_10_gram: float | None = setting(0.10, ge=0, le=1)


@dataclasses.dataclass(frozen=True, kw_only=True)
class GopherQualityConfig(WordsConfig):
    """Word and line statistics (Gopher, appendix A.1.1; used by FineWeb, section 3.3). Null: no such rule."""

    min_doc_words: int | None = setting(50, ge=0)
    max_doc_words: int | None = setting(100_000, ge=1)
    min_avg_word_length: float | None = setting(3.0, ge=0)
    max_avg_word_length: float | None = setting(10.0, gt=0)
    max_symbol_word_ratio: float | None = setting(0.1, ge=0)
    """Hash signs, and ellipses, per word."""
    max_bullet_lines_ratio: float | None = setting(0.9, ge=0, le=1)
    max_ellipsis_lines_ratio: float | None = setting(0.3, ge=0, le=1)
    min_alpha_words_ratio: float | None = setting(0.8, ge=0, le=1)
    """Least share of words with a letter."""
    min_stop_words: int | None = setting(2, ge=0)
    """Least number of different ones of ``stop_words``."""
    stop_words: tuple[str, ...] = setting(("the", "be", "to", "of", "and", "that", "have", "with"))

    def __post_init__(self) -> None:
        for what in ("doc_words", "avg_word_length"):
            least, most = getattr(self, f"min_{what}"), getattr(self, f"max_{what}")
            if least is not None and most is not None and least > most:
                raise ConfigError(f"min_{what}={least}: above max_{what}={most}, which no document can satisfy.")


@dataclasses.dataclass(frozen=True, kw_only=True)
class C4QualityConfig(WordsConfig):
    """Line and page rules of C4 (section 2.2). FineWeb, section 3.5, takes all but terminal punctuation."""

    filter_no_terminal_punct: bool = setting(False)
    """Drop lines without terminal punctuation. C4: yes; FineWeb: no."""
    min_num_sentences: int | None = setting(5, ge=0)
    """Least number of sentences in the lines that are left (C4). Null turns a rule with a number off."""
    min_words_per_line: int | None = setting(3, ge=0)
    """Drop shorter lines (C4)."""
    max_word_length: int | None = setting(1000, ge=0)
    """Drop lines with a longer word (in C4's code, not in its paper)."""
    remove_citations: bool = setting(True)
    """Strip ``[1]``, ``[edit]``, ``[citation needed]`` (C4's code)."""
    filter_lorem_ipsum: bool = setting(True)
    """Drop pages with this placeholder (C4)."""
    filter_javascript: bool = setting(True)
    """Drop lines with this word (C4)."""
    filter_curly_bracket: bool = setting(True)
    """Drop pages with ``{`` (C4). Turn off for mathematics: LaTeX is full of curly brackets (README)."""
    filter_policy: bool = setting(True)
    """Drop lines about cookies, privacy policies and terms of use (C4's code)."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class FineWebQualityConfig(LinesConfig):
    """FineWeb's own rules (FineWeb, section 3.6). Null: no such rule."""

    line_punct_thr: float | None = setting(0.12, ge=0, le=1)
    """Least share of lines that end in punctuation."""
    line_punct_exclude_zero: bool = setting(False)
    """Do not apply ``line_punct_thr`` to pages without any such line (an option of DataTrove's code)."""
    short_line_thr: float | None = setting(0.67, ge=0, le=1)
    """Largest share of lines of up to ``short_line_length`` characters."""
    short_line_length: int = setting(30, ge=0)
    char_duplicates_ratio: float | None = setting(0.01, ge=0, le=1)
    """Largest share of characters in repeated lines. FineWeb's text says 0.1, its appendix and its code 0.01."""
    new_line_ratio: float | None = setting(0.3, ge=0)
    """Largest number of line breaks per word (in FineWeb's code, not in its paper)."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class PiiConfig(StepConfig):
    """Masking of personal data (FineWeb, section 3.7): e-mail addresses and public IP addresses."""

    emails: bool = setting(True)
    ips: bool = setting(True)
    """Turn off for mathematics: ``8.2.1.4`` may be the number of a section."""
    lookalikes: Literal["keep", "mask"] = setting("keep")
    """What to do with versions, object identifiers, ``pkg@1.2.0``, ``icon@2x.png``, ``git@host:``, and code before an
    address. ``mask``: replace all that DataTrove's patterns find. In doubt a number is an address (``README``)."""
    public_ips_only: bool = setting(True)
    """Leave private and reserved ranges as they are (FineWeb, section 3.7)."""
    email_replacements: tuple[str, ...] = setting(("email@example.com", "firstname.lastname@example.org"), min_length=1)
    """Used in turn, from the first one in each document (DataTrove's PIIFormatter)."""
    ip_replacements: tuple[str, ...] = setting(
        ("22.214.171.124", "126.96.36.199", "188.8.131.52", "184.108.40.206", "220.127.116.11", "18.104.22.168"),
        min_length=1,
    )
    """DataTrove's addresses, which answered nobody when its authors chose them."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class ThresholdConfig(StepConfig):
    """Keep documents whose number ``key`` is large enough, and not too large."""

    key: str = setting("score")
    """Name in the document's metadata."""
    minimum: float | None = setting(3.0)
    """Least value kept. 3: FineWeb-Edu and FineMath3+ (FineWeb, section 4; SmolLM2, section 3.3.2). For DCLM's
    fastText score: 0.018112 (DCLM's baselines README). Null: none is too low."""
    maximum: float | None = setting(None)
    """Largest value kept. Null: none is too high."""
    by: str | None = setting(None)
    """Name in the metadata of what ``minimums`` differ by, such as the programming language."""
    minimums: Mapping[str, float] = setting(default_factory=dict)
    """``minimum`` of single groups; the others have the general one (SmolLM2, appendix D: Java 2, others 3)."""

    def __post_init__(self) -> None:
        if self.minimum is None and self.maximum is None and not self.minimums:
            raise ConfigError("minimum, maximum and minimums are all null: there is nothing to compare with.")
        if self.minimums and self.by is None:
            raise ConfigError("minimums needs by=<name in the metadata>.")
        if self.minimum is not None and self.maximum is not None and self.minimum > self.maximum:
            raise ConfigError(f"minimum={self.minimum} is above maximum={self.maximum}.")


@dataclasses.dataclass(frozen=True, kw_only=True)
class KeepProbabilityConfig(StepConfig):
    """Keep documents by chance, with a probability for each score (SmolLM2, section 6: for small models drop score 0
    of DCLM, downsample 1 and 2, keep the rest)."""

    key: str = setting("int_score")
    """Name in the document's metadata."""
    probabilities: Mapping[str, float] = setting(
        default_factory=lambda: {"0": 0.0, "1": 0.1, "2": 0.3, "3": 1.0}, ge=0, le=1, min_length=1
    )
    """Probability from this score on, up to the next one named; below the lowest one documents are dropped. 0 and 1
    are SmolLM2's (section 6); 0.1 and 0.3 are OURS, the paper does not give its rates."""
    seed: int | None = setting(None, ge=0)
    """Seed of the draw; null: the run's. A document is drawn by its id, so in every run with the same seed alike."""

    def __post_init__(self) -> None:
        for score in self.probabilities:
            try:
                finite = math.isfinite(float(score))
            except ValueError:
                finite = False
            if not finite:
                raise ConfigError(f"probabilities.{score}: the score must be a number.")


@dataclasses.dataclass(frozen=True, kw_only=True)
class TopFractionConfig(StepConfig):
    """Keep the best share of the whole corpus (DCLM, section 4.4: the top 10 % by fastText score)."""

    key: str = setting("score")
    """Name in the document's metadata."""
    fraction: float = setting(0.1, gt=0, le=1)
    """Share of documents to keep (DCLM, section 4.4), and those with the same value as the last one kept."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class DomainRecallConfig(StepConfig):
    """Keep a page for its own score or for its domain's (FineMath; SmolLM2, section 3.3.2, and README).

    A domain qualifies by any of ``min_pages``, ``min_share``, ``domains`` and ``domain_files``; null or empty: no such
    rule. The paper counts pages, the README takes a share: the two differ, and both are here.
    """

    key: str = setting("score")
    """Name in the document's metadata."""
    minimum: float | None = setting(3.0)
    """A page with at least this score is kept whatever its domain. Null: every page needs its domain."""
    page_score: float = setting(2.0)
    """Score from which a page counts for its domain (paper and README)."""
    min_pages: int | None = setting(10, ge=1)
    """Least number of such pages (paper)."""
    min_share: float | None = setting(None, ge=0, le=1)
    """Least share of such pages among those of the domain (README: 0.1)."""
    share_min_pages: int = setting(1, ge=1)
    """Least number of pages that a domain needs for ``min_share`` to apply (ours; 1: as published)."""
    domains: tuple[str, ...] = setting(())
    """Domains that qualify in any case (FineMath: those with at least 10 URLs in OpenWebMath or InfiMM-WebMath)."""
    domain_files: tuple[str, ...] = setting((), files=True)
    """Files with one such domain a line; ``#`` starts a comment."""
    urls: tuple[str, ...] = setting(())
    """Pages that need neither score nor domain."""
    url_files: tuple[str, ...] = setting((), files=True)
    """Files with one such URL a line."""
    domain: Literal["host", "registrable"] = setting("host")
    """``host``: the URL's host without ``www.``. ``registrable``: what can be registered under a public suffix
    (``example.co.uk``), by the list inside the tld package. The paper does not say which."""
    report_domains: int = setting(50, ge=0)
    """Number of domains in the report: those with most pages."""

    def check(self, registry: Registry, where: str) -> None:
        """Refuse a file of domains or URLs that is not there."""
        _check_lists(self.domain_files, self.url_files, where)


@dataclasses.dataclass(frozen=True, kw_only=True)
class TokensConfig(StepConfig):
    """How tokens are counted."""

    tokenizer: str | None = setting(None, files=True)
    """A ``tokenizer.json``, or a folder with one. Null: estimated from the UTF-8 bytes; tables say "estimated"."""
    bytes_per_token: float = setting(4.5, gt=0)
    """For the estimate: English web text with byte-level BPE of about 50,000 entries. Ours."""

    def check(self, registry: Registry, where: str) -> None:
        """Refuse a tokenizer that is not there."""
        path = None if self.tokenizer is None else Path(self.tokenizer)
        if path is not None and not path.is_file() and not (path / "tokenizer.json").is_file():
            raise InputError(f"{where}.tokenizer={path}: no such file; give a tokenizer.json or a folder with one.")


@dataclasses.dataclass(frozen=True, kw_only=True)
class StatisticsConfig(TokensConfig):
    """Count what passes, wherever the step stands in a recipe; it may stand there several times."""

    domains: bool = setting(True)
    """Count hosts, too."""
    by: tuple[str, ...] = setting(("language",))
    """Metadata whose values to count: a table for each."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class LongDocumentsConfig(TokensConfig):
    """Find documents long enough for context extension (SmolLM2, section 4.6: at least 8k tokens)."""

    min_tokens: int = setting(8192, ge=1)
    """Least length (SmolLM2, section 4.6)."""
    by: str | None = setting(None)
    """Metadata by which long documents are counted, such as the source. Null: by the URL's host."""
    keep: Literal["all", "long"] = setting("all")
    """``all``: only write ``tokens`` and ``long`` to the metadata. ``long``: reject the others."""

"""DataTrove's quality filters under our accounting: the rules and the reasons are DataTrove's."""

import itertools
import operator
from abc import abstractmethod
from collections import Counter
from typing import Any

from core.data.steps import DocumentStep, Rejection
from datatrove.data import Document
from datatrove.pipeline.filters import (
    C4QualityFilter,
    FineWebQualityFilter,
    GopherQualityFilter,
    GopherRepetitionFilter,
)
from datatrove.pipeline.filters.base_filter import BaseFilter
from datatrove.utils.text import split_into_words

from smallwright_quality.words import tokenizer_for


class FilterStep(DocumentStep):
    """Apply one DataTrove filter to each document."""

    def __init__(self, config: Any) -> None:
        super().__init__(config)
        self.filter = self.make_filter(config, tokenizer_for(config.words, config.language))

    @abstractmethod
    def make_filter(self, config: Any, language: Any) -> BaseFilter:
        """Return the DataTrove filter."""

    def process_document(self, document: Document) -> Document:
        verdict = self.filter.filter(document)
        kept, reason = verdict if isinstance(verdict, tuple) else (verdict, "dropped")
        if not kept:
            raise Rejection(reason)
        return document


class GopherRepetition(FilterStep):
    """Repeated lines, paragraphs and n-grams (Gopher, table A1)."""

    def make_filter(self, config: Any, language: Any) -> BaseFilter:
        top = ((n, getattr(config, f"top_{n}_gram")) for n in (2, 3, 4))
        repeated = ((n, getattr(config, f"dup_{n}_gram")) for n in range(5, 11))
        return RepetitionFilter(
            dup_line_frac=config.dup_line_frac,
            dup_para_frac=config.dup_para_frac,
            dup_line_char_frac=config.dup_line_char_frac,
            dup_para_char_frac=config.dup_para_char_frac,
            top_n_grams=tuple((n, share) for n, share in top if share is not None),
            dup_n_grams=tuple((n, share) for n, share in repeated if share is not None),
            language=language,
        )


class RepetitionFilter(GopherRepetitionFilter):
    """DataTrove's filter with the same verdicts, its n-grams cut from one string instead of joined anew."""

    def __init__(self, *, top_n_grams: Any, dup_n_grams: Any, **settings: Any) -> None:
        super().__init__(top_n_grams=(), dup_n_grams=(), **settings)
        self.top_shares = top_n_grams
        self.dup_shares = dup_n_grams

    def filter(self, doc: Document) -> bool | tuple[bool, str]:
        verdict = super().filter(doc)
        if verdict is not True:
            return verdict
        text_length = len(doc.text)
        words = split_into_words(doc.text, self.language)
        ends = list(itertools.accumulate(map(len, words), initial=0))
        spaced = " ".join(words)
        for n, share in self.top_shares:
            # Word i starts at ends[i] + i of the spaced text: each word before it brings one space.
            pairs = zip(ends, ends[n:], strict=False)
            ngrams = [spaced[start + i : end + i + n - 1] for i, (start, end) in enumerate(pairs)]
            if ngrams:
                ngram, count = max(Counter(ngrams).items(), key=operator.itemgetter(1))
                if len(ngram) * count / text_length > share:
                    return False, f"top_{n}_gram"
        joined = "".join(words)
        for n, share in self.dup_shares:
            if _repeated_characters(joined, ends, n) / text_length > share:
                return False, f"duplicated_{n}_n_grams"
        return True


def _repeated_characters(joined: str, ends: list[int], n: int) -> int:
    """Count characters in n-grams seen before; after a repeated one, go on behind it."""
    ngrams = [joined[start:end] for start, end in zip(ends, ends[n:], strict=False)]
    if len(set(ngrams)) == len(ngrams):  # nothing repeated, as in most documents
        return 0
    seen: set[str] = set()
    repeated = position = 0
    while position < len(ngrams):
        ngram = ngrams[position]
        if ngram in seen:
            repeated += len(ngram)
            position += n
        else:
            seen.add(ngram)
            position += 1
    return repeated


class GopherQuality(FilterStep):
    """Word counts and lengths, symbols, bullets, stop words (Gopher, section A1.1)."""

    def make_filter(self, config: Any, language: Any) -> BaseFilter:
        return GopherQualityFilter(
            min_doc_words=config.min_doc_words,
            max_doc_words=config.max_doc_words,
            min_avg_word_length=config.min_avg_word_length,
            max_avg_word_length=config.max_avg_word_length,
            max_symbol_word_ratio=config.max_symbol_word_ratio,
            max_bullet_lines_ratio=config.max_bullet_lines_ratio,
            max_ellipsis_lines_ratio=config.max_ellipsis_lines_ratio,
            max_non_alpha_words_ratio=config.min_alpha_words_ratio,
            min_stop_words=config.min_stop_words,
            stop_words=list(config.stop_words),
            language=language,
        )

    def process_document(self, document: Document) -> Document:
        # Without a single word DataTrove's rules divide by zero once the word minimum is turned off.
        if not document.text.strip():
            raise Rejection("gopher_short_doc")
        return super().process_document(document)


class C4Quality(FilterStep):
    """C4's page and line rules; lines that break one are taken out of the text."""

    def make_filter(self, config: Any, language: Any) -> BaseFilter:
        return C4QualityFilter(
            filter_no_terminal_punct=config.filter_no_terminal_punct,
            min_num_sentences=config.min_num_sentences,
            min_words_per_line=config.min_words_per_line,
            max_word_length=config.max_word_length,
            remove_citations=config.remove_citations,
            filter_lorem_ipsum=config.filter_lorem_ipsum,
            filter_javascript=config.filter_javascript,
            filter_curly_bracket=config.filter_curly_bracket,
            filter_policy=config.filter_policy,
            language=language,
        )


class FineWebQuality(FilterStep):
    """Line punctuation, short lines, repeated lines, line breaks per word (FineWeb, section 3.4)."""

    def make_filter(self, config: Any, language: Any) -> BaseFilter:
        return FineWebQualityFilter(
            line_punct_thr=config.line_punct_thr,
            short_line_thr=config.short_line_thr,
            short_line_length=config.short_line_length,
            char_duplicates_ratio=config.char_duplicates_ratio,
            new_line_ratio=config.new_line_ratio,
            language=language,
        )

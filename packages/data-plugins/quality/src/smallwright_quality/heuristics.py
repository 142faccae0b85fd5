"""Gopher's quality rules, C4's and FineWeb's.

Decisions, reasons and order of the rules are those of DataTrove's ``GopherQualityFilter``, ``C4QualityFilter`` and
``FineWebQualityFilter``; a test compares them on real pages. A rule that is null is not applied. Three things differ:
a threshold of 0 is a threshold (DataTrove takes it for none), a document without a word, or without a line that
C4 leaves in it, is rejected where DataTrove divides by zero or keeps nothing, and white space at the end of a line
does not count (with ``lines: lf`` it does).
"""

import re
from collections import Counter

from core.data.steps import DocumentStep, Rejection
from datatrove.data import Document
from datatrove.utils.text import PUNCTUATION_SET, TERMINAL_PUNCTUATION

from smallwright_quality.config import C4QualityConfig, FineWebQualityConfig, GopherQualityConfig
from smallwright_quality.repetition import repeated_parts
from smallwright_quality.words import count_sentences, lines_of, words_of

_CITATION = re.compile(r"\[\d*]|\[edit]|\[citation needed]")
_END_PUNCTUATION = (".", "?", "!", '"', "'")
_POLICY = ("terms of use", "privacy policy", "cookie policy", "uses cookies", "use of cookies", "use cookies")
_STOPS = frozenset(TERMINAL_PUNCTUATION)
_SYMBOLS = frozenset(PUNCTUATION_SET)


class GopherQuality(DocumentStep):
    """Word counts and lengths, symbols, bullets, stop words (Gopher, arXiv 2112.11446, appendix A.1.1)."""

    config: GopherQualityConfig

    def process_document(self, document: Document) -> Document:
        reason = self.reason(document.text)
        if reason is not None:
            raise Rejection(reason)
        return document

    def reason(self, text: str) -> str | None:
        """Return the first rule that ``text`` breaks, or None."""
        words = words_of(text, self.config)
        if not words:
            return "gopher_short_doc"
        counts = Counter(words)
        return self._words(counts) or self._symbols(text, len(words)) or self._kinds(counts, len(words))

    def _words(self, counts: Counter[str]) -> str | None:
        config = self.config
        # Words of nothing but symbols do not count here.
        real = [(len(word), count) for word, count in counts.items() if not _SYMBOLS.issuperset(word)]
        number = sum(count for _, count in real)
        if config.min_doc_words is not None and number < config.min_doc_words:
            return "gopher_short_doc"
        if config.max_doc_words is not None and number > config.max_doc_words:
            return "gopher_long_doc"
        if not number:
            return None
        mean_length = sum(length * count for length, count in real) / number
        if config.min_avg_word_length is not None and mean_length < config.min_avg_word_length:
            return "gopher_below_avg_threshold"
        if config.max_avg_word_length is not None and mean_length > config.max_avg_word_length:
            return "gopher_above_avg_threshold"
        return None

    def _symbols(self, text: str, words: int) -> str | None:
        config = self.config
        ellipses = text.count("...") + text.count("…")
        if config.max_symbol_word_ratio is not None:
            if text.count("#") / words > config.max_symbol_word_ratio:
                return "gopher_too_many_hashes"
            if ellipses / words > config.max_symbol_word_ratio:
                return "gopher_too_many_ellipsis"
        lines = text.splitlines()
        if config.max_bullet_lines_ratio is not None and ("-" in text or "•" in text):
            bullets = sum(line.lstrip()[:1] in ("•", "-") for line in lines)
            if bullets / len(lines) > config.max_bullet_lines_ratio:
                return "gopher_too_many_bullets"
        if config.max_ellipsis_lines_ratio is not None and ellipses:
            ends = sum(line.rstrip().endswith(("...", "…")) for line in lines)
            if ends / len(lines) > config.max_ellipsis_lines_ratio:
                return "gopher_too_many_end_ellipsis"
        return None

    def _kinds(self, counts: Counter[str], words: int) -> str | None:
        config = self.config
        if config.min_alpha_words_ratio is not None:
            alpha = sum(count for word, count in counts.items() if word.isalpha() or any(map(str.isalpha, word)))
            if alpha / words < config.min_alpha_words_ratio:
                return "gopher_below_alpha_threshold"
        stop_words = sum(word in counts for word in set(config.stop_words))
        if config.min_stop_words is not None and stop_words < config.min_stop_words:
            return "gopher_enough_stop_words"  # DataTrove's name for too few
        return None


class C4Quality(DocumentStep):
    """C4's page and line rules (JMLR 21/140, section 2.2); lines that break one are taken out of the text.

    Reasons: ``lorem_ipsum``, ``curly_bracket``, ``too_few_sentences``, ``nothing left``. Table ``lines``: what became
    of the lines of the documents that were kept.
    """

    config: C4QualityConfig

    def process_document(self, document: Document) -> Document:
        config, text = self.config, document.text
        lowered = text.lower()
        citations = config.remove_citations and "[" in text
        # A phrase that the page does not have need not be looked for in its lines, with one exception: cutting a
        # citation out of a line can bring a phrase together.
        lorem = config.filter_lorem_ipsum and (citations or "lorem ipsum" in lowered)
        javascript = config.filter_javascript and (citations or "javascript" in lowered)
        policy = config.filter_policy and (citations or any(phrase in lowered for phrase in _POLICY))
        curly = config.filter_curly_bracket and "{" in text
        lines: Counter[str] = Counter()
        kept: list[str] = []
        sentences = 0
        for line in map(str.strip, text.splitlines()):
            if self._has_long_word(line):
                lines["too long word"] += 1
                continue
            enough_words = self._has_enough_words(line)
            if citations:
                line = _CITATION.sub("", line)
            if config.filter_no_terminal_punct and (not line.endswith(_END_PUNCTUATION) or line.endswith("...")):
                lines["no terminal punctuation"] += 1
                continue
            if not enough_words:
                lines["too few words"] += 1
                continue
            lowered = line.lower() if lorem or javascript or policy else ""
            if lorem and "lorem ipsum" in lowered:
                raise Rejection("lorem_ipsum")
            if javascript and "javascript" in lowered:
                lines["javascript"] += 1
                continue
            if curly and "{" in line:
                raise Rejection("curly_bracket")
            if policy and any(phrase in lowered for phrase in _POLICY):
                lines["policy"] += 1
                continue
            if config.min_num_sentences is not None and sentences < config.min_num_sentences:
                sentences += count_sentences(line, config)
            kept.append(line)
        if config.min_num_sentences is not None and sentences < config.min_num_sentences:
            raise Rejection("too_few_sentences")
        left = "\n".join(kept).strip()
        if not left:
            raise Rejection("nothing left")
        document.text = left
        lines["kept"] = len(kept)
        for name, number in lines.items():
            self.count("lines", name, number)
        return document

    def _has_long_word(self, line: str) -> bool:
        longest = self.config.max_word_length
        return longest is not None and len(line) > longest and any(len(word) > longest for word in line.split())

    def _has_enough_words(self, line: str) -> bool:
        least = self.config.min_words_per_line
        return least is None or least < 1 or len(line.split(None, least - 1)) >= least


class FineWebQuality(DocumentStep):
    """Line punctuation, short lines, repeated lines, line breaks per word (FineWeb, arXiv 2406.17557, section 3.6).

    Reasons: ``empty``, ``line_punct_ratio``, ``short_line_ratio``, ``char_dup_ratio``, ``list_ratio``.
    """

    config: FineWebQualityConfig

    def process_document(self, document: Document) -> Document:
        reason = self.reason(document.text)
        if reason is not None:
            raise Rejection(reason)
        return document

    def reason(self, text: str) -> str | None:
        """Return the first rule that ``text`` breaks, or None."""
        config = self.config
        all_lines = lines_of(text, config)
        lines = [line for line in all_lines if line and not line.isspace()]
        if not lines:
            return "empty"
        if config.line_punct_thr is not None:
            ratio = sum(line[-1] in _STOPS for line in lines) / len(lines)
            if ratio < config.line_punct_thr and not (ratio == 0 and config.line_punct_exclude_zero):
                return "line_punct_ratio"
        short = sum(len(line) <= config.short_line_length for line in lines) / len(lines)
        if config.short_line_thr is not None and short > config.short_line_thr:
            return "short_line_ratio"
        breaks = len(all_lines) - 1
        repeated = repeated_parts(lines)[1]
        most = config.char_duplicates_ratio
        if most is not None and repeated and repeated / sum(map(len, all_lines)) > most:
            return "char_dup_ratio"
        if config.new_line_ratio is not None and self._too_many_breaks(text, breaks, config.new_line_ratio):
            return "list_ratio"
        return None

    def _too_many_breaks(self, text: str, breaks: int, most: float) -> bool:
        # A text has at least as many words as pieces between spaces. Mostly this bound decides, without cutting words.
        if self.config.words == "fast" and breaks / len(text.split()) <= most:
            return False
        return breaks / max(1, len(words_of(text, self.config))) > most

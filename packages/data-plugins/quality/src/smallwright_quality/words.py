"""Cutting text into words and sentences, fast enough for web scale and without a download.

DataTrove's filters cut words with spaCy by default, which takes most of their time. This splitter separates words from
punctuation as spaCy does, but leaves contractions whole and does not know abbreviations: ``Dr. Who`` is two sentences
here. For languages without spaces use ``words: spacy``.
"""

import re

from core.data.words import word_pattern
from datatrove.utils.text import split_into_sentences, split_into_words
from datatrove.utils.word_tokenizers import WordTokenizer

from smallwright_quality.config import LinesConfig, WordsConfig


def _words(word: str) -> re.Pattern[str]:
    """Return what finds words, such as ``word`` finds, with their inner signs, and punctuation."""
    return re.compile(rf"{word}(?:['’.]{word}|(?<=\d),\d+)*|\.+|-+|=+|\*+|#+|[^\w\s]")


_WORDS = _words(word_pattern(r"\w"))
_ASCII_WORDS = _words(r"\w+")
_AFTER_WORDS = frozenset(",.;:!?)\"'”’")
# With the look-behind a match begins only at the first of several points: a long run of them takes linear time.
_SENTENCE_END = re.compile(r"(?<![.!?…])[.!?…]++[\"'”’)\]]*+\s++|[。！？।॥۔؟።။]++")


class FastWords(WordTokenizer):
    """Words and punctuation signs by regular expressions, linear in the length of the text.

    All instances are equal, and DataTrove's filters take one as their ``language``.
    """

    def __init__(self) -> None:
        super().__init__("any")

    def __eq__(self, other: object) -> bool:
        return isinstance(other, FastWords)

    def __hash__(self) -> int:
        return hash(FastWords)

    def word_tokenize(self, text: str) -> list[str]:
        """Return words and punctuation signs in order."""
        # No word spans a space. Most pieces between spaces are one word, or one with a sign behind it, and need no
        # regular expression, which takes ten times as long.
        words: list[str] = []
        for piece in text.split():
            if piece.isalnum():
                words.append(piece)
            elif piece[-1] in _AFTER_WORDS and (head := piece[:-1]).isalnum():
                words.append(head)
                words.append(piece[-1])
            else:
                words += (_ASCII_WORDS if piece.isascii() else _WORDS).findall(piece)
        return words

    def span_tokenize(self, text: str) -> list[tuple[int, int]]:
        """Return (start, end) character offsets of sentences, which together cover the text."""
        ends = [match.end() for match in _SENTENCE_END.finditer(text)]
        if not ends or ends[-1] != len(text):
            ends.append(len(text))
        return list(zip([0, *ends[:-1]], ends, strict=True)) if text else []

    def sent_tokenize(self, text: str) -> list[str]:
        """Return sentences without surrounding white space."""
        return [sentence for a, b in self.span_tokenize(text) if (sentence := text[a:b].strip())]


_FAST = FastWords()
_last_words: tuple[str, str, list[str]] = ("", "", [])


def words_of(text: str, config: WordsConfig) -> list[str]:
    """Cut ``text`` into words.

    The words of the last text are kept in this process and nowhere else: steps in a row that look at the same text,
    as documents stream through them one by one, cut it once. Do not change the list.
    """
    global _last_words
    kind = _kind(config)
    if _last_words[0] is not text or _last_words[1] != kind:
        words = _FAST.word_tokenize(text) if config.words == "fast" else split_into_words(text, config.language)
        _last_words = (text, kind, words)
    return _last_words[2]


def count_sentences(line: str, config: WordsConfig) -> int:
    """Return the number of sentences in a line; as in DataTrove an empty line is one."""
    if config.words != "fast":
        return len(split_into_sentences(line, config.language))
    return max(1, len(_FAST.span_tokenize(line)))


def lines_of(text: str, config: LinesConfig) -> list[str]:
    """Return the lines of ``text``, as the setting ``lines`` has it."""
    if config.lines == "lf":
        return text.split("\n")
    if "\r" in text:
        text = text.replace("\r\n", "\n").replace("\r", "\n")
    return [line.rstrip() for line in text.split("\n")]


def _kind(config: WordsConfig) -> str:
    return "fast" if config.words == "fast" else config.language

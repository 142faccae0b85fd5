"""Reject documents that shout."""

import itertools
import re

from core.data.steps import DocumentStep, Rejection
from datatrove.data import Document

from smallwright_no_shouting.config import NoShoutingConfig

_WORDS = re.compile(r"[^\W\d_]{2,}")


class NoShouting(DocumentStep):
    """Reject documents with too many words in capitals, in a row or in all.

    Reasons: ``a long run of capitals``, ``mostly capitals``. Table ``words``: loud and calm words of kept documents.
    """

    config: NoShoutingConfig

    def process_document(self, document: Document) -> Document:
        loud = [word.isupper() for word in _WORDS.findall(document.text)]
        runs = (sum(1 for _ in group) for is_loud, group in itertools.groupby(loud) if is_loud)
        if max(runs, default=0) > self.config.longest_run:
            raise Rejection("a long run of capitals")
        if loud and sum(loud) / len(loud) > self.config.max_share:
            raise Rejection("mostly capitals")
        self.count("words", "loud", sum(loud))
        self.count("words", "calm", len(loud) - sum(loud))
        return document

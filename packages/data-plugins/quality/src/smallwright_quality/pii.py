"""Masking of e-mail and IP addresses with DataTrove's patterns."""

import re
from collections.abc import Iterator

from core.data.steps import DocumentStep
from datatrove.data import Document
from datatrove.pipeline.formatters import PIIFormatter

from smallwright_quality.config import PiiConfig

_SPACES = re.compile(r"(\s+)")


class Pii(DocumentStep):
    """Replace addresses in the text.

    The replacements start anew in each document: DataTrove goes on through the whole shard, and the outcome would
    depend on how documents are dealt out.
    """

    LONGEST_PIECE = 320

    def __init__(self, config: PiiConfig) -> None:
        super().__init__(config)
        self.formatter = PIIFormatter(
            only_remove_public_ips=config.public_ips_only,
            email_replacement=tuple(config.email_replacements),
            ip_replacement=tuple(config.ip_replacements),
        )

    def process_document(self, document: Document) -> Document:
        emails, ips = self.formatter.emails_replacer, self.formatter.ip_replacer
        emails._replace_i = ips._replace_i = 0
        if self.config.emails and "@" in document.text:
            document.text = "".join(self._mask_emails(document.text))
        if self.config.ips:
            document.text = ips.replace(document.text)
        return document

    def _mask_emails(self, text: str) -> Iterator[str]:
        """Yield the text in pieces. The pattern is quadratic in the length of a run without spaces, and pages can
        hold runs of megabytes: it sees pieces of bounded length that hold an ``@``, and no address spans a space."""
        for piece in _SPACES.split(text):
            if "@" not in piece:
                yield piece
                continue
            for start in range(0, len(piece), self.LONGEST_PIECE):
                part = piece[start : start + self.LONGEST_PIECE]
                yield self.formatter.emails_replacer.replace(part) if "@" in part else part

"""Masking of e-mail and IP addresses with DataTrove's patterns (FineWeb, arXiv 2406.17557, section 3.7)."""

import re
from collections.abc import Iterator

from core.data.steps import DocumentStep
from datatrove.data import Document
from datatrove.pipeline.formatters import PIIFormatter

from smallwright_quality.config import PiiConfig
from smallwright_quality.lookalikes import ip_addresses, mail_addresses

_LOCAL_PART_END = re.compile(r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~.-]{1,64}\Z")
_MAYBE_IP = re.compile(r"\d\.\d{1,3}\.\d{1,3}\.\d")


class Pii(DocumentStep):
    """Replace addresses in the text. Table ``masked``: how many of each kind.

    The replacements start anew in each document: DataTrove goes on through the whole shard, and the outcome would
    depend on how documents are dealt out.
    """

    LONGEST_LOCAL_PART = 64
    """Characters before the ``@`` (RFC 5321, section 4.5.3.1.1)."""
    LONGEST_DOMAIN = 255
    """Characters behind it (section 4.5.3.1.2)."""

    config: PiiConfig

    def __init__(self, config: PiiConfig) -> None:
        super().__init__(config)
        formatter = PIIFormatter(only_remove_public_ips=config.public_ips_only)
        self.email: re.Pattern[str] = formatter.emails_replacer.regex
        self.email_domain = re.compile(self.email.pattern.partition("@")[2])
        self.ip: re.Pattern[str] = formatter.ip_replacer.regex
        self.is_wanted_ip = formatter.ip_replacer.validator

    def process_document(self, document: Document) -> Document:
        careful = self.config.lookalikes == "keep"
        if self.config.emails and "@" in document.text:
            text = document.text
            spans = mail_addresses(text, self._emails(text)) if careful else self._emails(text)
            document.text = self._replace(text, list(spans), self.config.email_replacements, "e-mail")
        if self.config.ips and _MAYBE_IP.search(document.text):
            text = document.text
            found = (match for match in self.ip.finditer(text) if self.is_wanted_ip(match.group()))
            spans = (match.span() for match in found)
            spans = ip_addresses(text, spans) if careful else spans
            document.text = self._replace(text, list(spans), self.config.ip_replacements, "ip")
        return document

    def _emails(self, text: str) -> Iterator[tuple[int, int]]:
        """Yield the places of addresses.

        The pattern is quadratic in the length of a run without spaces, and pages have runs of megabytes. So it is
        shown only the surroundings of each ``@``, as far as an address can reach.
        """
        behind = 0
        at = text.find("@")
        while at != -1:
            local = _LOCAL_PART_END.search(text, max(behind, at - self.LONGEST_LOCAL_PART), at)
            domain = self.email_domain.match(text, at + 1, at + 1 + self.LONGEST_DOMAIN) if local else None
            match = self.email.search(text, local.start(), domain.end()) if local and domain else None
            if match is not None and match.start() < at:
                yield match.span()
                behind = match.end()
            at = text.find("@", max(at + 1, behind))

    def _replace(self, text: str, spans: list[tuple[int, int]], replacements: tuple[str, ...], kind: str) -> str:
        if not spans:
            return text
        self.count("masked", kind, len(spans))
        parts, behind = [], 0
        for number, (start, end) in enumerate(spans):
            parts += [text[behind:start], replacements[number % len(replacements)]]
            behind = end
        return "".join([*parts, text[behind:]])

"""The step ``code_quality``: StarCoder2's basic filters, against data, generated and minified files."""

import re

from core.data.steps import DocumentStep, Rejection
from datatrove.data import Document

from smallwright_stack_edu.config import CodeQualityConfig

# StarCoder2 (arXiv 2402.19173 §2.1): base64, hexadecimal bytes, escapes of characters. White space after the commas
# between bytes is ours: most lists of them are written so.
ENCODED = re.compile(
    r"[a-zA-Z0-9+/\n=]{64,}|(?:\b(?:0x|\\x)?[0-9a-fA-F]{2}(?:,\s*|\b\s*)){8,}|(?:\\u[0-9a-fA-F]{4}){8,}"
)


class CodeQuality(DocumentStep):
    """Reject files that are data, generated or minified.

    Reasons: ``too many lines``, ``long lines``, ``few letters``, ``generated``, ``encoded data``.
    """

    config: CodeQualityConfig

    def __init__(self, config: CodeQualityConfig | None = None) -> None:
        super().__init__(config or CodeQualityConfig())

    def process_document(self, document: Document) -> Document:
        config = self.config
        text = document.text
        lines = text.splitlines() or [""]
        if config.max_lines is not None and len(lines) > config.max_lines:
            raise Rejection("too many lines")
        longest = max(map(len, lines))
        if document.metadata.get(config.language_field) in config.prose:
            if config.max_prose_line is not None and longest > config.max_prose_line:
                raise Rejection("long lines")
        else:
            mean = sum(map(len, lines)) / len(lines)
            if (config.max_line is not None and longest > config.max_line) or (
                config.max_mean_line is not None and mean > config.max_mean_line
            ):
                raise Rejection("long lines")
        letters = sum(map(str.isalpha, text))
        if config.min_alphabetic is not None and letters < config.min_alphabetic * len(text):
            raise Rejection("few letters")
        head = "\n".join(lines[: config.generated_lines]).lower()
        if any(phrase.lower() in head for phrase in config.generated_phrases):
            raise Rejection("generated")
        self._check_encoded(text)
        return document

    def _check_encoded(self, text: str) -> None:
        total = 0
        for match in ENCODED.finditer(text):
            run = match.end() - match.start()
            total += run
            if self.config.max_encoded_run is not None and run > self.config.max_encoded_run:
                raise Rejection("encoded data")
        if self.config.max_encoded_share is not None and total > self.config.max_encoded_share * len(text):
            raise Rejection("encoded data")

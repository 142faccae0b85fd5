"""Web pages inside documents: what the plugins that read pages and those that extract text must agree on.

A page travels as a document whose text is its HTML, already decoded. ``metadata["content_type"]`` is ``text/plain``
where there is no markup in it; without that key the text is taken for HTML. So an extractor works on any reader's
documents: of archives, or of JSON lines and Parquet with a column of HTML.
"""

EXTRACTED = "extracted"
"""Metadata key that is True in a document whose page has been replaced by its text, so that nobody extracts from it
again. A step that puts a page back takes the key away."""


class Utf8Text(str):
    """Text that keeps the UTF-8 bytes which it was decoded from.

    Most pages come as UTF-8, and extractors in other processes want UTF-8: keeping it saves encoding every page anew.
    """

    __slots__ = ("utf8",)
    utf8: bytes

    @classmethod
    def decode(cls, data: bytes) -> "Utf8Text":
        """Decode strictly.

        Raises:
            UnicodeDecodeError: ``data`` is not UTF-8.
        """
        text = cls(data, "utf-8")
        text.utf8 = data
        return text


def utf8_of(text: str) -> bytes:
    """Return ``text`` in UTF-8; lone surrogates become question marks."""
    return text.utf8 if isinstance(text, Utf8Text) else text.encode("utf-8", "replace")

"""Words that stand for something in the text of one page, while an extractor works on it."""

import functools
import hashlib


class Marks:
    """Words that a page cannot hold itself, since they depend on the whole of it.

    They are letters and digits alone, which no extractor changes or takes apart.

    Args:
        html: Source of the page.
    """

    def __init__(self, html: str) -> None:
        self._html = html

    @functools.cached_property
    def word(self) -> str:
        """The word that all marks of this page begin with."""
        return "q" + hashlib.blake2b(self._html.encode("utf-8", "replace"), digest_size=6).hexdigest()

    @functools.cached_property
    def block(self) -> str:
        """Begins the mark of a block of code or of a table."""
        return f"{self.word}b"

    @functools.cached_property
    def code(self) -> str:
        """Parts what would be read as the delimiter of a formula, but stands in code."""
        return f"{self.word}c"

    @functools.cached_property
    def raised(self) -> str:
        """Encloses an exponent."""
        return f"{self.word}u"

    @functools.cached_property
    def lowered(self) -> str:
        """Encloses an index."""
        return f"{self.word}d"

    @functools.cached_property
    def joiner(self) -> str:
        """Begins the mark of a zero-width joiner or non-joiner, which Trafilatura drops."""
        return f"{self.word}z"

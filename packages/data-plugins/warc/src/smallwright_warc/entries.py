"""What an archive gives while it is read: records, and places that could not be read."""

import dataclasses

BAD_HEADERS = "bad WARC headers"
WRONG_LENGTH = "wrong record length"
NOT_WARC = "not a WARC file"
EMPTY = "empty file"


@dataclasses.dataclass(slots=True)
class ArchiveEntry:
    """A record, or a place where the file could not be read."""

    offset: int
    """Byte offset in the file as stored; in a compressed file, of the member that the record is in."""
    kind: str = "unknown"
    """``response``, ``request``, ``warcinfo`` ... in FastWARC's words."""
    headers: dict[str, str] = dataclasses.field(default_factory=dict)
    """WARC headers, names in lower case."""
    block: bytes | None = None
    """Content of a wanted record; None when it is not wanted, too large or broken."""
    too_large: bool = False
    problem: str | None = None
    """Why the record, or this place, cannot be read."""
    length: int | None = None
    """Stored bytes from ``offset`` to the next record; None in a member with several records, or beside damage."""
    number: int = 0
    """How many entries before this one have the same offset."""

    def damaged(self, problem: str | None) -> "ArchiveEntry":
        """Return this entry with ``problem`` and without its content; with None, as it is."""
        if problem is not None:
            self.problem, self.block = problem, None
        return self

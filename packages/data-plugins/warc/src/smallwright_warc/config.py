"""Settings of the steps and of the demonstration crawl."""

import dataclasses

from core.config import setting


@dataclasses.dataclass(frozen=True, kw_only=True)
class ReadWarcConfig:
    """Settings of ``read_warc``."""

    max_record_bytes: int = setting(10 * 1024 * 1024)
    """Largest record block, and largest decoded page, in bytes; larger ones are set aside unread."""
    statuses: tuple[int, ...] = setting((200,))
    """HTTP status codes whose pages are kept."""
    content_types: tuple[str, ...] = setting(("text/html", "application/xhtml+xml", "text/plain"))
    """Media types whose pages are kept. A response that declares none is kept when its first bytes look like HTML."""

    def __post_init__(self) -> None:
        if self.max_record_bytes < 1:
            raise ValueError(f"max_record_bytes={self.max_record_bytes}: must be at least 1.")


@dataclasses.dataclass(frozen=True, kw_only=True)
class ExtractTextConfig:
    """Settings of ``extract_text``."""

    main_content: bool = setting(True)
    """Leave out navigation, footers, advertisements and the like."""
    math: bool = setting(True)
    """Turn MathML, MathJax and KaTeX into ``$...$`` before extracting."""
    max_page_bytes: int = setting(4 * 1024 * 1024)
    """Largest page in UTF-8 bytes of HTML; larger ones are set aside."""
    max_depth: int = setting(1000)
    """Deepest nesting of elements; deeper pages are set aside, because extraction time grows with its square."""
    min_characters: int = setting(1)
    """Pages with less text than this are set aside."""
    list_bullets: bool = setting(True)
    """Mark list items with a bullet."""
    comments: bool = setting(True)
    """Keep the comment sections of pages: answers in forums are often marked up as comments."""

    def __post_init__(self) -> None:
        for name in ("max_page_bytes", "max_depth", "min_characters"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name}={getattr(self, name)}: must be at least 1.")


@dataclasses.dataclass(frozen=True, kw_only=True)
class DemoCrawlConfig:
    """Settings of ``demo_crawl``."""

    files: int = setting(4)
    """Number of ``.warc.gz`` files."""
    scale: float = setting(1.0)
    """Size of the crawl: 1.0 gives about a thousand pages, half of them maths lessons worth keeping."""
    oversized_bytes: int = setting(12 * 1024 * 1024)
    """Size of the one record that is too large to keep; it compresses to a few kilobytes."""
    contaminate_with: tuple[str, ...] = setting(
        (
            "smallwright_eval:tasks/smallwright_arithmetic_cloze.jsonl",
            "smallwright_eval:tasks/smallwright_lesson_completion.jsonl",
        ),
        files=True,
    )
    """Evaluation items (``{"context", "choices", "label"}`` per line) copied into some pages, for decontamination to
    find: paths of JSONL files, or ``package:relative/path``. One that is not installed is left out, with a log line."""

    def __post_init__(self) -> None:
        if not 1 <= self.files <= 64:
            raise ValueError(f"files={self.files}: must be from 1 to 64.")
        if not 0.05 <= self.scale <= 100:
            raise ValueError(f"scale={self.scale}: must be from 0.05 to 100.")

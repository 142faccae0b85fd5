"""Settings of ``demo_crawl``."""

import dataclasses

from core.typed import setting


@dataclasses.dataclass(frozen=True, kw_only=True)
class DemoCrawlConfig:
    """Settings of ``demo_crawl``."""

    files: int = setting(4, ge=1, le=64)
    """Number of ``.warc.gz`` files."""
    scale: float = setting(1.0, ge=0.05, le=100)
    """Size of the crawl: 1.0 gives about a thousand pages, half of them maths lessons worth keeping."""
    oversized_bytes: int = setting(12 * 1024 * 1024, ge=0, le=2**30)
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

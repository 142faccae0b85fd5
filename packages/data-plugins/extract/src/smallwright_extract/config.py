"""Settings of ``extract_text``."""

import dataclasses
from typing import Literal

from core.interfaces import StepConfig
from core.typed import setting


@dataclasses.dataclass(frozen=True, kw_only=True)
class ExtractTextConfig(StepConfig):
    """Settings of ``extract_text``."""

    extractor: Literal["resiliparse", "trafilatura"] = setting("resiliparse")
    """Who finds and writes the text. Resiliparse: SmolLM2 (FineMath) and DCLM; Trafilatura: FineWeb. Trafilatura takes
    eight to nine times as long, and loses less than 20 characters that stand in a block before its first paragraph."""
    main_content: bool = setting(True)
    """Leave out navigation, footers, advertisements and the like."""
    quality: Literal["fast", "precise"] = setting("fast")
    """How Resiliparse finds the main content. ``fast``: by its own rules, with lists of text that these take for menus.
    ``precise``: our rules find the article first. ``benchmarks/extraction_quality.py`` measures them."""
    favour: Literal["precision", "balanced", "recall"] = setting("precision")
    """What Trafilatura prefers when in doubt; FineWeb (§3.1) favours precision."""
    math: bool = setting(True)
    """Turn MathML, MathJax, KaTeX, images of formulas, exponents and indices into LaTeX in dollar signs before
    extracting. Without it, exponents and indices are written ``10^-3`` and ``H_2O``."""
    code_fences: bool = setting(False)
    """Put code blocks between three backticks, with the language where the page names it. Their lines and indentation
    are kept in any case."""
    tables: Literal["rows", "markdown"] = setting("rows")
    """Write tables of data as rows, as the extractor does, or as Markdown tables. There a caption stands above its
    table, a cell over several rows is repeated in each, and one over several columns is followed by empty ones."""
    list_bullets: bool = setting(True)
    """Mark list items with a bullet (Resiliparse; Trafilatura always does)."""
    comments: bool = setting(True)
    """Keep the comment sections of pages: answers in forums are often marked up as comments."""
    min_characters: int = setting(1, ge=1)
    """Pages with less text than this are set aside."""
    max_page_bytes: int = setting(4 * 1024 * 1024, ge=1)
    """Largest page in UTF-8 bytes of HTML; larger ones are set aside."""
    max_depth: int = setting(1000, ge=1, le=5000)
    """Deepest nesting of elements; deeper pages are set aside, because extraction time grows with its square."""
    isolate: bool = setting(True)
    """Extract in a child process, which is the only way to stop an extractor written in C or Rust. Without it, the
    limits on time and memory do not hold."""
    timeout_s: float = setting(10.0, ge=0.05, le=3600)
    """Longest time for one page. Whether a page takes longer depends on the machine: keep it generous, so that only
    pages that would hang are meant."""
    max_memory_mb: int = setting(2048, ge=64)
    """Most memory for one page, beyond what an idle extractor needs (Linux)."""

"""Settings of the steps and of the demonstration files."""

import dataclasses
from collections.abc import Mapping
from typing import Any, Literal

from core.errors import ConfigError
from core.interfaces import StepConfig
from core.typed import setting

# The 15 languages of Stack-Edu (SmolLM2, arXiv 2502.02737, App. D).
LANGUAGES = (
    "C", "C#", "C++", "Go", "Java", "JavaScript", "Markdown", "PHP", "Python", "Ruby", "Rust", "SQL", "Shell", "Swift",
    "TypeScript",
)  # fmt: skip
# Common permissive licences by their SPDX names: a choice of ours. StarCoder2's list (arXiv 2402.19173 App. A.4) is the
# Blue Oak Council's with what ScanCode calls permissive or public domain.
PERMISSIVE = (
    "0BSD", "AFL-3.0", "Apache-2.0", "Artistic-2.0", "BlueOak-1.0.0", "BSD-2-Clause", "BSD-3-Clause",
    "BSD-3-Clause-Clear", "BSD-4-Clause", "BSL-1.0", "CC-BY-4.0", "CC0-1.0", "ECL-2.0", "ISC", "MIT", "MIT-0", "MS-PL",
    "MulanPSL-2.0", "NCSA", "PostgreSQL", "PSF-2.0", "Python-2.0", "Unlicense", "UPL-1.0", "W3C", "WTFPL", "X11",
    "Zlib",
)  # fmt: skip


@dataclasses.dataclass(frozen=True, kw_only=True)
class CodeLanguageConfig(StepConfig):
    """Settings of ``code_language``."""

    languages: tuple[str, ...] = setting(LANGUAGES, min_length=1)
    """Languages to keep, by their names on GitHub. HTML is not among Stack-Edu's (SmolLM2, App. D)."""
    field: str = setting("language")
    """Metadata with the language, where the rows have one; the step writes the common name there."""
    path_field: str = setting("path")
    """Metadata with the file's path, whose ending says the language where the rows have none."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class LicenseFilterConfig(StepConfig):
    """Settings of ``license_filter``."""

    type_field: str = setting("license_type")
    """Metadata with the kind of licence, as in The Stack v2 and Stack-Edu: ``permissive`` or ``no_license``."""
    types: tuple[str, ...] = setting(("permissive", "no_license"))
    """Kinds to keep. StarCoder2 left out copyleft and commercial licences (arXiv 2402.19173 §2.1)."""
    licenses_field: str = setting("detected_licenses")
    """Metadata with the names of the licences, used where a row has no kind."""
    licenses: tuple[str, ...] = setting(PERMISSIVE)
    """Licences to keep; every licence of a file must be among them, as in StarCoder2 (§2.1, figure 1). Case does not
    count."""
    missing: Literal["keep", "reject"] = setting("reject")
    """What to do with a file whose row says nothing of a licence. A row whose list of licences is empty has none, and
    counts as ``no_license``."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class FetchContentsConfig(StepConfig):
    """Settings of ``fetch_contents``."""

    base: str = setting("s3://softwareheritage/content", identity=False)
    """Where contents lie as ``<base>/<blob id>``, gzip; anything fsspec opens. An id names its content, so the place
    is not part of the identity."""
    storage_options: Mapping[str, Any] | None = setting(None, identity=False)
    """Options of the file system; null: none, and for ``s3://`` {anon: true}. With credentials: {anon: false}."""
    id_field: str = setting("blob_id")
    """Metadata with the id of the content: hexadecimal digits."""
    encoding_field: str = setting("src_encoding")
    """Metadata with the character encoding."""
    encoding: str = setting("utf-8")
    """Encoding where the row names none."""
    refetch: bool = setting(False)
    """Fetch also for rows that came with their text."""
    max_bytes: int = setting(10 * 1024 * 1024, ge=1)
    """Largest content, as stored and as text; larger ones are set aside. StarCoder2 took what is under 10 MB as stored
    (arXiv 2402.19173 §2.1)."""
    threads: int = setting(32, ge=1, le=10_000, identity=False)
    """Contents fetched at a time, by each worker."""
    retries: int = setting(4, ge=0, identity=False)
    """Further tries after the storage failed, with twice the pause each time."""
    pause: float = setting(0.5, ge=0, le=3600, identity=False)
    """Seconds before the second try."""
    give_up_after: int = setting(50, ge=1, identity=False)
    """So many failures of the storage in a row end the run, because then not the files are at fault."""

    def __post_init__(self) -> None:
        try:
            "".encode(self.encoding)
        except LookupError:
            raise ConfigError(f"encoding={self.encoding}: unknown; such as utf-8.") from None


@dataclasses.dataclass(frozen=True, kw_only=True)
class CodeQualityConfig(StepConfig):
    """Settings of ``code_quality``: StarCoder2's basic filters (arXiv 2402.19173 §2.1). Null: no such rule."""

    max_lines: int | None = setting(100_000, ge=1)
    """More lines are data or generated code."""
    max_mean_line: float | None = setting(100.0, ge=1)
    """Longest mean line in characters."""
    max_line: int | None = setting(1000, ge=1)
    """Longest line in characters."""
    prose: tuple[str, ...] = setting(("HTML", "JSON", "Markdown", "Roff", "Roff Manpage", "SMT", "TeX", "Text", "XML"))
    """Languages whose lines may be long: for them only ``max_prose_line`` counts."""
    max_prose_line: int | None = setting(100_000, ge=1)
    """Longest line in characters, of these languages."""
    min_alphabetic: float | None = setting(0.25, ge=0, le=1)
    """Least share of characters that are letters."""
    generated_phrases: tuple[str, ...] = setting(
        (
            "auto-generated",
            "autogenerated",
            "automatically generated",
            "generated automatically",
            "this file is generated",
        )
    )
    """Marks of generated files, looked for in the first ``generated_lines`` lines."""
    generated_lines: int = setting(5, ge=0)
    """Lines looked at for these marks."""
    max_encoded_run: int | None = setting(1024, ge=1)
    """Longest run of encoded data (base64, hexadecimal bytes, escapes) in characters."""
    max_encoded_share: float | None = setting(0.5, ge=0, le=1)
    """Largest share of the file's characters in such runs."""
    language_field: str = setting("language")
    """Metadata with the language."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class DemoCodeConfig:
    """Settings of ``demo_code``."""

    files: int = setting(4, ge=1, le=64)
    """Number of ``.jsonl.gz`` files."""
    scale: float = setting(1.0, ge=0.1, le=1)
    """Share of the topics and so, about, of the files: 1.0 gives 623 rows."""
    contaminate_with: tuple[str, ...] = setting(
        ("smallwright_eval:tasks/smallwright_lesson_completion.jsonl",), files=True
    )
    """Evaluation items (``{"context", "choices", "label"}`` per line) copied into some files, for decontamination to
    find: paths of JSONL files, or ``package:relative/path``. One that is not installed is left out."""

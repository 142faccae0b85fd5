"""The settings that all steps share which read rows."""

import dataclasses
from typing import Literal

from core.errors import ConfigError
from core.interfaces import StepConfig
from core.typed import setting


@dataclasses.dataclass(frozen=True, kw_only=True)
class RowsConfig(StepConfig):
    """How a row becomes a document: the keys that all steps share which read rows."""

    text: str = setting("text")
    """Field of the text; ``a.b`` is field b of field a, ``a.0`` the first item of a list."""
    id: str | None = setting("id", min_length=1)
    """Field of the document's id. Where a row has none, or null, the id is ``<file>:<row>``."""
    url: str | None = setting("url", min_length=1)
    """Field of the URL; null: no row has one."""
    metadata: tuple[str, ...] | None = setting(None)
    """Other fields to keep in the document's metadata; null: all of them."""
    max_metadata_bytes: int = setting(16_384, ge=0)
    """Most bytes of other fields a document, names included. Fields that do not fit are left out and named in its
    ``left_out``."""
    max_row_bytes: int = setting(16 * 1024 * 1024, ge=16)
    """Longest line, or text, in bytes; longer rows are set aside."""
    without_text: Literal["fail", "keep"] = setting("fail")
    """Rows whose text is missing or empty: set aside, or kept as references whose text a later step fetches."""

    FORMAT = "json"
    """How the step reads a file: ``json``, ``parquet`` or ``by ending``. No setting."""

    def __post_init__(self) -> None:
        if not self.text:
            raise ConfigError("text: not set. Name the field that holds the text, such as text=content.")

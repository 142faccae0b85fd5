"""Settings of the reading steps."""

import dataclasses
from collections.abc import Sequence
from typing import Literal

from core.data.charsets import decode_strictly
from core.errors import ConfigError
from core.interfaces import StepConfig
from core.typed import setting

from smallwright_files.hub import list_files
from smallwright_files.listing import artifact_files
from smallwright_files.rows_config import RowsConfig


class LookedInto(RowsConfig):
    """Settings of a step whose files are looked into while planning."""

    def check_files(self, files: Sequence[str], where: str) -> None:
        """Refuse a field of the text that the first whole file does not have, and files that are all damaged; warn of
        some. Files behind a network are not asked here."""
        from smallwright_files.heads import check_heads, whole  # imports the engines of the formats

        local = [file for file in files if "://" not in file]
        check_heads(self, whole(self, local, where)[:1], where)


@dataclasses.dataclass(frozen=True, kw_only=True)
class ReadJsonlConfig(LookedInto):
    """Settings of ``read_jsonl``: one JSON object a line; plain, gzip, zstd, xz or bzip2."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class ReadParquetConfig(LookedInto):
    """Settings of ``read_parquet``."""

    FORMAT = "parquet"


@dataclasses.dataclass(frozen=True, kw_only=True)
class ReadHubConfig(LookedInto):
    """Settings of ``read_hub``: a dataset of the Hugging Face hub, streamed, or a local folder laid out like one."""

    FORMAT = "by ending"

    dataset: str | None = setting(None, files=True)
    """Hub id (``owner/name``) or local folder. Required."""
    name: str | None = setting(None)
    """Configuration of the dataset (its subset); null: its default one."""
    split: str = setting("train", min_length=1)
    """Split whose data files are read."""
    revision: str | None = setting(None, identity=False)
    """Commit, tag or branch; null: the newest commit. The commit that it is now counts for the identity, as part of
    the names of the data files, and is recorded in every document."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.dataset:
            raise ConfigError(
                "dataset: not set. Name the dataset: data.steps.read.dataset=<hub id or folder>, and its text field "
                "with data.steps.read.text=<field> where that is not 'text'."
            )

    def inputs(self) -> tuple[str, ...]:
        """Return the data files of the split."""
        return list_files(self.dataset or "", self.name, self.split, self.revision)


@dataclasses.dataclass(frozen=True, kw_only=True)
class ReadTextConfig(StepConfig):
    """Settings of ``read_text``: plain text; plain, gzip, zstd, xz or bzip2."""

    split: Literal["file", "blocks"] = setting("file")
    """A document is a file, or each block of lines between blank lines."""
    encoding: str = setting("utf-8")
    """Character encoding of the files, one in which a line ends with the byte of ASCII (not utf-16); text that is not
    in it is set aside."""
    max_document_bytes: int = setting(16 * 1024 * 1024, ge=1)
    """Longest document in bytes; longer ones are set aside."""

    def __post_init__(self) -> None:
        try:
            line_end = decode_strictly(b"\r\n", self.encoding)
        except LookupError:
            raise ConfigError(f"encoding={self.encoding}: unknown; such as utf-8 or latin-1.") from None
        except UnicodeError:
            line_end = ""
        if line_end != "\r\n":
            raise ConfigError(f"encoding={self.encoding}: has other line ends than ASCII; convert the files to utf-8.")


@dataclasses.dataclass(frozen=True, kw_only=True)
class ReadDocumentsConfig(StepConfig):
    """Settings of ``read_documents``: what an earlier data stage kept, or set aside."""

    artifact: str | None = setting(None, identity=False)
    """Folder of a data artifact (``store/data/<name>``) whose files to read; null: the recipe's ``paths``. Its files'
    content is part of the identity in either case."""
    folder: Literal["documents", "rejected"] = setting("documents")
    """Which of the artifact's documents: those kept, or those set aside."""
    steps: tuple[str, ...] | None = setting(None)
    """Rejected documents only: labels of the steps that set them aside; null: any."""
    outcomes: tuple[Literal["rejected", "failed"], ...] = setting(("rejected",), min_length=1)
    """Rejected documents only: decided against, or could not be handled."""
    reasons: tuple[str, ...] | None = setting(None)
    """Rejected documents only: reasons, word for word as the report has them; null: any."""
    urls: tuple[str, ...] | None = setting(None)
    """URLs to read; null: any, unless ``url_files`` names some."""
    url_files: tuple[str, ...] = setting((), files=True)
    """Files with a URL a line, read beside ``urls``."""

    def inputs(self) -> tuple[str, ...]:
        """Return the Parquet files of the artifact's folder."""
        return artifact_files(self.artifact, self.folder)

"""Count what passes, and find long documents."""

import functools
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from core.data.documents import encodable
from core.data.steps import DocumentStep, Rejection, StepContext
from core.errors import InputError
from core.writing import replacing
from datatrove.data import Document

from smallwright_quality.config import LongDocumentsConfig, StatisticsConfig, TokensConfig
from smallwright_quality.hosts import domain_of


def token_count(text: str, config: TokensConfig) -> int:
    """Return the number of tokens of ``text``, without special ones, or the estimate."""
    encoded = text.encode("utf-8", "replace")
    if config.tokenizer is None:
        return round(len(encoded) / config.bytes_per_token)
    return len(load_tokenizer(config.tokenizer).encode(encoded.decode("utf-8"), add_special_tokens=False))


@functools.lru_cache(maxsize=2)
def load_tokenizer(path: str) -> Any:
    """Load a tokenizer once per process.

    Raises:
        InputError: there is none.
    """
    from tokenizers import Tokenizer

    file = Path(path) / "tokenizer.json" if Path(path).is_dir() else Path(path)
    if not file.is_file():
        raise InputError(f"tokenizer={path}: no such file; give a tokenizer.json or a folder with one.")
    try:
        tokenizer = Tokenizer.from_file(str(file))
    except Exception as error:  # the library raises plain Exception
        raise InputError(f"tokenizer={path}: not a tokenizer ({error}).") from None
    tokenizer.no_truncation()
    tokenizer.no_padding()
    return tokenizer


class _CountingStep(DocumentStep):
    """A step that counts tokens. A tokenizer that cannot be loaded ends the run before any work."""

    config: TokensConfig

    def bind(self, context: StepContext) -> None:
        super().bind(context)
        if self.config.tokenizer is not None:
            load_tokenizer(self.config.tokenizer)


class Statistics(_CountingStep):
    """Let everything pass and count it.

    Tables: ``totals`` (documents, characters, UTF-8 bytes, words, lines, tokens or "tokens (estimated)"), ``tokens per
    document`` (by powers of two), one for each metadata name in ``by``, and ``domains``. The funnel says which share of
    documents is kept; comparing the tables of two such steps in one recipe says which share of tokens.
    """

    config: StatisticsConfig

    def process_document(self, document: Document) -> Document:
        text = document.text
        tokens = token_count(text, self.config)
        estimated = " (estimated)" if self.config.tokenizer is None else ""
        self.count("totals", "documents")
        self.count("totals", "characters", len(text))
        self.count("totals", "UTF-8 bytes", len(text.encode("utf-8", "replace")))
        self.count("totals", "words", len(text.split()))
        self.count("totals", "lines", text.count("\n") + bool(text))
        self.count("totals", f"tokens{estimated}", tokens)
        self.count(f"tokens per document{estimated}", length_bin(tokens))
        for name in self.config.by:
            self.count(name, str(document.metadata.get(name, "(none)"))[:100])
        if self.config.domains:
            self.count("domains", domain_of(str(document.metadata.get("url") or ""), "host")[:100] or "(none)")
        return document


def length_bin(tokens: int) -> str:
    """Return the power of two that ``tokens`` falls into, written so that bins sort by size."""
    if tokens == 0:
        return "2^-- 0"
    power = tokens.bit_length() - 1
    return f"2^{power:02d} {1 << power}-{(2 << power) - 1}"


class LongDocuments(_CountingStep):
    """Write ``tokens`` and ``long`` to the metadata, and an index of long documents for context extension to pick from.

    The index is ``reports/<position>-<label>/<rank>.parquet`` in the corpus, one row a long document: id, url, source,
    tokens. It lists what passed here: put the step last. Reason, with ``keep: long``: ``short``. Tables ``long
    documents`` and ``tokens in long documents``, by source.
    """

    INDEX = pa.schema([("id", pa.string()), ("url", pa.string()), ("source", pa.string()), ("tokens", pa.int64())])
    ROWS_PER_GROUP = 10_000

    config: LongDocumentsConfig

    def __init__(self, config: LongDocumentsConfig) -> None:
        super().__init__(config)
        self._rows: list[dict[str, Any]] = []

    def process(self, documents: Iterator[Document], rank: int, world_size: int) -> Iterator[Document]:
        self._rows = []
        if self.context.reports is None:
            yield from super().process(documents, rank, world_size)
            return
        path = self.context.reports / f"{rank:05d}.parquet"
        with replacing(path) as partial, pq.ParquetWriter(partial, self.INDEX, compression="zstd") as writer:
            for document in super().process(documents, rank, world_size):
                yield document
                if len(self._rows) >= self.ROWS_PER_GROUP:
                    writer.write_table(self._take())
            writer.write_table(self._take())

    def _take(self) -> pa.Table:
        table, self._rows = pa.Table.from_pylist(self._rows, schema=self.INDEX), []
        return table

    def process_document(self, document: Document) -> Document:
        config = self.config
        tokens = token_count(document.text, config)
        is_long = tokens >= config.min_tokens
        document.metadata["tokens"] = tokens
        document.metadata["long"] = is_long
        if is_long:
            url = str(document.metadata.get("url") or "")
            source = domain_of(url, "host") if config.by is None else str(document.metadata.get(config.by, ""))
            self.count("long documents", source[:100] or "(none)")
            self.count("tokens in long documents", source[:100] or "(none)", tokens)
            words = {"id": document.id, "url": url, "source": source}
            self._rows.append({key: encodable(value) for key, value in words.items()} | {"tokens": tokens})
        elif config.keep == "long":
            raise Rejection("short")
        return document

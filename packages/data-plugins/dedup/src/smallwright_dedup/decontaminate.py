"""Removal of documents that hold benchmark items."""

import functools
import json
from collections import Counter
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

from smallwright_dedup.against import resolve
from smallwright_dedup.benchmarks import read_items
from smallwright_dedup.config import DecontaminateConfig
from smallwright_dedup.matching import ItemIndex, Match

LARGEST_SHOWN = 20
_MATCHES = pa.schema(
    [
        *((name, pa.string()) for name in ("document", "url", "benchmark", "item")),
        ("ratio", pa.float64()),
        ("words", pa.string()),
    ]
)


class Decontaminate(DocumentStep):
    """Reject documents that share ``ngram`` words in a row with an item and then enough of the rest.

    Reason: ``contaminated``. Metadata: ``contaminated_by`` (``<benchmark>:<item id>``), ``contamination_ratio``,
    ``contamination_match`` (the shared n-gram), for the item with the highest ratio, the first one where equal.

    Leaves in the artifact's folder of reports: ``matches/<rank>.parquet``, a row for each document and item found in
    it; ``documents.jsonl``, the items found in each document; ``items.jsonl``, the documents that each item was found
    in; ``short_items.jsonl``, the items with a text of fewer words than an n-gram.
    """

    config: DecontaminateConfig

    def __init__(self, config: DecontaminateConfig) -> None:
        super().__init__(config)
        self._paths: tuple[Path, ...] = ()
        self._matches: list[dict[str, Any]] = []

    def bind(self, context: StepContext) -> None:
        super().bind(context)
        self._paths = tuple(resolve(name, context.plugin_files) for name in self.config.against)
        self._index()

    def process(self, documents: Iterator[Document], rank: int, world_size: int) -> Iterator[Document]:
        self._matches = []
        yield from super().process(documents, rank, world_size)
        if self.context.reports is not None:
            target = self.context.reports / "matches" / f"{rank:05d}.parquet"
            with replacing(target) as partial:
                pq.write_table(pa.Table.from_pylist(self._matches, schema=_MATCHES), partial)

    def process_document(self, document: Document) -> Document:
        config = self.config
        found, cut = self._index().match(document.text, config.least_ratio, config.max_checks, config.max_characters)
        if cut:
            self.count("decontaminate", "documents compared in part")
        if not found:
            return document
        for benchmark in dict.fromkeys(match.item.benchmark for match in found):
            self.count("contaminated documents", benchmark)
        for match in found:
            self._note(document, match)
        best = found[0]
        document.metadata["contaminated_by"] = best.item.name
        document.metadata["contamination_ratio"] = round(best.ratio, 4)
        document.metadata["contamination_match"] = best.words
        raise Rejection("contaminated")

    def report(self) -> dict[str, Any]:
        index = self._index()
        report: dict[str, Any] = {
            "step": "decontaminate",
            "rule": self.config.rule,
            "ngram": self.config.words_in_a_row,
            "ratio": self.config.least_ratio,
            "texts_looked_for": len(index.texts) + sum(whole for _, _, whole in index.short),
            "texts_too_short": len(index.short),
            "texts_not_looked_for": sum(not whole for _, _, whole in index.short),
        }
        folder = self.context.reports
        if folder is None:
            return report
        folder.mkdir(parents=True, exist_ok=True)
        with (folder / "short_items.jsonl").open("w", encoding="utf-8") as file:
            for item, words, whole in index.short:
                file.write(json.dumps({"item": item.name, "words": words, "looked_for": whole}) + "\n")
        by_item = _write_by_document(folder)
        order = sorted(by_item, key=lambda name: (-len(by_item[name]), name))
        with (folder / "items.jsonl").open("w", encoding="utf-8") as file:
            for name in order:
                file.write(json.dumps({"item": name, "documents": by_item[name]}) + "\n")
        benchmarks = Counter(name.partition(":")[0] for name in order)
        return report | {
            "items_found": len(order),
            "items_found_by_benchmark": dict(benchmarks.most_common()),
            "most_found": [{"item": name, "documents": len(by_item[name])} for name in order[:LARGEST_SHOWN]],
        }

    def _note(self, document: Document, match: Match) -> None:
        self._matches.append(
            {
                "document": encodable(document.id),
                "url": encodable(str(document.metadata.get("url") or "")),
                "benchmark": match.item.benchmark,
                "item": match.item.id,
                "ratio": round(match.ratio, 4),
                "words": match.words,
            }
        )

    def _index(self) -> ItemIndex:
        config = self.config
        paths = self._paths or tuple(resolve(name) for name in config.against)
        shortest = config.shortest if config.short_items == "exact" else None
        stamps = tuple((path.stat().st_size, path.stat().st_mtime_ns) for path in paths)
        names = names_in_reports(config.against)
        return load_index(paths, stamps, names, config.fields, config.words_in_a_row, config.rule, shortest)


@functools.lru_cache(maxsize=4)
def load_index(
    paths: tuple[Path, ...],
    stamps: tuple[tuple[int, int], ...],
    names: tuple[str, ...],
    fields: tuple[str, ...] | None,
    ngram: int,
    rule: Any,
    shortest: int | None,
) -> ItemIndex:
    """Index the items of ``paths``. Kept per process and not in the step, which DataTrove copies for every shard.

    Args:
        stamps: Sizes and times of the files, so that one that has changed is read again.

    Raises:
        InputError: a file is no list of items, or none of the items is long enough to be found.
    """
    items = [item for path, name in zip(paths, names, strict=True) for item in read_items(path, name, fields)]
    index = ItemIndex(items, ngram, rule, shortest)
    if not index.texts and not any(whole for _, _, whole in index.short):
        raise InputError(
            f"against={', '.join(names)}: none of {len(items)} items has {ngram} words; lower ngram, or set "
            "short_items=exact."
        )
    return index


def _write_by_document(folder: Path) -> dict[str, list[str]]:
    """Write ``documents.jsonl`` from the matches of all ranks, and return the documents of each item."""
    by_item: dict[str, list[str]] = {}
    with (folder / "documents.jsonl").open("w", encoding="utf-8") as file:
        for path in sorted((folder / "matches").glob("*.parquet")):
            by_document: dict[str, dict[str, Any]] = {}
            for row in pq.read_table(path).to_pylist():
                name = f"{row['benchmark']}:{row['item']}"
                entry = by_document.setdefault(row["document"], {"document": row["document"], "url": row["url"]})
                found = {"item": name, "ratio": row["ratio"], "words": row["words"]}
                entry.setdefault("items", []).append(found)
                by_item.setdefault(name, []).append(row["document"])
            for entry in by_document.values():
                file.write(json.dumps(entry, ensure_ascii=False) + "\n")
    return by_item


def names_in_reports(against: tuple[str, ...]) -> tuple[str, ...]:
    """Return a short name for each of ``against``: the registered name, or the name of the file without its endings.

    Files of the same name have as many of their folders before it as tell them apart (``gsm8k/test``, ``math/test``).
    Where the folders lie is in no name: it must not change the corpus.
    """
    parts = [name.replace(":", "/").split("/") for name in against]
    plain = [(*folders, file.split(".")[0]) for *folders, file in parts]
    names = []
    for own in plain:
        depth = 1
        while depth < len(own) and sum(other[-depth:] == own[-depth:] for other in plain) > 1:
            depth += 1
        names.append("/".join(own[-depth:]))
    return tuple(names)

"""Keep a page for its own score or because its domain has enough good pages (FineMath; SmolLM2, arXiv 2502.02737,
section 3.3.2, and the project's README).

First, pages and good pages are counted by domain in each file. Then the counts of all files are added up, in
partitions of domains by hash, each of which fits in memory. Last, the domain of each page is looked up among those that
qualify, which are held as 64-bit hashes. No single page is remembered: memory does not grow with the corpus, and only a
little with the number of domains.
"""

import contextlib
import functools
import heapq
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import xxhash
from core.data.documents import read_documents
from core.data.steps import CorpusPass, CorpusStep, DocumentStep, Phase, Rejection, Step, StepContext
from core.writing import replacing, write_json
from datatrove.data import Document

from smallwright_quality.config import DomainRecallConfig
from smallwright_quality.hosts import domain_of, entries_of_files
from smallwright_quality.threshold import NoNumberToCompare, number_of
from smallwright_quality.url import HashedSet

DOCUMENTS_PER_PARTITION = 2_000_000
_SCHEMA = pa.schema([("partition", pa.int32()), ("domain", pa.string()), ("pages", pa.int64()), ("good", pa.int64())])


class DomainRecall(CorpusStep):
    """Keep pages by score, domain or URL; ``metadata["recalled_by"]`` says by which rule, the first that holds:
    ``score``, ``url``, ``domain list``, ``domain count``, ``domain share``.

    Reason: ``score and domain too low``. The report has the rules' numbers of domains and pages, and the largest
    domains with their counts.
    """

    config: DomainRecallConfig

    def bind(self, context: StepContext) -> None:
        super().bind(context)
        _Lists(self.config)  # a list that cannot be read is found before any work

    def phases(self, corpus: Path, work: Path) -> list[Phase]:
        assert self.context is not None
        report = work / f"{self.context.label}.report.json"
        documents = sum(pq.read_metadata(path).num_rows for path in corpus.glob("*.parquet"))
        partitions = max(1, -(-documents // DOCUMENTS_PER_PARTITION))
        return [
            Phase(name="count", pipeline=[_CountPages(self.config, corpus, work, partitions)]),
            Phase(name="decide", pipeline=[_DecideDomains(self.config, work)], tasks=partitions),
            Phase(name="report", pipeline=[_Report(self.config, work, report)], tasks=1),
        ]

    def pass_step(self, work: Path) -> Step:
        return _Recall(self.config, work)


class _Lists:
    """The domains and URLs that the user named."""

    def __init__(self, config: DomainRecallConfig) -> None:
        domains = (*config.domains, *entries_of_files(config.domain_files))
        self.domains = frozenset(domain_of(domain.lower(), config.domain) for domain in domains)
        self.urls = HashedSet([*config.urls, *entries_of_files(config.url_files)])


@functools.lru_cache(maxsize=1)
def _lists(config: DomainRecallConfig, work: Path) -> _Lists:
    """Read the lists once per process. ``work`` tells apart runs of one process whose lists have other contents."""
    return _Lists(config)


def _url(document: Document) -> str:
    return str(document.metadata.get("url") or "")


class _CountPages(CorpusPass):
    """Write ``counts/<file>.parquet``: domains with pages and good pages, in the order of partitions."""

    def __init__(self, config: DomainRecallConfig, corpus: Path, work: Path, partitions: int) -> None:
        super().__init__()
        self.config, self.corpus, self.work, self.partitions = config, corpus, work, partitions

    def run_rank(self, rank: int, world_size: int) -> None:
        for path in sorted(self.corpus.glob("*.parquet"))[rank::world_size]:
            pages: Counter[str] = Counter()
            good: Counter[str] = Counter()
            for document in read_documents(path):
                domain = domain_of(_url(document), self.config.domain)
                # A document without a number fails in the pass that follows.
                with contextlib.suppress(NoNumberToCompare):
                    score = number_of(document.metadata, self.config.key)
                    if domain:
                        pages[domain] += 1
                        good[domain] += score >= self.config.page_score
            rows = sorted((_partition(domain, self.partitions), domain) for domain in pages)
            table = pa.Table.from_pylist(
                [
                    {"partition": partition, "domain": domain, "pages": pages[domain], "good": good[domain]}
                    for partition, domain in rows
                ],
                schema=_SCHEMA,
            )
            target = self.work / "counts" / path.name
            with replacing(target) as partial:
                pq.write_table(table, partial, compression="zstd", row_group_size=10_000)


class _DecideDomains(CorpusPass):
    """Write ``domains/<partition>.parquet``: each domain with its counts and the rule it qualifies by, if any."""

    def __init__(self, config: DomainRecallConfig, work: Path) -> None:
        super().__init__()
        self.config, self.work = config, work

    def run_rank(self, rank: int, world_size: int) -> None:
        pages: Counter[str] = Counter()
        good: Counter[str] = Counter()
        for path in sorted((self.work / "counts").glob("*.parquet")):
            table = pq.read_table(path, filters=[("partition", "=", rank)], columns=["domain", "pages", "good"])
            for row in table.to_pylist():
                pages[row["domain"]] += row["pages"]
                good[row["domain"]] += row["good"]
        lists = _lists(self.config, self.work)
        rows = [
            {"domain": domain, "pages": pages[domain], "good": good[domain], "rule": rule}
            for domain in sorted(pages)
            for rule in [_rule(self.config, lists, domain, pages[domain], good[domain])]
        ]
        schema = pa.schema([*list(_SCHEMA)[1:], ("rule", pa.string())])
        with replacing(self.work / "domains" / f"{rank:05d}.parquet") as partial:
            pq.write_table(pa.Table.from_pylist(rows, schema=schema), partial, compression="zstd")


def _rule(config: DomainRecallConfig, lists: _Lists, domain: str, pages: int, good: int) -> str | None:
    """Return the first rule by which a domain qualifies."""
    if domain in lists.domains:
        return "domain list"
    if config.min_pages is not None and good >= config.min_pages:
        return "domain count"
    if config.min_share is not None and pages >= config.share_min_pages and good / pages >= config.min_share:
        return "domain share"
    return None


class _Report(CorpusPass):
    """Write the report: how many domains and pages each rule keeps, and the largest domains."""

    def __init__(self, config: DomainRecallConfig, work: Path, report: Path) -> None:
        super().__init__()
        self.config, self.work, self.report = config, work, report

    def run_rank(self, rank: int, world_size: int) -> None:
        rules: Counter[str] = Counter()
        pages: Counter[str] = Counter()
        for row in _decided(self.work):
            rules[row["rule"] or "none"] += 1
            pages[row["rule"] or "none"] += row["pages"]
        largest = heapq.nsmallest(
            self.config.report_domains, _decided(self.work), key=lambda row: (-row["pages"], row["domain"])
        )
        found = {"domains": dict(sorted(rules.items())), "pages": dict(sorted(pages.items())), "largest": largest}
        write_json(self.report, found)


def _decided(work: Path) -> Iterator[dict[str, Any]]:
    for path in sorted((work / "domains").glob("*.parquet")):
        with pq.ParquetFile(path) as file:
            for batch in file.iter_batches(batch_size=10_000):
                yield from batch.to_pylist()


@functools.lru_cache(maxsize=1)
def _qualifying(work: Path) -> dict[str, HashedSet]:
    """Return rule to domains, read once per process."""
    rules = ("domain list", "domain count", "domain share")
    return {rule: HashedSet(row["domain"] for row in _decided(work) if row["rule"] == rule) for rule in rules}


class _Recall(DocumentStep):
    """Applies the rules to each page."""

    config: DomainRecallConfig

    def __init__(self, config: DomainRecallConfig, work: Path) -> None:
        super().__init__(config)
        self.work = work
        self.rules: dict[str, HashedSet] = {}
        self.lists: _Lists | None = None

    def process(self, documents: Iterator[Document], rank: int, world_size: int) -> Iterator[Document]:
        self.rules, self.lists = _qualifying(self.work), _lists(self.config, self.work)
        return super().process(documents, rank, world_size)

    def process_document(self, document: Document) -> Document:
        rule = self._rule(document)
        if rule is None:
            raise Rejection("score and domain too low")
        document.metadata["recalled_by"] = rule
        self.count("recalled by", rule)
        return document

    def _rule(self, document: Document) -> str | None:
        score = number_of(document.metadata, self.config.key)
        if self.config.minimum is not None and score >= self.config.minimum:
            return "score"
        assert self.lists is not None
        url = _url(document)
        if url in self.lists.urls:
            return "url"
        domain = domain_of(url, self.config.domain)
        return next((rule for rule, domains in self.rules.items() if domain and domain in domains), None)


def _partition(domain: str, partitions: int) -> int:
    return xxhash.xxh3_64_intdigest(domain.encode("utf-8", "surrogatepass")) % partitions

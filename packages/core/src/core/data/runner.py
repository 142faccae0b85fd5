"""Run a recipe with DataTrove: passes of steps over shards, with whole-corpus work between passes.

One shard is one input file, so that the outcome does not depend on the number of workers. DataTrove marks finished
shards; a killed run goes on with the others.
"""

import contextlib
import dataclasses
import json
import math
import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
from datatrove.pipeline.base import PipelineStep

from core import discovery, writing
from core.data.documents import ReadDocuments, WriteDocuments
from core.data.executor import Executor, LocalExecutor
from core.data.recipe import PlannedStep, RecipeConfig, expand, plan_steps
from core.data.steps import LARGEST_TABLE, CorpusStep, ForeignStep, Step, StepContext
from core.data.truth import against_truth
from core.errors import ConfigError, InputError, UserError
from core.interfaces import Job, Stage

SCORE_BINS = 25
LENGTH_BINS = 22
"""Classes of length in characters: class n begins at 2^(n-1), class 0 is empty, the last has no end."""
MOST_SHARDS = 99_999
PARTS = "steps|paths|scorer|classifier|source|shards"
"""Keys of a recipe, as messages name them."""
SCORE_RANGE = (0.0, 5.0)


class Recipe(Stage):
    """The stage that builds a corpus from files, by a list of steps."""

    config: RecipeConfig

    def run(self, job: Job) -> dict[str, Any]:
        """Make ``documents/``, ``rejected/`` and ``funnel.json`` in ``job.output``."""
        several = job.name.startswith("data-")  # then each recipe has its own place in the configuration
        where = job.name.replace("-", ".", 1) if several else "data"
        try:
            return self._run(job)
        except UserError as error:
            said = re.sub(rf"\bdata\.({PARTS})\b", rf"{where}.\1", str(error))
            raise type(error)(said) from error

    def _run(self, job: Job) -> dict[str, Any]:
        registry = discovery.load(job.plugin_files)
        planned = plan_steps(self.config, registry)
        files = self._files(job)
        ledgers = job.scratch("ledgers")
        steps: list[Step | CorpusStep] = []
        for position, step in enumerate(planned):
            made = _make(step)
            context = StepContext(
                label=step.label,
                position=position,
                seed=job.seed,
                files=files,
                rejected=job.output / "rejected",
                ledgers=ledgers,
                reports=job.output / "reports" / f"{position:02d}-{step.label}",
                plugin_files=job.plugin_files,
            )
            with _keys_of(step.label, step.config):
                made.bind(context)
            steps.append(made)
        shards = self.config.shards or len(files)
        if shards > MOST_SHARDS:
            raise InputError(f"{shards} shards: files of documents are numbered with five digits; make several runs.")
        labels = [step.label for step in planned]
        try:
            with job.executor or LocalExecutor(plugin_files=job.plugin_files) as executor:
                passes = _Passes(job, executor, shards=shards, labels=labels)
                corpus = passes.run(steps)
        except BaseException:
            with contextlib.suppress(OSError):  # a full disk must not hide what went wrong
                writing.write_json(job.output / "funnel.json", _finished_part(ledgers, labels))
            raise
        funnel = _funnel(ledgers, labels, ranks=shards, finished=passes.done_steps)
        writing.write_json(job.output / "funnel.json", funnel)
        summary: dict[str, Any] = {"funnel": funnel, "files": len(files), "rejected_folder": "rejected"}
        summary |= _describe(corpus, job.output / "rejected")
        summary["step_reports"] = _step_reports(job.scratch("corpus_steps"), ledgers)
        for label, made in zip(labels, steps, strict=True):
            if isinstance(made, Step) and (said := made.report()):
                summary["step_reports"][label] = said | summary["step_reports"].get(label, {})
        truth = job.inputs.get("crawl", job.output) / "truth.jsonl"
        if truth.is_file():
            uses = {step.label: step.entry.name for step in planned}
            summary["truth"] = against_truth(truth, self.config.name, uses, job.output / "rejected", corpus)
        if summary["documents"] == 0:
            raise InputError(_nothing_left(funnel, job.output))
        return summary

    def _files(self, job: Job) -> tuple[str, ...]:
        if self.config.files is not None:
            return self.config.files
        if self.config.paths is not None:
            return expand(self.config.paths)
        if "crawl" not in job.inputs:
            raise ConfigError("data.paths is not set and the recipe has no source: give data.paths=[<files>].")
        crawl = (job.inputs["crawl"] / "files").iterdir()
        return tuple(sorted(str(path) for path in crawl if not path.name.endswith(writing.ENDING)))


@contextlib.contextmanager
def _keys_of(label: str, config: Any) -> Iterator[None]:
    """Say of an error that begins with a setting of a step where the setting is: ``data.steps.<label>.<key>``."""
    try:
        yield
    except UserError as error:
        fields = {field.name for field in dataclasses.fields(config)} if dataclasses.is_dataclass(config) else set()
        word = re.match(r"\w+(?=[=:\[])", str(error))
        if word is None or word[0] not in fields:
            raise
        raise type(error)(f"data.steps.{label}.{error}") from error


def _make(planned: PlannedStep) -> Step | CorpusStep:
    target = planned.entry.load()
    if isinstance(planned.config, dict):
        try:
            made = target(**planned.config)
        except TypeError as error:
            raise ConfigError(f"data.steps.{planned.label}: {error}") from error
    else:
        made = target(planned.config)
    if isinstance(made, (Step, CorpusStep)):
        return made
    if isinstance(made, PipelineStep):
        return ForeignStep(made)
    raise ConfigError(f"data.steps.{planned.label}: {planned.entry.target} is no DataTrove step.")


class _Passes:
    """Group steps into passes and run them."""

    def __init__(self, job: Job, executor: Executor, shards: int, labels: list[str]) -> None:
        self.job = job
        self.executor = executor
        self.shards = shards
        self.labels = labels
        self.done_steps = 0
        self.lost = False
        """Whether a finished shard had to be taken back: what later passes left may be gone too."""

    def run(self, steps: list[Step | CorpusStep]) -> Path:
        pipeline: list[PipelineStep] = []
        corpus: Path | None = None
        for position, (label, step) in enumerate(zip(self.labels, steps, strict=True)):
            if isinstance(step, CorpusStep):
                if not pipeline and corpus is None:
                    raise ConfigError(f"data.steps.{label}: the first step must read files.")
                if pipeline:
                    corpus = self._write(f"before-{position:02d}-{label}", corpus, pipeline)
                    if not any(pq.read_metadata(path).num_rows for path in corpus.glob("*.parquet")):
                        break  # whole-corpus steps need a document; the funnel says which step removed the last
                assert corpus is not None
                work = self.job.scratch(f"corpus_steps/{position:02d}-{label}")
                with _keys_of(label, step.config):
                    for phase in step.phases(corpus, work):
                        tasks = phase.tasks or self.shards
                        if self.lost:
                            writing.remove(self.job.scratch(f"logs/{position:02d}-{label}-{phase.name}"))
                        self._execute(f"{position:02d}-{label}-{phase.name}", phase.pipeline, tasks)
                    applied = step.pass_step(work)
                assert step.context is not None
                applied.bind(step.context)
                pipeline = [applied]
            else:
                pipeline.append(step)
        else:
            self._write("last", corpus, pipeline, self.job.output / "documents")
        return self.job.output / "documents"

    def _write(self, name: str, corpus: Path | None, pipeline: list[PipelineStep], target: Path | None = None) -> Path:
        """Run a pass that ends in a folder of documents."""
        target = target or self.job.scratch(f"passes/{name}")
        head = [ReadDocuments(corpus)] if corpus is not None else []
        self._forget_lost(name, pipeline, target)
        self._execute(name, [*head, *pipeline, WriteDocuments(target)], self.shards)
        self.done_steps += len(pipeline)
        return target

    def _forget_lost(self, name: str, pipeline: list[PipelineStep], target: Path) -> None:
        """Take back the mark of every finished rank whose documents or accounts are gone, so that it runs again."""
        for mark in sorted((self.job.scratch(f"logs/{name}") / "completions").glob("*")):
            made = [target / f"{mark.name}.parquet"]
            made += [path for step in pipeline if isinstance(step, Step) for path in step.accounts(int(mark.name))]
            if self.lost or not all(path.is_file() for path in made):
                mark.unlink()
                self.lost = True

    def _execute(self, name: str, pipeline: list[PipelineStep], tasks: int) -> None:
        def finished(shards: int) -> None:
            done = self.done_steps + shards / tasks
            self.job.progress(round(done, 2), len(self.labels), "steps", f"{name} {shards}/{tasks}")

        self.executor.run(pipeline, tasks, self.job.scratch(f"logs/{name}"), finished)


def _funnel(ledgers: Path, labels: list[str], *, ranks: int, finished: int) -> list[dict[str, Any]]:
    """Add up the ledgers of all ranks, and check that what a step kept is what the next one got.

    Args:
        finished: Steps that ran, from the first; a later one had no document left to see.
    """
    funnel: list[dict[str, Any]] = []
    for position, label in enumerate(labels):
        total = _total(ledgers, position, label)
        if position < finished and len(total["ranks"]) != ranks:
            missing = sorted(set(range(ranks)) - total["ranks"])
            raise AssertionError(
                f"step {label!r} has no account of shard {', '.join(map(str, missing[:5]))} of {ranks}"
            )
        del total["ranks"]
        if funnel and funnel[-1]["kept"] != total["in"]:
            raise AssertionError(f"{funnel[-1]['step']} kept {funnel[-1]['kept']} documents, {label} got {total['in']}")
        funnel.append(total)
    return funnel


def _finished_part(ledgers: Path, labels: list[str]) -> list[dict[str, Any]]:
    """Return the funnel up to the last finished step, for a run that failed in a later one.

    A step is finished when it got every document that the step before it kept.
    """
    funnel: list[dict[str, Any]] = []
    for position, label in enumerate(labels):
        total = _total(ledgers, position, label)
        started = total.pop("ranks")
        if not started or (funnel and funnel[-1]["kept"] != total["in"]):
            break
        funnel.append(total)
    return funnel


def _total(ledgers: Path, position: int, label: str) -> dict[str, Any]:
    """Add up what there is of the ledgers of one step; ``ranks`` says whose they are."""
    total: dict[str, Any] = {"step": label, "in": 0, "kept": 0, "rejected": Counter(), "failed": Counter()}
    total["ranks"] = set()
    for path in sorted(ledgers.glob(f"{position:02d}-*.json")):  # the label may have what a pattern means
        ledger = json.loads(path.read_text())
        total["ranks"].add(int(path.stem.rpartition("-")[2]))
        total["in"] += ledger["in"]
        total["kept"] += ledger["kept"]
        total["rejected"].update(ledger["rejected"])
        total["failed"].update(ledger["failed"])
    total["rejected"] = dict(total["rejected"].most_common())
    total["failed"] = dict(total["failed"].most_common())
    return total


def _step_reports(corpus_steps: Path, ledgers: Path) -> dict[str, dict[str, Any]]:
    """Return the reports of steps by label: ``*.report.json`` of whole-corpus steps, and the tables of all ranks."""
    reports: dict[str, dict[str, Any]] = {}
    for folder in sorted(corpus_steps.iterdir()):
        label = folder.name.partition("-")[2]
        paths = sorted(folder.rglob("*.report.json"))
        for path in paths:
            name = label if len(paths) == 1 else f"{label}.{path.name.removesuffix('.report.json')}"
            reports[name] = json.loads(path.read_text())
    sums: dict[str, dict[str, Counter]] = {}
    for path in sorted(ledgers.glob("*.json")):
        ledger = json.loads(path.read_text())
        for table, counts in ledger["tables"].items():
            sums.setdefault(ledger["step"], {}).setdefault(table, Counter()).update(counts)
    for label, tables in sums.items():
        largest = {table: dict(counts.most_common(LARGEST_TABLE)) for table, counts in tables.items()}
        reports.setdefault(label, {})["tables"] = largest
    return reports


def _describe(corpus: Path, rejected: Path) -> dict[str, Any]:
    """Count documents and characters, and make the histogram of scores over kept and rejected documents."""
    documents = characters = 0
    histogram = {"kept": [0] * SCORE_BINS, "rejected": [0] * SCORE_BINS}
    lengths = {"kept": [0] * LENGTH_BINS, "rejected": [0] * LENGTH_BINS}
    for name, folder in (("kept", corpus), ("rejected", rejected)):
        for path in sorted(folder.glob("*.parquet")):
            with pq.ParquetFile(path) as file:
                for batch in file.iter_batches(batch_size=1000, columns=["text", "score"]):
                    rows = batch.to_pylist()
                    if name == "kept":
                        documents += len(rows)
                        characters += sum(len(row["text"]) for row in rows)
                    for row in rows:
                        lengths[name][min(len(row["text"] or "").bit_length(), LENGTH_BINS - 1)] += 1
                    for score in (row["score"] for row in rows if row["score"] is not None):
                        if math.isnan(score):  # files made elsewhere can have it, and no bin is right for it
                            continue
                        low, high = SCORE_RANGE
                        place = int((min(max(score, low), high) - low) / (high - low) * SCORE_BINS)
                        histogram[name][min(place, SCORE_BINS - 1)] += 1
    return {
        "documents": documents,
        "characters": characters,
        "score_histogram": {"range": SCORE_RANGE, **histogram},
        "length_histogram": lengths,
    }


def _nothing_left(funnel: list[dict[str, Any]], output: Path) -> str:
    emptied = next((entry for entry in funnel if entry["in"] and not entry["kept"]), funnel[0])
    counts = [*emptied["rejected"].items(), *emptied["failed"].items()]
    reasons = ", ".join(f"{count} {reason}" for reason, count in counts) or "nothing to read"
    return (
        f"no document is left after step {emptied['step']!r} ({emptied['in']} in: {reasons}). "
        f"Loosen data.steps.{emptied['step']}, give other data.paths, or look at what was set aside: "
        f"python -m core.inspect {output}"
    )

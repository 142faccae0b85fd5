"""What is told of the labels: counts and examples in the run's summary, and the labels themselves in the artifact."""

import gzip
import json
from collections import Counter, defaultdict
from pathlib import Path
from typing import Any

from core.data.steps import CorpusPass
from core.writing import replacing, write_json

from smallwright_labels.label_files import ON_THE_WAY, all_labels, answered, read_scorer
from smallwright_labels.replies import LABELLED, NO_ANSWER, REFUSED
from smallwright_labels.sampling import Selection

REPORT_FILE = "labels.report.json"
"""In the folder of the step: what the run's summary says of it."""
KEPT_REPORT_FILE = "labels.json"
KEPT_LABELS_FILE = "labels.jsonl.gz"
EXAMPLES = 3
EXAMPLE_CHARS = 300


class ReportLabels(CorpusPass):
    """The pass that adds up the labels and leaves them, with who gave them, among the artifact's reports.

    What happened on the way is told in the summary alone: the files of the artifact are the same for the same labels.

    Args:
        work: Folder of the step.
        reports: Folder inside the artifact; None leaves nothing there.
    """

    type = "labels"

    def __init__(self, work: Path, reports: Path | None) -> None:
        super().__init__()
        self.work, self.reports = work, reports

    def run_rank(self, rank: int, world_size: int) -> None:
        about, on_the_way = read_scorer(self.work)
        report = {**about, "sampling": Selection.load(self.work).report(), **self._results()}
        write_json(self.work / REPORT_FILE, {**report, **on_the_way, **self._happenings()})
        if self.reports is not None:
            write_json(self.reports / KEPT_REPORT_FILE, report)
            self._keep(self.reports / KEPT_LABELS_FILE, about)

    def _results(self) -> dict[str, Any]:
        """Count what came out, which is the same in every run that gives the same labels."""
        labels: Counter[int] = Counter()
        outcomes: Counter[str] = Counter()
        prompts: dict[str, Counter[str]] = defaultdict(Counter)
        examples: dict[str, list[dict[str, Any]]] = defaultdict(list)
        truncated = 0
        for name, record in answered(all_labels(self.work)):
            outcome = record["outcome"]
            outcomes[outcome] += 1
            truncated += bool(record.get("truncated"))
            if record["label"] is not None:
                labels[record["label"]] += 1
            prompts[str(record.get("prompt"))][str(record["label"])] += 1
            if outcome != LABELLED and len(examples[outcome]) < EXAMPLES:
                said = {"reply": record["reply"][:EXAMPLE_CHARS]} if record.get("reply") else {}
                examples[outcome].append({"id": name, **said})
        unlabelled = outcomes.total() - outcomes[LABELLED]
        return {
            "documents": outcomes.total(),
            "labels": {str(value): labels[value] for value in sorted(labels)},
            "labels_by_prompt": {tag: dict(sorted(counts.items())) for tag, counts in sorted(prompts.items())},
            "unlabelled": unlabelled,
            "truncated": truncated,
            "refused": outcomes[REFUSED],
            "failed": unlabelled - outcomes[REFUSED],
            "outcomes": dict(sorted(outcomes.items())),
            "examples": dict(sorted(examples.items())),
        }

    def _happenings(self) -> dict[str, Any]:
        """Count what happened on the way, which is another thing in every run."""
        retries: Counter[str] = Counter()
        details: dict[str, list[dict[str, str]]] = defaultdict(list)
        reused = unanswered = 0
        for name, record in all_labels(self.work):
            way = record.get(ON_THE_WAY, {})
            unanswered += record["outcome"] == NO_ANSWER
            retries.update(way.get("retries", {}))
            reused += bool(way.get("reused"))
            if way.get("detail") and len(details[record["outcome"]]) < EXAMPLES:
                details[record["outcome"]].append({"id": name, "detail": way["detail"][:EXAMPLE_CHARS]})
        return {
            "reused": reused,
            "unanswered": unanswered,
            "retries": dict(sorted(retries.items())),
            "details": dict(sorted(details.items())),
        }

    def _keep(self, path: Path, about: dict[str, Any]) -> None:
        """Leave the labels in the artifact, each with what a later run must know to take it again."""
        said = {key: about[key] for key in ("scorer", "sampling_settings") if key in about}
        with (
            replacing(path) as partial,
            open(partial, "wb") as raw,
            gzip.GzipFile(fileobj=raw, mode="wb", filename="", mtime=0) as file,
        ):
            for document, record in answered(all_labels(self.work)):
                record.pop(ON_THE_WAY, None)
                file.write(json.dumps({"id": document, **record, **said}).encode() + b"\n")

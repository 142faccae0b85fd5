"""The training pass of the classifiers: trains a model on all labels and one for each group, and measures them."""

import json
from pathlib import Path
from typing import Any

import numpy as np
from core.data.steps import CorpusPass, StepContext
from core.errors import UserError
from core.progress import ProgressWriter
from core.writing import replacing, write_json

from smallwright_classifiers.config import CommonConfig
from smallwright_classifiers.evaluation import evaluate, histogram
from smallwright_classifiers.examples import Examples, read_examples
from smallwright_classifiers.model import COMMON, RESULT_FILE, Kind, Trained, keep, write_index
from smallwright_classifiers.scoring import SCORING_BATCH

REPORT_FILE = "classifier.report.json"
CLASSIFIER_FOLDER = "classifier"
MOST_GROUPS = 1000


class TrainClassifier(CorpusPass):
    """The training pass. Its one task trains the models that a killed run has not trained yet, and measures all."""

    type = "classifier"

    def __init__(self, kind: Kind, work: Path, context: StepContext) -> None:
        super().__init__()
        self.kind, self.work, self.context = kind, work, context

    def run_rank(self, rank: int, world_size: int) -> None:
        config: CommonConfig = self.kind.config
        examples = read_examples(config, self.work, self.context.label)
        report: dict[str, Any] = {
            "model": self.kind.about,
            "labels": config.labels if config.good_files is None else None,
            "key": config.key,
            "target": config.target,
            "labelled_by": examples.scorers,
            "unusable_labels": examples.unusable,
        }
        report |= self._measure(examples) if config.pretrained else self._train(examples)
        write_json(self.work / REPORT_FILE, report)
        self.stat_update("labels", value=len(examples))

    def _train(self, examples: Examples) -> dict[str, Any]:
        self._refuse_hopeless(examples)
        classifier = self.work / CLASSIFIER_FOLDER
        own, reasons = self._groups(examples)
        progress = ProgressWriter()
        everything = np.arange(len(examples))
        scores, facts = self._model(examples, everything, classifier / COMMON)
        folders: dict[str, str] = {}
        tables: dict[str, Any] = {}
        for done, (group, rows) in enumerate(own.items(), start=1):
            progress(done, len(own), unit="classifiers", note=group)
            if group not in reasons:
                folders[group] = f"group-{len(folders):03d}"
                scores[rows], own_facts = self._model(examples, rows, classifier / folders[group])
            held = rows[examples.held_out[rows]]
            tables[group] = {
                "classifier": "own" if group in folders else f"of all labels ({reasons[group]})",
                "training_labels": histogram(examples.labels[rows[~examples.held_out[rows]]]),
                **self._evaluate(examples, scores, held),
                **(own_facts if group in folders else {}),
            }
        write_index(classifier, self.kind, examples.scale, folders)
        if self.context.reports is not None:
            keep(classifier, self.context.reports / CLASSIFIER_FOLDER)
        held_out = everything[examples.held_out]
        measured = self._evaluate(examples, scores, held_out)
        by = {"by": self.kind.config.by, "groups": tables} if self.kind.config.by else {}
        return {
            **facts,
            "scale": examples.scale,
            "training_labels": histogram(examples.labels[~examples.held_out]),
            **measured,
            **by,
        }

    def _model(self, examples: Examples, rows: np.ndarray, folder: Path) -> tuple[np.ndarray, dict[str, Any]]:
        """Train on the training part of some rows, unless a killed run did already.

        Returns:
            Scores in the places of the held-out rows: shape (examples,) for all rows, else (rows,); and facts.
        """
        held = examples.held_out[rows]
        result = folder / RESULT_FILE
        if not result.is_file():
            with replacing(folder) as partial:
                partial.mkdir()
                found, facts = self.kind.train(examples, rows[~held], rows[held], self.work, partial)
                known = {"scores": found.tolist(), "facts": facts}
                (partial / RESULT_FILE).write_text(json.dumps(known), encoding="utf-8")
        known = json.loads(result.read_text(encoding="utf-8"))
        scores = np.zeros(len(rows))
        scores[held] = known["scores"]
        return scores, known["facts"]

    def _measure(self, examples: Examples) -> dict[str, Any]:
        """Measure a classifier that was trained elsewhere on all labels."""
        config: CommonConfig = self.kind.config
        trained = Trained(self.kind, str(config.pretrained))
        report: dict[str, Any] = {"pretrained": config.pretrained, "scale": trained.scale, "training_labels": {}}
        if not len(examples):
            return report | {"note": "not measured: the documents have no labels"}
        scale = max(trained.scale, examples.scale)
        scores = np.empty(len(examples))
        for start in range(0, len(examples), SCORING_BATCH):
            rows = range(start, min(start + SCORING_BATCH, len(examples)))
            models = [trained.model(examples.groups[row]) for row in rows]
            scores[rows.start : rows.stop] = trained.scorer.predict([examples.texts[row] for row in rows], models)
        threshold = min(self._threshold, scale)
        measured = evaluate(examples.labels, scores, threshold, scale)
        tables = {
            group: {
                "classifier": "own" if group in trained.groups else "of all labels",
                **evaluate(examples.labels[rows], scores[rows], threshold, scale),
            }
            for group, rows in _rows_by_group(examples).items()
        }
        by = {"by": config.by, "groups": tables} if config.by else {}
        return report | measured | by

    def _evaluate(self, examples: Examples, scores: np.ndarray, rows: np.ndarray) -> dict[str, Any]:
        return evaluate(examples.labels[rows], scores[rows], self._threshold, examples.scale)

    @property
    def _threshold(self) -> int:
        return 1 if self.kind.config.target == "good" else self.kind.config.binary_threshold

    def _groups(self, examples: Examples) -> tuple[dict[str, np.ndarray], dict[str, str]]:
        """Return the rows of each group, and why some of them get no classifier of their own."""
        if self.kind.config.by is None:
            return {}, {}
        groups = _rows_by_group(examples)
        if len(groups) > MOST_GROUPS:
            raise UserError(
                f"data.steps.{self.context.label}.by={self.kind.config.by}: more than {MOST_GROUPS} different values; "
                "name a metadata key with few, such as language."
            )
        reasons = {}
        for group, rows in groups.items():
            if len(rows) < self.kind.config.min_labels:
                reasons[group] = f"{len(rows)} labels"
            elif len(np.unique(examples.labels[rows])) == 1:
                reasons[group] = "one label value"
        return groups, reasons

    def _refuse_hopeless(self, examples: Examples) -> None:
        config, step = self.kind.config, self.context.label
        if config.good_files is not None:
            good, bad = int((examples.labels == 1).sum()), int((examples.labels == 0).sum())
            if good + bad < config.min_labels or not good or not bad:
                raise UserError(
                    f"{step}: {good} good and {bad} bad texts, too few to train on (min_labels={config.min_labels}). "
                    "Give more in good_files, and in bad_files or the corpus."
                )
            return
        if len(examples) < config.min_labels:
            raise UserError(
                f"{step}: {len(examples)} documents with {config.labels!r}, too few to train on "
                f"(min_labels={config.min_labels}). Raise data.scorer.sample, give more input (data.paths), or put the "
                "labelling step before this one."
            )
        values = np.unique(examples.labels)
        if len(values) == 1:
            raise UserError(
                f"{step}: all {len(examples)} labels are {values[0]}, so there is nothing to tell apart. Label a "
                f"broader sample (data.scorer.sample), give other input, or drop the step (~data.steps.{step})."
            )


def _rows_by_group(examples: Examples) -> dict[str, np.ndarray]:
    rows: dict[str, list[int]] = {}
    for row, group in enumerate(examples.groups):
        if group is not None:
            rows.setdefault(group, []).append(row)
    return {group: np.array(members) for group, members in sorted(rows.items())}

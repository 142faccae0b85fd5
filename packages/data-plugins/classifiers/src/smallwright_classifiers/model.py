"""What each kind of classifier must do, and how trained classifiers lie on disk.

A trained classifier is a folder: ``classifier.json`` (kind, scale, groups, what scoring must know), ``common/`` (the
model of all labels) and ``group-<n>/`` (one for each group that has its own). It can be given as ``pretrained``.
"""

import json
import os
import shutil
from abc import ABC, abstractmethod
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from core.data.steps import Phase
from core.errors import ConfigError, InputError
from core.writing import replacing, write_json

from smallwright_classifiers.config import CommonConfig
from smallwright_classifiers.examples import Examples

INDEX_FILE = "classifier.json"
COMMON = "common"
RESULT_FILE = "held_out.json"
"""In the folder of each model: the scores of its held-out labels, and facts for the report."""


class Scorer(ABC):
    """Gives scores with trained models."""

    @abstractmethod
    def predict(self, texts: Sequence[str], models: Sequence[str]) -> np.ndarray:
        """Return scores of shape (texts,), float64, not clipped; ``models`` names the folder of the model of each."""


class Kind(ABC):
    """A kind of classifier: trains models into folders, and opens them.

    Args:
        config: The settings of the step.
        seed: Seed of the run.
    """

    name: str
    about: str
    """How the report calls it."""

    def __init__(self, config: Any, seed: int) -> None:
        self.config = config
        self.seed = seed

    @abstractmethod
    def check(self, step: str) -> None:
        """Raise a UserError for what is missing, before any work. ``step`` is the label, for the message."""

    def phases(self, work: Path) -> list[Phase]:
        """Return the passes over the labelled documents that must come before training."""
        return []

    @abstractmethod
    def settings(self) -> dict[str, Any]:
        """Return what :meth:`open` must know beside the files of the models. It is kept in ``classifier.json``."""

    @abstractmethod
    def train(
        self, examples: Examples, training: np.ndarray, held_out: np.ndarray, work: Path, folder: Path
    ) -> tuple[np.ndarray, dict[str, Any]]:
        """Train one model into ``folder``. The same input gives the same files.

        Args:
            training: Rows of ``examples`` to learn from.
            held_out: Rows to measure on.
            work: Folder of the step, with what :meth:`phases` left.

        Returns:
            Scores of the held-out rows, and facts for the report.
        """

    @abstractmethod
    def open(self, classifier: Path, settings: dict[str, Any]) -> Scorer:
        """Open a trained classifier of this kind."""

    def open_foreign(self, name: str, scale: int | None) -> tuple[Scorer, int]:
        """Open a classifier that was not trained here; return its scorer and its highest score.

        Raises:
            InputError: this kind takes none from elsewhere, or ``name`` is none.
        """
        raise InputError(
            f"pretrained={name}: no {INDEX_FILE} there. Name the folder reports/<step>/classifier of a corpus."
        )


def write_index(classifier: Path, kind: Kind, scale: int, groups: dict[str, str]) -> None:
    """Write ``classifier.json``, the last file of a trained classifier."""
    index = {
        "kind": kind.name,
        "scale": scale,
        "target": kind.config.target,
        "by": kind.config.by,
        "groups": groups,
        "settings": kind.settings(),
    }
    write_json(classifier / INDEX_FILE, index)


def keep(classifier: Path, target: Path) -> None:
    """Leave a trained classifier in the artifact: by hard links, or copied where the disk has none."""

    def link(source: str, copy: str) -> None:
        try:
            os.link(source, copy)
        except OSError:
            shutil.copyfile(source, copy)

    with replacing(target) as partial:
        shutil.copytree(classifier, partial, copy_function=link)


def read_index(kind: Kind, classifier: str) -> dict[str, Any] | None:
    """Return ``classifier.json`` of a trained classifier; None for what was not trained here.

    Raises:
        ConfigError: it is a classifier of another kind.
    """
    path = Path(classifier) / INDEX_FILE
    if not path.is_file():
        return None
    try:
        known: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        trained_kind = known["kind"]
    except (ValueError, KeyError, TypeError) as error:
        raise InputError(f"pretrained={classifier}: its {INDEX_FILE} is damaged ({error}).") from error
    if trained_kind != kind.name:
        raise ConfigError(
            f"pretrained={classifier}: holds a classifier of kind {trained_kind}, not {kind.name}; choose its step."
        )
    return known


def check_settings(config: CommonConfig, known: dict[str, Any]) -> None:
    """Refuse settings under which the scores of a trained classifier would not mean what they say.

    Raises:
        ConfigError: ``target``, ``by`` or ``scale`` is not that of ``known``, its ``classifier.json``.
    """
    given: dict[str, str | int | None] = {"target": config.target, "by": config.by}
    if config.target == "score":
        given["scale"] = config.scale
    for name, value in given.items():
        one_for_all = name == "by" and known.get(name) is None
        if value is not None and value != known.get(name) and not one_for_all:
            raise ConfigError(
                f"{name}={value}: the classifier pretrained={config.pretrained} was trained with "
                f"{name}={known.get(name)}; set that, or train another."
            )


class Trained:
    """A classifier ready to score documents: which model is whose, and the scorer.

    Args:
        kind: Its kind, with the settings of the step.
        classifier: Folder of a trained classifier, or anything else that ``kind`` opens.
    """

    def __init__(self, kind: Kind, classifier: str) -> None:
        self.groups: dict[str, str] = {}
        config: CommonConfig = kind.config
        known = read_index(kind, classifier)
        if known is None:
            self.scorer, self.scale = kind.open_foreign(classifier, config.scale)
            return
        if config.by is not None:
            self.groups = known["groups"]
        self.scale = int(known["scale"])
        self.scorer = kind.open(Path(classifier), known["settings"])

    def model(self, group: Any) -> str:
        """Return the name of the model for a group."""
        return self.groups.get(str(group), COMMON) if group is not None else COMMON

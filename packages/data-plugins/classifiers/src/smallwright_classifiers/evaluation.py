"""How good a classifier is on held-out labels: the measures of the papers, and a calibration table and plot."""

from typing import Any

import numpy as np

BINS_PER_POINT = 2
"""Bins of the calibration table for each point of the scale."""


def whole_score(scores: np.ndarray, scale: int = 5) -> np.ndarray:
    """Return ``round(clip(score, 0, scale))`` as integers, as FineMath and FineWeb-Edu publish scores (FineWeb §4)."""
    return np.rint(np.clip(scores, 0, scale)).astype(int)


def confusion_matrix(labels: np.ndarray, whole: np.ndarray, scale: int) -> np.ndarray:
    """Count labels (rows) against rounded scores (columns), shape (scale + 1, scale + 1)."""
    confusion = np.zeros((scale + 1, scale + 1), dtype=int)
    np.add.at(confusion, (labels, whole), 1)
    return confusion


def macro_f1(labels: np.ndarray, scores: np.ndarray, scale: int) -> float:
    """Return the mean F1 over the values that occur, after rounding and clipping (FineWeb §4)."""
    confusion = confusion_matrix(labels, whole_score(scores, scale), scale)
    occurring = confusion.sum(axis=0) + confusion.sum(axis=1)
    return float(np.mean(2 * confusion.diagonal()[occurring > 0] / occurring[occurring > 0]))


def binary(labels: np.ndarray, whole: np.ndarray, threshold: int) -> dict[str, Any]:
    """Precision, recall and F1 of "at least ``threshold``"; None where no document is on one side."""
    good, predicted = labels >= threshold, whole >= threshold
    both = int((good & predicted).sum())
    return {
        "threshold": threshold,
        "labelled": int(good.sum()),
        "predicted": int(predicted.sum()),
        "precision": _share(both, int(predicted.sum())),
        "recall": _share(both, int(good.sum())),
        "f1": _share(2 * both, int(predicted.sum() + good.sum())),
    }


def evaluate(labels: np.ndarray, scores: np.ndarray, threshold: int, scale: int = 5) -> dict[str, Any]:
    """Compare held-out labels with scores, both of shape (documents,).

    Args:
        scores: Those that are no numbers are left out, as their documents are.
        threshold: Score from which a document counts as good in ``binary_*``.
        scale: Highest label.

    Returns:
        ``macro_f1`` over the values that occur, after rounding and clipping (FineWeb-Edu's measure); ``binary_*`` at
        the threshold; ``by_threshold`` at every one; ``mean_absolute_error``; the confusion matrix, a row per label;
        ``calibration`` (see :func:`calibrate`).
    """
    finite = np.isfinite(scores)
    labels, scores = labels[finite], scores[finite]
    if not len(labels):
        return {"validation_labels": {}}
    whole = whole_score(scores, scale)
    headline = binary(labels, whole, threshold)
    return {
        "validation_labels": histogram(labels),
        "macro_f1": round(macro_f1(labels, scores, scale), 4),
        "binary_threshold": threshold,
        "binary_precision": headline["precision"],
        "binary_recall": headline["recall"],
        "binary_f1": headline["f1"],
        "by_threshold": [binary(labels, whole, value) for value in range(1, scale + 1)],
        "mean_absolute_error": round(float(np.abs(labels - scores).mean()), 4),
        "confusion": confusion_matrix(labels, whole, scale).tolist(),
        "calibration": calibrate(labels, scores, scale),
    }


def calibrate(labels: np.ndarray, scores: np.ndarray, scale: int) -> list[dict[str, Any]]:
    """Return a row for each bin of clipped scores that has documents: how the labels of these documents were."""
    bins = scale * (BINS_PER_POINT if scale > 1 else 10)
    clipped = np.clip(scores, 0, scale)
    places = np.minimum((clipped / scale * bins).astype(int), bins - 1)
    rows = []
    for place in np.unique(places):
        inside = places == place
        rows.append(
            {
                "from": round(place * scale / bins, 4),
                "to": round((place + 1) * scale / bins, 4),
                "documents": int(inside.sum()),
                "mean_score": round(float(clipped[inside].mean()), 4),
                "mean_label": round(float(labels[inside].mean()), 4),
            }
        )
    return rows


def histogram(labels: np.ndarray) -> dict[str, int]:
    """Count the values of an array."""
    return {str(value): int(count) for value, count in zip(*np.unique(labels, return_counts=True), strict=True)}


def _share(part: int, whole: int) -> float | None:
    return part / whole if whole else None

"""How good a classifier is: the measures on scores made by hand, and beside those of scikit-learn."""

import numpy as np
import pytest
from smallwright_classifiers.evaluation import calibrate, evaluate, whole_score


def test_evaluate_on_hand_made_scores():
    result = evaluate(np.array([0, 0, 3, 4, 5]), np.array([-0.4, 3.2, 3.4, 2.2, 7.0]), threshold=3)
    assert result["binary_precision"] == pytest.approx(2 / 3)
    assert result["binary_recall"] == pytest.approx(2 / 3)
    assert result["binary_f1"] == pytest.approx(2 / 3)
    # per value: 0 -> 2/3, 2 -> 0, 3 -> 2/3, 4 -> 0, 5 -> 1
    assert result["macro_f1"] == pytest.approx((2 / 3 + 0 + 2 / 3 + 0 + 1) / 5, abs=1e-4)
    assert whole_score(np.array([-1.0, 2.4, 2.6, 9.0])).tolist() == [0, 2, 3, 5]
    found = {row["threshold"]: (row["labelled"], row["predicted"], row["f1"]) for row in result["by_threshold"]}
    # rounded scores are 0 3 3 2 5
    assert found[1] == found[2] == (3, 4, pytest.approx(6 / 7))
    assert found[3] == (3, 3, pytest.approx(2 / 3))
    assert found[4] == (2, 1, pytest.approx(2 / 3))
    assert found[5] == (1, 1, pytest.approx(1.0))
    assert evaluate(np.array([0, 1]), np.array([0.0, 1.0]), 3)["binary_f1"] is None
    assert evaluate(np.array([0, 1]), np.array([0.0, np.nan]), 3)["validation_labels"] == {"0": 1}


def test_calibration_on_hand_made_scores():
    rows = calibrate(np.array([0, 1, 3, 5]), np.array([-2.0, 0.4, 2.6, 7.0]), scale=5)
    assert [(row["from"], row["documents"], row["mean_score"], row["mean_label"]) for row in rows] == [
        (0.0, 2, 0.2, 0.5),
        (2.5, 1, 2.6, 3.0),
        (4.5, 1, 5.0, 5.0),
    ]
    assert sum(row["documents"] for row in calibrate(np.zeros(50, int), np.linspace(-1, 4, 50), scale=3)) == 50


def test_measures_are_those_of_scikit_learn():
    metrics = pytest.importorskip("sklearn.metrics", reason="scikit-learn is not installed")
    generator = np.random.default_rng(5)
    labels = generator.integers(0, 6, 400)
    scores = labels + generator.normal(0, 1.2, 400)
    whole = whole_score(scores)
    result = evaluate(labels, scores, threshold=3)
    assert result["macro_f1"] == pytest.approx(metrics.f1_score(labels, whole, average="macro"), abs=1e-4)
    assert result["confusion"] == metrics.confusion_matrix(labels, whole, labels=range(6)).tolist()
    for row in result["by_threshold"]:
        expected = metrics.precision_recall_fscore_support(labels >= row["threshold"], whole >= row["threshold"])
        assert (row["precision"], row["recall"], row["f1"]) == pytest.approx([part[1] for part in expected[:3]])

"""The classifier's model: hashed n-grams of words and signs into one ridge regression output.

The published classifiers put one regression output on a frozen sentence encoder (SmolLM2 §3.3.2, FineWeb §4). This one
needs no encoder: it trains in seconds and scores thousands of documents per second and core. Stored as a ``.npz`` of
plain arrays and a JSON file, so that loading runs no code.
"""

import dataclasses
import json
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from scipy import sparse

WEIGHTS_FILE = "classifier.npz"
SETTINGS_FILE = "classifier.json"
DIGITS = re.compile(r"\d+")
# Words, numbers (all the same) and single signs: "=" and "$" tell lessons from shops.
TOKEN = r"[^\W\d_]+|0|[^\w\s]"


@dataclasses.dataclass(frozen=True, kw_only=True)
class Features:
    """Texts to rows of hashed, logarithmic n-gram counts of length 1."""

    word_ngrams: int
    features: int
    max_chars: int

    def matrix(self, texts: Sequence[str]) -> sparse.csr_matrix:
        """Return a matrix of shape (texts, features), float32."""
        from sklearn.feature_extraction.text import HashingVectorizer
        from sklearn.preprocessing import normalize

        vectorizer = HashingVectorizer(
            preprocessor=self._prepare,
            token_pattern=TOKEN,
            ngram_range=(1, self.word_ngrams),
            n_features=self.features,
            norm=None,
            dtype=np.float32,
        )
        counts = vectorizer.transform(texts)
        counts.data = np.sign(counts.data) * np.log1p(np.abs(counts.data))
        return normalize(counts, copy=False)

    def _prepare(self, text: str) -> str:
        return DIGITS.sub("0", text[: self.max_chars].lower())


class Model:
    """Scores texts. ``weights`` has shape (features,), float32."""

    def __init__(self, features: Features, weights: np.ndarray, intercept: float) -> None:
        self.features, self.weights, self.intercept = features, weights, intercept

    @classmethod
    def train(
        cls, features: Features, texts: Sequence[str], labels: np.ndarray, *, regularization: float, balance: float
    ) -> "Model":
        """Fit a ridge regression to labels of shape (texts,). The same input gives the same weights."""
        from sklearn.linear_model import Ridge
        from threadpoolctl import threadpool_limits

        values, inverse, counts = np.unique(labels, return_inverse=True, return_counts=True)
        weight = (len(labels) / (len(values) * counts)) ** balance
        with threadpool_limits(1):  # sums in one order, whatever the number of cores
            ridge = Ridge(alpha=regularization, solver="sparse_cg", tol=1e-6)
            ridge.fit(features.matrix(texts), labels.astype(np.float32), sample_weight=weight[inverse])
        return cls(features, np.asarray(ridge.coef_, dtype=np.float32), float(ridge.intercept_))

    def predict(self, texts: Sequence[str]) -> np.ndarray:
        """Return scores of shape (texts,), not clipped."""
        return self.features.matrix(texts) @ self.weights + np.float32(self.intercept)

    def save(self, folder: Path) -> None:
        """Write the model's two files."""
        np.savez_compressed(folder / WEIGHTS_FILE, weights=self.weights)
        settings = {"features": dataclasses.asdict(self.features), "intercept": self.intercept}
        (folder / SETTINGS_FILE).write_text(json.dumps(settings, indent=2) + "\n", encoding="utf-8")

    @classmethod
    def load(cls, folder: Path) -> "Model":
        """Read the model's two files."""
        settings: dict[str, Any] = json.loads((folder / SETTINGS_FILE).read_text(encoding="utf-8"))
        with np.load(folder / WEIGHTS_FILE, allow_pickle=False) as arrays:
            return cls(Features(**settings["features"]), arrays["weights"], settings["intercept"])


def whole_score(scores: np.ndarray) -> np.ndarray:
    """Return ``round(clip(score, 0, 5))`` as integers, as FineMath and FineWeb-Edu publish scores (FineWeb §4)."""
    return np.rint(np.clip(scores, 0, 5)).astype(int)

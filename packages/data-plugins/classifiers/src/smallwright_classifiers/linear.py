"""Linear classifiers: hashed n-grams of words and signs into one ridge regression output.

The published classifiers put one regression output on a frozen sentence encoder (SmolLM2 §3.3.2, FineWeb §4). This one
needs no encoder: it trains in seconds and scores hundreds of documents per second and core. Stored as a ``.npz`` of
plain arrays and a JSON file, so that loading runs no code.
"""

import dataclasses
import json
import re
import zlib
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from core.data.words import word_pattern

from smallwright_classifiers.examples import Examples
from smallwright_classifiers.model import Kind, Scorer, read_index

WEIGHTS_FILE = "weights.npz"
SETTINGS_FILE = "linear.json"
DIGITS = re.compile(r"\d+")
# Words, numbers (all the same) and single signs: "=" and "$" tell lessons from shops.
TOKEN = re.compile(word_pattern(r"[^\W\d_]") + r"|0|[^\w\s]")
SIGN_BIT = 31
SOLVER_TOLERANCE = 1e-6


@dataclasses.dataclass(frozen=True, kw_only=True)
class Features:
    """Texts to sparse rows of hashed, logarithmic n-gram counts of length 1.

    Written here rather than taken from scikit-learn, which would be a slow import in every worker.
    """

    word_ngrams: int
    features: int
    max_chars: int | None

    def row(self, text: str) -> tuple[np.ndarray, np.ndarray]:
        """Return places (int64) and values (float32) of the features of a text; a place may occur twice."""
        words = TOKEN.findall(DIGITS.sub("0", text[: self.max_chars].lower()))
        counts = Counter(words)
        for n in range(2, self.word_ngrams + 1):
            counts.update(map(" ".join, zip(*(words[start:] for start in range(n)), strict=False)))
        hashes = np.fromiter((zlib.crc32(ngram.encode("utf-8", "replace")) for ngram in counts), np.int64, len(counts))
        values = np.log1p(np.fromiter(counts.values(), np.float32, len(counts)))
        values /= max(float(np.sqrt(np.square(values).sum())), 1e-9)
        # another bit of the hash is the sign: n-grams that share a place by chance cancel out rather than add up
        return hashes % self.features, np.where(hashes >> SIGN_BIT, values, -values)

    def matrix(self, texts: Iterable[str]) -> Any:
        """Return a ``scipy.sparse.csr_array`` of shape (texts, features), float32; texts are read one by one."""
        from scipy import sparse  # only training needs it

        rows = [self.row(text) for text in texts]
        places = np.concatenate([places for places, _ in rows])
        values = np.concatenate([values for _, values in rows])
        starts = np.concatenate([[0], np.cumsum([len(places) for places, _ in rows])])
        return sparse.csr_array((values, places, starts), shape=(len(rows), self.features))


class Model:
    """Scores texts. ``weights`` has shape (features,), float32."""

    def __init__(self, features: Features, weights: np.ndarray, intercept: float) -> None:
        self.features, self.weights, self.intercept = features, weights, intercept

    @classmethod
    def train(
        cls, features: Features, texts: Iterable[str], labels: np.ndarray, *, regularization: float, balance: float
    ) -> "Model":
        """Fit a ridge regression to labels of shape (texts,). The same input gives the same weights."""
        from threadpoolctl import threadpool_limits

        values, inverse, counts = np.unique(labels, return_inverse=True, return_counts=True)
        importance = (len(labels) / (len(values) * counts)) ** balance
        with threadpool_limits(1):  # sums in one order, whatever the number of cores
            weights, intercept = _ridge(features.matrix(texts), labels, importance[inverse], regularization)
        return cls(features, weights.astype(np.float32), intercept)

    def predict(self, texts: Iterable[str]) -> np.ndarray:
        """Return scores of shape (texts,), not clipped."""
        rows = (self.features.row(text) for text in texts)
        return np.array([float(self.weights[places] @ values) + self.intercept for places, values in rows])

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


def _ridge(rows: Any, targets: np.ndarray, importance: np.ndarray, penalty: float) -> tuple[np.ndarray, float]:
    """Minimise sum(importance * (rows @ weights + intercept - targets)^2) + penalty * |weights|^2.

    The intercept is not penalised: rows and targets are centred on their weighted means, the rows without storing
    the dense result.

    Returns:
        Weights of shape (features,), float64, and the intercept.
    """
    from scipy.sparse.linalg import LinearOperator, cg

    transposed = rows.T.tocsr()
    share = importance / importance.sum()
    center, mean = transposed @ share, float(share @ targets)

    def normal_equations(weights: np.ndarray) -> np.ndarray:
        return transposed @ (importance * (rows @ weights - center @ weights)) + penalty * weights

    size = rows.shape[1]
    operator = LinearOperator((size, size), matvec=normal_equations, dtype=np.float64)
    weights, unfinished = cg(
        operator, transposed @ (importance * (targets - mean)), rtol=SOLVER_TOLERANCE, maxiter=2000
    )
    assert not unfinished, "conjugate gradients on a positive definite system did not end"
    return weights, mean - float(center @ weights)


class LinearKind(Kind):
    """Trains and opens linear models."""

    name = "linear"
    about = "hashed n-grams, ridge regression"

    def check(self, step: str) -> None:
        if self.config.pretrained is not None and read_index(self, self.config.pretrained) is None:
            self.open_foreign(self.config.pretrained, None)

    def settings(self) -> dict[str, Any]:
        return {}

    def train(
        self, examples: Examples, training: np.ndarray, held_out: np.ndarray, work: Path, folder: Path
    ) -> tuple[np.ndarray, dict[str, Any]]:
        config = self.config
        features = Features(word_ngrams=config.word_ngrams, features=config.features, max_chars=config.max_chars)
        model = Model.train(
            features,
            examples.texts.select(training),
            examples.labels[training],
            regularization=config.regularization,
            balance=config.balance,
        )
        model.save(folder)
        return model.predict(examples.texts.select(held_out)), {}

    def open(self, classifier: Path, settings: dict[str, Any]) -> Scorer:
        return LinearScorer(classifier)


class LinearScorer(Scorer):
    """Scores with the linear models of a classifier, each loaded when first wanted."""

    def __init__(self, classifier: Path) -> None:
        self._classifier = classifier
        self._models: dict[str, Model] = {}

    def predict(self, texts: Sequence[str], models: Sequence[str]) -> np.ndarray:
        for name in set(models) - self._models.keys():
            self._models[name] = Model.load(self._classifier / name)
        return np.array(
            [self._models[name].predict([text])[0] for text, name in zip(texts, models, strict=True)], dtype=np.float64
        )

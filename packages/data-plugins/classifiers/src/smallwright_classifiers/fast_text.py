"""fastText classifiers: trained here, or any supervised ``.bin`` file.

floret trains: it is fastText's trainer under another module name, has wheels, and makes the same weights bit by bit in
its default mode. Its files have two settings more than fastText's; without these every fastText reads them.
``fasttext`` scores: any package that brings this module, such as fasttext-predict.
"""

import shutil
import struct
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from core.errors import ConfigError, InputError

from smallwright_classifiers.examples import Examples
from smallwright_classifiers.model import COMMON, Kind, Scorer, read_index

MODEL_FILE = "model.bin"
LABEL = "__label__"
MAGIC = struct.pack("<i", 793712314)
EXTRA_SETTINGS = slice(52, 60)
"""Bytes of ``mode`` and ``hashCount`` in a floret file, after magic, version and eleven settings of four bytes."""
HEAD = struct.Struct("<4si12idiiiqq")
"""Magic, version, twelve settings, ``t``; then of the dictionary: size, words, labels, tokens, pruned."""
MATRIX = struct.Struct("<?qq")
"""Before each matrix: whether it is quantized, rows, columns."""
FASTTEXT_MODE = struct.pack("<ii", 1, 1)
LARGEST_SEED = 2**31 - 1


def to_line(text: str, lowercase: bool) -> str:
    """Return a text as one line, as DCLM's scoring does; a page cannot pass for a labelled line."""
    line = " ".join(text.strip().splitlines())
    line = line.lower() if lowercase else line
    return line.replace(LABEL, "label").encode("utf-8", "replace").decode("utf-8")


class FastTextKind(Kind):
    """Trains and opens fastText models."""

    name = "fasttext"
    about = "fastText, supervised"

    def check(self, step: str) -> None:
        self.config.check_libraries(f"data.steps.{step}")
        pretrained = self.config.pretrained
        if pretrained is not None and read_index(self, pretrained) is None and not Path(pretrained).is_file():
            raise InputError(f"data.steps.{step}.{_no_file(pretrained)}")

    def settings(self) -> dict[str, Any]:
        return {"lowercase": self.config.lowercase, "max_chars": self.config.max_chars}

    def train(
        self, examples: Examples, training: np.ndarray, held_out: np.ndarray, work: Path, folder: Path
    ) -> tuple[np.ndarray, dict[str, Any]]:
        import floret

        config = self.config
        lines, trained = folder / "training.txt", folder / "floret.bin"
        with open(lines, "w", encoding="utf-8") as file:
            for row, text in zip(training.tolist(), examples.texts.select(training), strict=True):
                file.write(f"{LABEL}{examples.labels[row]} {to_line(text, config.lowercase)}\n")
        model = floret.train_supervised(
            input=str(lines),
            lr=config.learning_rate,
            dim=config.dim,
            epoch=config.epochs,
            minCount=config.min_count,
            wordNgrams=config.word_ngrams,
            bucket=config.buckets,
            loss="softmax",
            thread=1,  # threads race for the weights: two runs would differ
            seed=self.seed % LARGEST_SEED,
            verbose=0,
        )
        model.save_model(str(trained))
        facts = {"words": len(model.f.getVocab("strict")[0])}
        del model
        as_fasttext(trained, folder / MODEL_FILE)
        lines.unlink()
        trained.unlink()
        scorer = FastTextScorer({"": folder / MODEL_FILE}, self.settings(), ())
        return examples.texts.score(held_out, lambda texts: scorer.predict(texts, [""] * len(texts))), facts

    def open(self, classifier: Path, settings: dict[str, Any]) -> Scorer:
        files = {path.parent.name: path for path in classifier.glob(f"*/{MODEL_FILE}")}
        return FastTextScorer(files, settings, ())

    def open_foreign(self, name: str, scale: int | None) -> tuple[Scorer, int]:
        path = Path(name)
        if not path.is_file():
            raise InputError(_no_file(name))
        scorer = FastTextScorer({COMMON: path}, self.settings(), self.config.good_labels)
        values = scorer.values(COMMON)
        return scorer, scale or max(1, round(max(values.values())))


class FastTextScorer(Scorer):
    """Scores with fastText files, each loaded when first wanted.

    The score is the expected value of the label. A label that is a number is its value; of other labels the good ones
    are worth 1 and the rest 0, which makes the score the probability of a good label.

    Args:
        files: Model names to files.
        settings: ``lowercase`` and ``max_chars``.
        good_labels: Which labels are good where they are no numbers.
    """

    def __init__(self, files: dict[str, Path], settings: dict[str, Any], good_labels: tuple[str, ...]) -> None:
        self._files, self._settings, self._good = files, settings, good_labels
        self._models: dict[str, tuple[Any, dict[str, float]]] = {}

    def values(self, name: str) -> dict[str, float]:
        """Return what each label of a model is worth."""
        return self._model(name)[1]

    def predict(self, texts: Sequence[str], models: Sequence[str]) -> np.ndarray:
        scores = np.empty(len(texts))
        for row, (text, name) in enumerate(zip(texts, models, strict=True)):
            model, values = self._model(name)
            line = to_line(text[: self._settings["max_chars"]], self._settings["lowercase"])
            # of the C++ object, because the Python method breaks with NumPy 2 in some packages
            found = model.predict(line + "\n", -1, 0.0, "strict")
            total = sum(share for share, _ in found)
            scores[row] = sum(share * values[label] for share, label in found) / total if total else 0.0
        return scores

    def _model(self, name: str) -> tuple[Any, dict[str, float]]:
        if name not in self._models:
            model, labels = _load(self._files[name])
            self._models[name] = model, self._values(self._files[name], labels)
        return self._models[name]

    def _values(self, path: Path, labels: list[str]) -> dict[str, float]:
        words = [label.removeprefix(LABEL) for label in labels]
        if labels and all(word.isdecimal() for word in words):
            return {label: float(word) for label, word in zip(labels, words, strict=True)}
        if not set(labels) & set(self._good):
            raise ConfigError(
                f"good_labels={list(self._good)}: {path} has none of them, but {', '.join(sorted(labels)[:20])}."
            )
        return {label: float(label in self._good) for label in labels}


def as_fasttext(floret_file: Path, target: Path) -> None:
    """Write a floret file as a fastText file: without the two settings that only floret has.

    The file must be of floret's fastText mode, whose weights are fastText's.
    """
    with open(floret_file, "rb") as source, open(target, "wb") as copy:
        head = source.read(EXTRA_SETTINGS.stop)
        assert head[:4] == MAGIC, "no fastText model"
        assert head[EXTRA_SETTINGS] == FASTTEXT_MODE, "another file format of floret"
        copy.write(head[: EXTRA_SETTINGS.start])
        shutil.copyfileobj(source, copy, length=1 << 20)


def _no_file(name: str) -> str:
    return (
        f"pretrained={name}: no such file. Name a fastText .bin, or the folder reports/<step>/classifier of a corpus."
    )


def _load(path: Path) -> tuple[Any, list[str]]:
    """Return a model and its labels."""
    import fasttext

    if not _is_whole(path):  # the C++ code would divide by zero, or ask for as much memory as damaged figures say
        raise InputError(f"{path}: no fastText model, or a damaged one.")
    try:
        model = fasttext.load_model(str(path)).f
        return model, [label for _, label in model.predict("\n", -1, 0.0, "strict")]
    except (ValueError, RuntimeError, MemoryError) as error:
        raise InputError(f"{path}: no fastText model that scores texts: {error}") from error


def _is_whole(path: Path) -> bool:
    """Whether a file has the length and the two matrices that its head announces.

    Of a quantized file (``.ftz``) only the head is looked at.
    """
    with open(path, "rb") as file:
        head = file.read(HEAD.size)
        if len(head) < HEAD.size:
            return False
        magic, _, *settings, _, _, words, labels, _, pruned = HEAD.unpack(head)
        dim, buckets = settings[0], settings[8]
        if magic != MAGIC or min(dim, words, labels) < 1 or buckets < 0:
            return False
        if pruned >= 0:
            return True
        rows = words + buckets
        matrices = [(rows, 4 * (rows + labels) * dim + 2 * MATRIX.size), (labels, 4 * labels * dim + MATRIX.size)]
        for height, from_end in matrices:
            if file.seek(0, 2) - from_end < HEAD.size:
                return False
            file.seek(-from_end, 2)
            if MATRIX.unpack(file.read(MATRIX.size)) != (0, height, dim):
                return False
    return True

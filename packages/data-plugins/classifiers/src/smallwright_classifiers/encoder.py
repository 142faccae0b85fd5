"""Encoder classifiers: one regression output on a sentence encoder (FineWeb §4, SmolLM2 §3.3.2 and §3.4).

While the encoder is frozen and nothing is dropped out, the trained part sees the same vector of a text every time. So a
pass of its own encodes each labelled text once, and the epochs run over the kept vectors. torch and transformers are in
:mod:`smallwright_classifiers.encoder_torch`.
"""

import math
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow.parquet as pq
from core.data.steps import CorpusPass, Phase
from core.writing import replacing

from smallwright_classifiers.config import EncoderClassifierConfig
from smallwright_classifiers.examples import LABELLED_FOLDER, Examples
from smallwright_classifiers.model import COMMON, Kind, Scorer, read_index

if TYPE_CHECKING:
    from smallwright_classifiers.encoder_torch import Encoder

HEAD_FILE = "head.safetensors"
VECTORS_FOLDER = "vectors"
VECTORS_FILE = "vectors.npy"
REMEMBERED = ("encoder", "revision", "freeze", "max_tokens", "prefix", "max_chars", "dtype")
"""Settings that a trained classifier is opened with again."""
ENCODED_AT_ONCE = 1024


class EncoderKind(Kind):
    """Trains and opens encoder classifiers."""

    name = "encoder"

    def __init__(self, config: EncoderClassifierConfig, seed: int) -> None:
        super().__init__(config, seed)
        self._frozen: tuple[Encoder, np.ndarray] | None = None
        frozen = "frozen encoder" if config.freeze else "encoder"
        self.about = f"{frozen} {config.pretrained or config.encoder}, one regression output"

    def check(self, step: str) -> None:
        self.config.check_libraries(f"data.steps.{step}")
        from smallwright_classifiers import encoder_torch

        config = self.config
        if config.pretrained is None:
            encoder_torch.check(config.encoder, config.revision, config.max_tokens, f"data.steps.{step}.encoder")
        elif read_index(self, config.pretrained) is None:
            place = f"data.steps.{step}.pretrained"
            encoder_torch.check(config.pretrained, config.revision, config.max_tokens, place, outputs=1)

    def phases(self, work: Path) -> list[Phase]:
        if not self.config.freeze:
            return []
        return [Phase(name="encode", pipeline=[EncodeLabelled(self, work)])]

    def settings(self) -> dict[str, Any]:
        return {name: getattr(self.config, name) for name in REMEMBERED}

    def encoder(self, settings: dict[str, Any], source: str | None = None, *, frozen: bool = False) -> "Encoder":
        """Load the encoder.

        Args:
            settings: Those of :data:`REMEMBERED`.
            source: Directory or hub id of a whole trained classifier; None starts from ``settings["encoder"]``.
            frozen: Take it apart into what is frozen and what is trained.
        """
        from smallwright_classifiers.encoder_torch import Encoder

        config = self.config
        return Encoder(
            source or settings["encoder"],
            settings["revision"],
            trained=source is not None,
            frozen=frozen,
            max_tokens=settings["max_tokens"],
            prefix=settings["prefix"],
            max_chars=settings["max_chars"],
            dtype=settings["dtype"],
            batch=config.scoring_batch,
            device=config.device,
            threads=config.threads,
            seed=self.seed,
        )

    def train(
        self, examples: Examples, training: np.ndarray, held_out: np.ndarray, work: Path, folder: Path
    ) -> tuple[np.ndarray, dict[str, Any]]:
        from smallwright_classifiers.encoder_torch import train_frozen, train_whole

        config = self.config
        if config.freeze:
            if self._frozen is None:  # the groups of a classifier share the encoder and the vectors
                self._frozen = self.encoder(self.settings(), frozen=True), gather(examples, work)
            return train_frozen(*self._frozen, examples, training, held_out, config, folder / HEAD_FILE)
        return train_whole(self.encoder(self.settings()), examples, training, held_out, config, folder)

    def open(self, classifier: Path, settings: dict[str, Any]) -> Scorer:
        if settings["freeze"]:
            return FrozenScorer(self.encoder(settings, frozen=True), classifier)
        return WholeScorer(self, settings, classifier)

    def open_foreign(self, name: str, scale: int | None) -> tuple[Scorer, int]:
        return WholeScorer(self, self.settings(), None), scale or 5


class EncodeLabelled(CorpusPass):
    """Encode the labelled documents of each shard once; a shard that is done is not done again."""

    type = "classifier"

    def __init__(self, kind: EncoderKind, work: Path) -> None:
        super().__init__()
        self.kind, self.work = kind, work

    def run_rank(self, rank: int, world_size: int) -> None:
        encoder = None
        for path in sorted((self.work / LABELLED_FOLDER).glob("*.parquet"))[rank::world_size]:
            target = self.work / VECTORS_FOLDER / f"{path.stem}.npy"
            with pq.ParquetFile(path) as file:
                if target.is_file() or not file.metadata.num_rows:
                    continue
                encoder = encoder or self.kind.encoder(self.kind.settings(), frozen=True)
                with replacing(target) as partial:
                    shape = (file.metadata.num_rows, encoder.width)
                    vectors = np.lib.format.open_memmap(partial, mode="w+", dtype=np.float32, shape=shape)
                    done = 0
                    for batch in file.iter_batches(batch_size=ENCODED_AT_ONCE, columns=["text"]):
                        vectors[done : done + batch.num_rows] = encoder.encode(batch.column("text").to_pylist())
                        done += batch.num_rows
                        self.stat_update("encoded", value=batch.num_rows)
                    vectors.flush()
                    del vectors


def gather(examples: Examples, work: Path) -> np.ndarray:
    """Return the vectors of all examples, shape (examples, width), mapped from one file in the order of examples."""
    paths = sorted((work / LABELLED_FOLDER).glob("*.parquet"))
    shards = {
        shard: np.load(work / VECTORS_FOLDER / f"{paths[shard].stem}.npy", mmap_mode="r")
        for shard in np.unique(examples.places[:, 0]).tolist()
    }
    width = next(iter(shards.values())).shape[1]
    target = work / VECTORS_FILE
    vectors = np.lib.format.open_memmap(target, mode="w+", dtype=np.float32, shape=(len(examples), width))
    for shard, kept in shards.items():
        rows = np.flatnonzero(examples.places[:, 0] == shard)
        for part in np.array_split(rows, math.ceil(len(rows) / ENCODED_AT_ONCE)):
            vectors[part] = kept[examples.places[part, 1]]
    return vectors


class FrozenScorer(Scorer):
    """Scores with one frozen encoder and a trained head for each model of a classifier."""

    def __init__(self, encoder: "Encoder", classifier: Path) -> None:
        self._encoder, self._classifier = encoder, classifier

    def predict(self, texts: Sequence[str], models: Sequence[str]) -> np.ndarray:
        scores = np.empty(len(texts))
        if not len(texts):
            return scores
        vectors, names = self._encoder.encode(list(texts)), np.array(models)
        for name in np.unique(names):
            self._encoder.load_head(self._classifier / str(name) / HEAD_FILE)
            scores[names == name] = self._encoder.score_vectors(vectors[names == name])
        return scores


class WholeScorer(Scorer):
    """Scores with whole models, each loaded when first wanted.

    Args:
        classifier: Folder of a trained classifier; None for ``pretrained`` models from elsewhere.
    """

    def __init__(self, kind: EncoderKind, settings: dict[str, Any], classifier: Path | None) -> None:
        self._kind, self._settings, self._classifier = kind, settings, classifier
        self._models: dict[str, Encoder] = {}

    def predict(self, texts: Sequence[str], models: Sequence[str]) -> np.ndarray:
        scores = np.empty(len(texts))
        names = np.array(models)
        for name in np.unique(names):
            rows = np.flatnonzero(names == name)
            scores[rows] = self._model(str(name)).score([texts[row] for row in rows])
        return scores

    def _model(self, name: str) -> "Encoder":
        if name not in self._models:
            if self._classifier is None:
                assert name == COMMON
                self._models[name] = self._kind.encoder(self._settings, self._kind.config.pretrained)
            else:
                settings = self._settings | {"revision": None}
                self._models[name] = self._kind.encoder(settings, str(self._classifier / name))
        return self._models[name]

"""Removal of documents that mean the same: nearest neighbours by the cosine of their embeddings.

Every pair of documents is compared, block by block, so time grows with the square of their number: meant for
instructions (a million of 1024 dimensions is 1e15 multiplications), not for web pages. Memory: two blocks of
embeddings and the table of their products; the embeddings themselves (4 bytes a dimension) are on disk.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
from core.data.documents import read_documents
from core.data.steps import CorpusPass, CorpusStep, Phase, Step, StepContext, batched
from core.errors import InputError, MissingPluginError
from core.writing import replacing, write_json
from datatrove.data import Document

from smallwright_dedup.clusters import FindClusters, RemoveDuplicates
from smallwright_dedup.config import EmbeddingDedupConfig
from smallwright_dedup.files import corpus_files, number, save_array

BLOCK = 2048
"""Documents compared at a time with as many others."""


class EmbeddingDedup(CorpusStep):
    """Reject a document that is as near as ``threshold`` to an earlier one that is kept. Reason: ``same meaning``.

    Each document is compared with its ``neighbours`` nearest ones. Metadata ``duplicate_of`` names the kept one. A
    document without a text (no ``text_key``, or an empty one) has no duplicates; the report counts such documents.
    """

    config: EmbeddingDedupConfig

    def bind(self, context: StepContext) -> None:
        super().bind(context)
        try:
            import torch  # noqa: F401
            import transformers
        except ImportError as error:
            raise MissingPluginError(
                f"data.steps.{context.label}: needs torch and transformers ({error}). "
                "Install them: pip install 'smallwright-data-dedup[embeddings]'"
            ) from None
        try:
            transformers.AutoConfig.from_pretrained(self.config.model, revision=self.config.revision)
        except (OSError, ValueError) as error:
            reason = str(error).strip().splitlines()[0]
            raise InputError(f"data.steps.{context.label}.model={self.config.model}: {reason}") from None

    def phases(self, corpus: Path, work: Path) -> list[Phase]:
        about = {
            "step": "embedding_dedup",
            "model": self.config.model,
            "threshold": self.config.threshold,
            "neighbours": self.config.neighbours,
        }
        return [
            Phase(name="embed", pipeline=[_Embed(self.config, corpus, work)]),
            Phase(name="neighbours", pipeline=[_FindNeighbours(self.config, corpus, work)]),
            Phase(name="clusters", pipeline=[FindClusters(corpus, work, about, rule="greedy")], tasks=1),
        ]

    def pass_step(self, work: Path) -> Step:
        return RemoveDuplicates(work, "same meaning")


class _Embed(CorpusPass):
    """Write ``embeddings/<file>.npy``, float32 [documents, dimensions] of length 1, or all 0 without a text."""

    def __init__(self, config: EmbeddingDedupConfig, corpus: Path, work: Path) -> None:
        super().__init__()
        self.config = config
        self.corpus = corpus
        self.work = work

    def run_rank(self, rank: int, world_size: int) -> None:
        files = list(enumerate(corpus_files(self.corpus)))[rank::world_size]
        encoder = Encoder(self.config) if files else None
        for file, path in files:
            assert encoder is not None
            documents, without = self._embed(path, encoder, self.work / "embeddings" / f"{file:06d}.npy")
            about = {"file": path.name, "documents": documents, "scopes": {}, "without_text": without}
            write_json(self.work / "documents" / f"{file:06d}.json", about)

    def _embed(self, path: Path, encoder: "Encoder", target: Path) -> tuple[int, int]:
        """Write the embeddings of a file as they come; return its number of documents, and how many have no text."""
        count = pq.read_metadata(path).num_rows
        done = without = 0
        with replacing(target) as partial, partial.open("wb") as stream:
            for batch in batched(read_documents(path), self.config.batch_size):
                texts = [self._text(document) for document in batch]
                without += texts.count("")
                embeddings_BD = encoder.encode(texts)
                if not done:
                    shape = {"descr": "<f4", "fortran_order": False, "shape": (count, embeddings_BD.shape[1])}
                    np.lib.format.write_array_header_1_0(stream, shape)
                stream.write(embeddings_BD.astype("<f4").tobytes())
                done += len(batch)
            if not done:
                np.save(stream, np.zeros((0, 0), dtype=np.float32))
            assert done == count, f"{path.name}: {done} documents, its footer says {count}"
        return done, without

    def _text(self, document: Document) -> str:
        if self.config.text_key is None:
            return document.text.strip()
        value = document.metadata.get(self.config.text_key)
        return value.strip() if isinstance(value, str) else ""


class Encoder:
    """A Hugging Face encoder whose states are pooled to one vector of length 1."""

    def __init__(self, config: EmbeddingDedupConfig) -> None:
        import torch
        from transformers import AutoModel, AutoTokenizer

        self.config = config
        self.device = config.device
        if config.device == "auto":
            self.device = "cuda" if torch.cuda.is_available() else "cpu"
        self.tokenizer: Any = AutoTokenizer.from_pretrained(config.model, revision=config.revision)
        model: Any = AutoModel.from_pretrained(config.model, revision=config.revision, use_safetensors=True)
        self.model: Any = model.to(self.device, dtype=torch.float32).eval()

    def encode(self, texts: list[str]) -> np.ndarray:
        """Return float32 [texts, dimensions]; a row of 0 for an empty text."""
        import torch

        inputs = self.tokenizer(
            [self.config.prefix + (text or ".") for text in texts],  # encoders fail on a batch without a token
            padding=True,
            truncation=True,
            max_length=self.config.max_length,
            return_tensors="pt",
        ).to(self.device)
        with torch.inference_mode():
            states_BTD = self.model(**inputs).last_hidden_state
        mask_BT1 = inputs["attention_mask"].unsqueeze(-1).to(states_BTD.dtype)
        if self.config.pooling == "cls":
            pooled_BD = states_BTD[:, 0]
        else:
            pooled_BD = (states_BTD * mask_BT1).sum(dim=1) / mask_BT1.sum(dim=1).clamp(min=1)
        embeddings = torch.nn.functional.normalize(pooled_BD, dim=-1).cpu().numpy().astype(np.float32)
        embeddings[[not text for text in texts]] = 0
        return embeddings


class _FindNeighbours(CorpusPass):
    """Write ``pairs/near-<file>-<block>.npy``: pairs of a document of this rank's files and a near one of any file."""

    def __init__(self, config: EmbeddingDedupConfig, corpus: Path, work: Path) -> None:
        super().__init__()
        self.config = config
        self.corpus = corpus
        self.work = work

    def run_rank(self, rank: int, world_size: int) -> None:
        for file in range(len(corpus_files(self.corpus)))[rank::world_size]:
            for start, block in self._blocks(file):
                pairs = self._near(file, start, block)
                save_array(self.work / "pairs" / f"near-{file:06d}-{start:09d}.npy", pairs)

    def _blocks(self, file: int) -> Iterator[tuple[int, np.ndarray]]:
        embeddings = np.load(self.work / "embeddings" / f"{file:06d}.npy", mmap_mode="r")
        for start in range(0, len(embeddings), BLOCK):
            yield start, np.array(embeddings[start : start + BLOCK])

    def _near(self, file: int, start: int, block: np.ndarray) -> np.ndarray:
        """Return the nearest documents of a block's rows, as pairs: int64 [2, pairs].

        Legend: Q rows of the block, C of another block, K nearest so far.
        """
        count = self.config.neighbours
        own_Q = number(file, np.arange(start, start + len(block)))
        best_QK = np.full((len(block), count), -np.inf, dtype=np.float32)
        who_QK = np.full((len(block), count), -1, dtype=np.int64)
        for other in range(len(corpus_files(self.corpus))):
            for other_start, candidates in self._blocks(other):
                numbers_C = number(other, np.arange(other_start, other_start + len(candidates)))
                # Rounded, so that all copies of a document have the same cosine. The stable sort below then takes the
                # earliest of them, however many there are.
                cosine_QC = np.round(block @ candidates.T, 4)
                cosine_QC[own_Q[:, None] == numbers_C[None, :]] = -np.inf
                cosine_QC[cosine_QC < self.config.threshold] = -np.inf  # farther ones are no duplicates in any case
                some_Q = np.flatnonzero(np.isfinite(cosine_QC).any(axis=1))
                if not len(some_Q):
                    continue
                found = np.concatenate([best_QK[some_Q], cosine_QC[some_Q]], axis=1)
                whose = np.concatenate(
                    [who_QK[some_Q], np.broadcast_to(numbers_C, (len(some_Q), len(numbers_C)))], axis=1
                )
                order = np.argsort(-found, axis=1, kind="stable")[:, :count]
                best_QK[some_Q] = np.take_along_axis(found, order, axis=1)
                who_QK[some_Q] = np.take_along_axis(whose, order, axis=1)
        rows, places = np.nonzero(np.isfinite(best_QK))
        return np.stack([own_Q[rows], who_QK[rows, places]])

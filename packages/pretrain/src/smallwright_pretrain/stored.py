"""What is stored of a teacher for a training, and how much it is. No torch.

Of each window of a corpus, cut as the student sees it, the largest probabilities of every next token, and the sum of
the others: the same for every student, order, mixture and batch (docs/decisions/0012).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from core.interfaces import TokensMeta
from core.typed import setting

from smallwright_pretrain import mixture as mixtures
from smallwright_pretrain.config import TorchTitanConfig
from smallwright_pretrain.distill_config import counted, flops_per_token
from smallwright_pretrain.segments import stages
from smallwright_pretrain.skipping import skipped_sequences
from smallwright_pretrain.windows import full_windows


@dataclass(frozen=True, kw_only=True)
class ReadStage:
    """A stage of a training, as far as it says which windows are read; see :class:`.mixture.StageData`."""

    name: str
    mixture: Mapping[str, Any] | None
    seq_len: int
    sequences: int
    round: int = 1
    """Further rounds read windows of the first one."""


@dataclass(frozen=True, kw_only=True)
class StoredConfig:
    """What is stored of one corpus in one view and length, and the hardware, which does not change the result."""

    teacher: str = setting(identity=False)
    """As the user named it."""
    corpus: str = setting(identity=False)
    """Its label in this run."""
    view: str = "all"
    seq_len: int = setting(ge=1)
    top_k: int = setting(ge=1)
    temperature: float = setting(gt=0)
    precision: str = "float32"
    read_as: str | None = None
    """The corpus, where only what a training reads of it is stored; None: all of it."""
    stages: Mapping[str, ReadStage] | None = None
    """Of that training."""
    skipped: tuple[tuple[int, ...], ...] = ()
    """Sequences that it leaves out, see :class:`smallwright_pretrain.feed.Feed`."""
    rows: int = setting(1, ge=1, identity=False)
    """Windows in a forward pass."""
    nproc: int = setting(1, ge=1, identity=False)
    """Processes, each with a whole teacher and shards of its own."""
    device: str = setting("auto", identity=False)

    @property
    def role(self) -> str:
        """Name of the artifact among the inputs of a training."""
        return f"logits-{self.corpus}-{self.view}-{self.seq_len}"


def of_training(config: TorchTitanConfig, corpora: Sequence[str]) -> list[StoredConfig]:
    """Return what must be stored for a training, of each corpus in the views and lengths that its stages read.

    Args:
        config: Its settings.
        corpora: Labels of the corpora of the run.
    """
    distill, row = config.distill, [stage for stage in stages(config) if stage.round == 1]
    if distill is None or distill.logits != "stored":
        return []
    assert distill.top_k is not None
    parts = [
        (part.corpus, part.view, stage.seq_len)
        for stage in row
        for part in mixtures.of_stage(stage, corpora, alone=len(row) == 1)
    ]
    read = (
        {
            stage.name: ReadStage(
                name=stage.name, mixture=stage.mixture, seq_len=stage.seq_len, sequences=stage.sequences
            )
            for stage in row
        }
        if distill.windows == "read"
        else None
    )
    skipped = tuple(tuple(pair) for pair in skipped_sequences(config)) if read else ()
    return [
        StoredConfig(
            teacher=distill.teacher,
            corpus=corpus,
            view=view,
            seq_len=seq_len,
            top_k=distill.top_k,
            temperature=distill.temperature,
            precision=config.precision,
            read_as=corpus if read else None,
            stages=read,
            skipped=skipped,
            rows=config.rows_per_forward,
            nproc=config.nproc,
            device=config.device,
        )
        for corpus, view, seq_len in dict.fromkeys(parts)
    ]


def id_type(ids: int) -> np.dtype:
    """Return the type of a stored id, for a tokenizer with so many of them."""
    return np.dtype("uint16" if ids <= 1 << 16 else "uint32")


def bytes_per_token(top_k: int, ids: int) -> int:
    """Return what a token takes: its ids, their log-probabilities in float16, and that of the rest."""
    k = min(top_k, ids)
    return k * id_type(ids).itemsize + 2 * (k + 1)


@dataclass(frozen=True, kw_only=True)
class Need:
    """What a teacher's pass over one corpus takes."""

    part: StoredConfig
    tokens: int | None
    """That it goes through, at most; None: nobody knows how long the corpus is."""
    top_k: int
    """Probabilities that are kept of a token."""
    bytes_per_token: int
    flops_per_token: float


def needs(
    config: TorchTitanConfig, tokens: Mapping[str, Path | None], sizes: Mapping[str, int] | None = None
) -> list[Need]:
    """Return what the passes of a training take that come before it, without doing them.

    Args:
        tokens: Finished tokens artifacts by the label of their corpus; None: not made yet.
        sizes: Tokens that corpora are said to have.
    """
    found = []
    for part in of_training(config, list(tokens)):
        teacher = counted(part.teacher)
        if (folder := tokens[part.corpus]) is not None:
            meta = TokensMeta.load(folder)
            ids, size = meta.vocab_size, meta.train_tokens
        else:  # the tokenizer may have fewer ids than the teacher has rows
            ids, size = teacher.config.vocab_size, (sizes or {}).get(part.corpus)
        whole = None if size is None else full_windows(size, part.seq_len) * part.seq_len
        if part.stages is not None:
            read = sum(stage.sequences * stage.seq_len for stage in part.stages.values())
            whole = read if whole is None else min(whole, read)
        found.append(
            Need(
                part=part,
                tokens=whole,
                top_k=min(part.top_k, ids),
                bytes_per_token=bytes_per_token(part.top_k, ids),
                flops_per_token=flops_per_token(teacher, part.seq_len),
            )
        )
    return found


def beforehand(
    config: TorchTitanConfig, tokens: Mapping[str, Path | None], sizes: Mapping[str, int] | None = None
) -> dict[str, dict[str, float] | None]:
    """Return what :meth:`core.interfaces.Trainer.beforehand` asks for."""
    return {
        need.part.role: None
        if need.tokens is None
        else {"disk_bytes": need.tokens * need.bytes_per_token, "flops": need.tokens * need.flops_per_token}
        for need in needs(config, tokens, sizes)
    }


def notes(
    config: TorchTitanConfig, tokens: Mapping[str, Path | None], sizes: Mapping[str, int] | None = None
) -> list[str]:
    """Return what a plan says of the disk that stored distributions take, and of the teacher's pass that makes them.

    Args:
        tokens: As for :func:`needs`.
        sizes: As for :func:`needs`.
    """
    said = []
    for need in needs(config, tokens, sizes):
        part, each, flops = need.part, need.bytes_per_token, need.flops_per_token
        bound = "at most " if part.view != "all" or part.stages is not None else ""
        said.append(
            f"{part.role}: the teacher's {need.top_k:,} largest probabilities of each token take "
            + (
                f"{bound}{need.tokens * each:,} bytes ({each:,} a token); its pass, once for all students, takes "
                f"{bound}{need.tokens * flops:.3g} FLOPs."
                if need.tokens is not None
                else f"{each:,} bytes, and its pass {flops:.3g} FLOPs, a token."
            )
        )
    return said

"""Settings of distillation, and what a plan can say of the teacher. No torch."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from core import hub
from core.entered import stored_parameters
from core.errors import ConfigError, InputError
from core.interfaces import Architecture
from core.stock import StockArchitecture, StockConfig
from core.typed import setting
from core.weights import ModelFolder

CHUNK_VALUES = 1 << 23
"""Logits of a teacher that are held at once; 32 MiB in float32, and the loss works with a few tensors of that size."""

TOP_K = 100
"""Stored probabilities of a token, where nothing is said (Peng et al. 2024, arXiv 2410.16215: at most 100)."""


@dataclass(frozen=True, kw_only=True)
class Mix:
    """What is minimised: ``alpha * temperature**2 * divergence + (1 - alpha) * cross-entropy`` (arXiv 1503.02531)."""

    loss: Literal["forward_kl", "reverse_kl", "jsd"] = "forward_kl"
    """How far the student's distribution q is from the teacher's p: ``forward_kl`` is KL(p, q), ``reverse_kl`` KL(q,
    p), ``jsd`` beta KL(p, m) + (1 - beta) KL(q, m) with m = beta p + (1 - beta) q (arXiv 2306.13649)."""
    alpha: float = setting(1.0, gt=0, le=1)
    """Weight of the teacher; the rest is cross-entropy with the text. At 1 the text's own next tokens count nothing,
    as in Minitron (arXiv 2408.11796)."""
    temperature: float = setting(1.0, gt=0)
    """What the logits of both are divided by before they are compared."""
    beta: float | None = setting(None, gt=0, lt=1)
    """Weight of the teacher in ``jsd``'s mixture; None: 0.5. The other losses take none."""

    def __post_init__(self) -> None:
        if self.loss == "jsd":
            object.__setattr__(self, "beta", 0.5 if self.beta is None else self.beta)
        elif self.beta is not None:
            raise ConfigError(f"beta={self.beta:g}: is of loss=jsd, and loss={self.loss}. Set beta=null.")


@dataclass(frozen=True, kw_only=True)
class DistillConfig(Mix):
    """A teacher, and how a training learns from it."""

    teacher: str = setting(min_length=1, identity=False)
    """An artifact of a store, a folder of Hugging Face's format, or a hub id, with @<revision> for one of its commits.
    Its tokenizer must be the run's."""
    logits: Literal["live", "stored"] = "live"
    """``live``: the teacher computes beside the student. ``stored``: it goes through each corpus once, before the
    training, and its largest probabilities are kept for every training on the same windows."""
    top_k: int | None = setting(None, ge=1)
    """Probabilities of a token that are stored; all others are kept as their sum. None: 100, as in arXiv 2410.16215. A
    live teacher takes none."""
    windows: Literal["all", "read"] = "all"
    """Windows of a corpus that ``stored`` goes through: ``all``, for every training on it, or those that this training
    reads, which are fewer where it reads a part of its corpora."""
    sharded: bool = setting(False, identity=False)
    """Share a live teacher's weights out to the ranks (FSDP2), for one that does not fit a device."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.logits == "stored":
            object.__setattr__(self, "top_k", self.top_k or TOP_K)
            if self.sharded:
                raise ConfigError("sharded=true: is of logits=live, and logits=stored. Set sharded=false.")
            return
        for key, value, instead in (("top_k", self.top_k, None), ("windows", self.windows, "all")):
            if value != instead:
                raise ConfigError(
                    f"{key}={value}: is of logits=stored, and logits=live. Set {key}={instead or 'null'}."
                )


def folder_of(teacher: str, key: str = "pretrain.distill.teacher") -> ModelFolder:
    """Return where a teacher's description can be read while planning.

    Args:
        key: Setting that names it.
    """
    owner, place = f"{key}={teacher}", Path(teacher)
    if place.is_dir():
        return ModelFolder(place / "hf" if (place / "hf" / "config.json").is_file() else place, owner)
    name, _, revision = teacher.partition("@")
    return ModelFolder(hub.snapshot(name, revision or None, hub.DESCRIPTION, key), owner)


def counted(teacher: str, key: str = "pretrain.distill.teacher") -> StockArchitecture:
    """Return a teacher as planning sees it; while its weights are not here, they are counted by its ``config.json``.

    Args:
        key: Setting that names it.

    Raises:
        core.errors.InputError: there is none, or it is damaged.
    """
    folder = folder_of(teacher, key)
    here = any(folder.directory.glob("*.safetensors"))
    config = StockConfig.of(folder, stored_parameters(folder) if here else 1)
    return StockArchitecture(config if here else StockConfig.of(folder, _by_its_dimensions(config)))


def _by_its_dimensions(config: StockConfig) -> int:
    """Return the parameters of a Llama of these dimensions, without its norms."""
    head = config.head_dim or config.hidden_size // config.num_attention_heads
    queries, keys = config.num_attention_heads, config.num_key_value_heads or config.num_attention_heads
    attention = 2 * config.hidden_size * head * (queries + keys)
    feed_forward = 3 * config.hidden_size * (config.intermediate_size or 4 * config.hidden_size)
    table = config.vocab_size * config.hidden_size
    tables = table if config.tie_word_embeddings else 2 * table
    return tables + config.num_hidden_layers * (attention + feed_forward)


def flops_per_token(teacher: Architecture, seq_len: int) -> float:
    """Return the FLOPs of a teacher's forward pass, a third of what training it would take."""
    return teacher.flops_per_token(seq_len) / 3


def check(settings: DistillConfig, *, ids: int, rows: int, seq_len: int) -> None:
    """Refuse a teacher that cannot teach a model.

    Args:
        ids: Of the tokenizer.
        rows: Of the model's embedding.
        seq_len: Of the longest sequences.

    Raises:
        core.errors.UserError: naming the key.
    """
    teacher = counted(settings.teacher, "distill.teacher").config
    owner = f"distill.teacher={settings.teacher}"
    if teacher.vocab_size < ids:
        raise InputError(
            f"{owner}: has {teacher.vocab_size} rows, and the tokenizer {ids} ids. Give a teacher of this tokenizer."
        )
    if teacher.max_position_embeddings is not None and teacher.max_position_embeddings < seq_len:
        raise InputError(
            f"{owner}: reads {teacher.max_position_embeddings} tokens at most, and sequences have {seq_len}. Set "
            f"pretrain.seq_len={teacher.max_position_embeddings}."
        )
    if settings.loss == "reverse_kl" and rows > ids:
        raise ConfigError(
            f"distill.loss=reverse_kl: the model has {rows - ids} rows more than the tokenizer has ids, and what the "
            f"teacher gives no probability has an infinite loss. Set arch.vocab_size={ids}, or another loss."
        )

"""Settings of the post-training methods, under the names that TRL and transformers give them."""

import dataclasses
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Literal

from core.errors import ConfigError, nearest
from core.typed import setting

from smallwright_posttrain.columns import NAMED
from smallwright_posttrain.files import ENDINGS, PACKED, is_file_name

Scheduler = Literal["linear", "cosine", "constant", "constant_with_warmup", "polynomial"]
Precision = Literal["auto", "float32", "bfloat16"]
DpoLoss = Literal["sigmoid", "hinge", "ipo", "robust", "sppo_hard", "aot", "apo_zero", "apo_down", "sigmoid_norm"]

ATTENTION = ("sdpa", "eager", "flex_attention", "flash_attention_2", "flash_attention_3", "flash_attention_4")
NO_LIMIT = 1 << 30
"""Tokens of an example of a model that does not say how many positions it has."""

_HUB_ID = re.compile(r"[A-Za-z0-9][\w.-]*/[\w.-]+")


@dataclasses.dataclass(frozen=True, kw_only=True)
class TrainConfig:
    """What both methods have in common."""

    dataset: str | None = setting(None, files=True)
    """None: the small set in this package. Else a file (JSON lines, a JSON array, Parquet, CSV or TSV, of any form that
    the README lists), or the id of a dataset on the Hugging Face hub."""
    columns: Mapping[str, str] | None = setting(None)
    """Columns of a set of another form: ``{prompt: <column>, completion: <column>}``, ``{messages: ..., role: ...,
    content: ...}``, ``{prompt: ..., chosen: ..., rejected: ...}``; also ``system``, ``input``, ``tools``, ``label``,
    and ``better``: what says which of two answers is the better one."""
    dataset_config: str | None = setting(None)
    """Configuration of a hub dataset (``all`` for smoltalk)."""
    dataset_split: str = setting("train")
    """Split of a hub dataset."""
    dataset_revision: str | None = setting(None)
    """Commit, tag or branch of a hub dataset; name a commit to make a run repeatable."""
    max_examples: int | None = setting(None, ge=1)
    """Use only the first so many good examples."""
    eval_fraction: float = setting(0.1, ge=0, lt=1)
    """Share of the prompts held out and measured before and after training; 0: no measurement."""
    num_train_epochs: float = setting(1.0, gt=0)
    """Passes over the training examples."""
    max_steps: int = setting(-1, ge=-1)
    """Optimizer steps; overrides ``num_train_epochs`` when above 0."""
    learning_rate: float = setting(1e-3, gt=0)
    """Peak learning rate of AdamW."""
    lr_scheduler_type: Scheduler = "cosine"
    """Shape of the learning rate after warm-up."""
    warmup_ratio: float = setting(0.1, ge=0, lt=1)
    """Share of the steps with a linearly rising learning rate."""
    weight_decay: float = setting(0.0, ge=0)
    """AdamW's decoupled weight decay."""
    max_grad_norm: float = setting(1.0, gt=0)
    """Norm that gradients are clipped to."""
    per_device_train_batch_size: int = setting(8, ge=1)
    """Examples (pairs, for preferences) per forward pass."""
    per_device_eval_batch_size: int = setting(16, ge=1)
    """Held-out examples per forward pass."""
    gradient_accumulation_steps: int = setting(1, ge=1)
    """Forward passes per optimizer step."""
    max_length: int | None = setting(256, ge=8)
    """Tokens of an example; what is longer is cut at its end and counted. None: as many as the model has positions."""
    precision: Precision = "auto"
    """``bfloat16`` trains under autocast with float32 weights; ``auto`` does so on a GPU that has it."""
    gradient_checkpointing: bool = setting(False)
    """Recompute activations in the backward pass: less memory, about a fifth slower."""
    attn_implementation: str | None = setting(None)
    """transformers' attention (``sdpa``, ``eager``, ``flash_attention_2``); None: the model's own choice."""
    logging_steps: int = setting(5, ge=1, identity=False)
    """Steps between lines of ``metrics.jsonl``."""
    save_steps: int = setting(50, ge=1, identity=False)
    """Steps between checkpoints to resume from."""
    dataset_num_proc: int | None = setting(None, ge=1, identity=False)
    """Processes that TRL packs rows with; None: this one."""

    def __post_init__(self) -> None:
        if self.max_steps == 0:
            raise ConfigError("max_steps=0: a number of steps, or -1 to use num_train_epochs.")
        self._check_attention()
        for name in self.columns or {}:
            if name not in NAMED:
                raise ConfigError(
                    f"columns.{name}: unknown.{nearest(name, NAMED)} Known are {', '.join(NAMED)}; each "
                    "names the set's own column."
                )
        named = self.dataset is None or is_file_name(self.dataset) or Path(self.dataset).expanduser().exists()
        if not named and not self.on_hub():
            raise ConfigError(
                f"dataset={self.dataset}: neither a file ({', '.join(ENDINGS)}, also with {PACKED}) nor a hub id "
                "(owner/name); null uses the shipped set."
            )

    def _check_attention(self) -> None:
        name = self.attn_implementation
        if name is None or "/" in name:  # a kernel of the hub
            return
        if name not in ATTENTION:
            raise ConfigError(
                f"attn_implementation={name}: unknown.{nearest(name, ATTENTION)} Known are {', '.join(ATTENTION)}, or "
                "null for the model's own choice."
            )

    def longest(self, positions: int | None, where: str) -> int:
        """Return the tokens that an example may have.

        Args:
            positions: Of the model; None: it does not say.

        Raises:
            ConfigError: ``max_length`` is above them.
        """
        if positions is not None and self.max_length is not None and self.max_length > positions:
            raise ConfigError(
                f"{where}.max_length={self.max_length}: above the model's {positions} positions, and no engine would "
                f"serve what it learns there. Set {where}.max_length={positions}, or null, which is the same."
            )
        return self.max_length or positions or NO_LIMIT

    def on_hub(self) -> bool:
        """Whether ``dataset`` names a hub dataset; a file of that name comes first."""
        if self.dataset is None or is_file_name(self.dataset) or Path(self.dataset).exists():
            return False
        return _HUB_ID.fullmatch(self.dataset) is not None


@dataclasses.dataclass(frozen=True, kw_only=True)
class SftConfig(TrainConfig):
    """Supervised fine-tuning on conversations."""

    assistant_only_loss: bool = setting(True)
    """Learn from the assistant's tokens only. SmolLM2's recipe learns from all (§5.2)."""
    replay: float = setting(0.0, ge=0)
    """Tokens of the documents of pretraining to learn beside each token of the set, in every epoch: they keep the model
    from forgetting. 0: none."""
    packing: bool = setting(False)
    """Fill rows of ``max_length`` tokens with several conversations; refused for a model that would mix them."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.packing and self.max_length is None:
            raise ConfigError("packing=true needs max_length: the length of a packed row.")


@dataclasses.dataclass(frozen=True, kw_only=True)
class DpoConfig(TrainConfig):
    """Direct preference optimisation on pairs of answers."""

    beta: float = setting(0.5, gt=0)
    """Strength of the pull towards the reference model; SmolLM2 uses 0.5 (§5.3)."""
    loss_type: DpoLoss = "sigmoid"
    """TRL's loss; ``sigmoid`` is DPO's own."""
    label_smoothing: float = setting(0.0, ge=0, lt=0.5)
    """Assumed share of pairs that are the wrong way round; used by ``robust`` and ``aot``."""
    precompute_ref_log_probs: bool = setting(False)
    """Score all pairs with the reference model first and drop it, instead of keeping a second model in memory."""

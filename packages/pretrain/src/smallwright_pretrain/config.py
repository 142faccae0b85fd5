"""Settings of pretraining with TorchTitan."""

import dataclasses
import math
from typing import Literal

from core.errors import ConfigError
from core.typed import setting


@dataclasses.dataclass(frozen=True, kw_only=True)
class TorchTitanConfig:
    """Length, batches and schedule of the training, and the hardware, which does not change the result."""

    steps: int = setting(260, ge=1)
    """Optimizer steps."""
    seq_len: int = setting(256, ge=1, le=2**31 - 1)
    """Tokens per training sequence; documents are packed into sequences and do not see each other."""
    global_batch_size: int = setting(4, ge=1)
    """Sequences per optimizer step, over all ranks; tokens per step are this times ``seq_len``."""
    learning_rate: float = setting(4e-3, gt=0)
    """Peak of AdamW's learning rate."""
    warmup_steps: int | None = setting(None, ge=0)
    """Steps of linear warm-up; None: 10, in runs of fewer than 20 steps half of them."""
    decay_ratio: float | None = setting(0.2, ge=0, le=1)
    """Share of the steps at the end over which the rate decays (WSD); None: it decays from the warm-up on."""
    decay_type: Literal["linear", "sqrt", "cosine"] = "linear"
    """Shape of the decay."""
    min_lr_factor: float = setting(0.0, ge=0, le=1)
    """The rate at the end, as a share of the peak."""
    weight_decay: float = setting(0.1, ge=0)
    beta1: float = setting(0.9, ge=0, lt=1)
    beta2: float = setting(0.95, ge=0, lt=1)
    eps: float = setting(1e-8, gt=0)
    max_norm: float = setting(1.0, gt=0)
    """Gradients are clipped to this global norm."""
    precision: Literal["bfloat16", "float32"] = "float32"
    """Precision of matrix products and activations; weights, reductions and optimizer states are always float32."""
    export_dtype: Literal["float32", "bfloat16", "float16"] = "float32"
    """Precision of the weights in ``hf/``."""
    validation_sequences: int | None = setting(None, ge=1)
    """Sequences of the validation file to measure the loss on; None: all."""
    nproc: int = setting(1, ge=1, le=65_536, identity=False)
    """Ranks on a machine: one per GPU, or one or more on a CPU. The global batch does not depend on it."""
    micro_batch_size: int | None = setting(None, ge=1, identity=False)
    """Sequences per rank in one forward pass, at most; the rest accumulates. None: all of the rank's share at once."""
    device: Literal["auto", "cpu", "cuda"] = setting("auto", identity=False)
    """``auto``: CUDA where there is a GPU."""
    compile: bool = setting(False, identity=False)
    """Compile each block: pays in runs of many minutes."""
    activation_checkpoint: Literal["none", "selective", "full"] = setting("none", identity=False)
    """Recompute activations in the backward pass to save memory."""
    replicate: int = setting(1, ge=1, identity=False)
    """Groups of ranks that each hold a whole sharded model (HSDP); 1: the model is sharded over all ranks."""
    checkpoint_interval: int = setting(65, ge=1, identity=False)
    """Steps between checkpoints that a killed run resumes from."""
    keep_latest: int = setting(2, ge=0, identity=False)
    """Checkpoints kept, at least 2; 0 keeps all."""
    log_interval: int = setting(1, ge=1, identity=False)
    """Steps between lines of ``metrics.jsonl``, and between checks that the loss is finite."""
    validation_interval: int = setting(130, ge=1, identity=False)
    """Steps between measurements of the validation loss; it is always measured at the end."""
    verify_vllm: bool = setting(True, identity=False)
    """Also compare the exported checkpoint with vLLM's log-probabilities, where vLLM is installed."""
    nodes: int = setting(1, ge=1, le=65_536, identity=False)
    """Machines, each with ``nproc`` ranks. More than one needs ``+launcher=slurm`` or ``+launcher=allocation``."""
    rendezvous: str | None = setting(None, min_length=1, identity=False)
    """``host`` or ``host:port`` at which the ranks of several machines meet. None: in a job of Slurm its first machine.
    """
    tensor_parallel: int = setting(1, ge=1, identity=False)
    """Ranks that split every matrix of the model: for models that do not fit otherwise. Must divide the heads."""
    context_parallel: int = setting(1, ge=1, identity=False)
    """Ranks that split each sequence: for long ones."""
    pipeline_parallel: int = setting(1, ge=1, identity=False)
    """Ranks that split the layers, of models with untied embeddings and no shared feed-forward."""

    def __post_init__(self) -> None:
        if self.warmup_steps is None:
            # The number itself, so that the identity is the same whether it was given or not.
            object.__setattr__(self, "warmup_steps", min(10, self.steps // 2))
        assert self.warmup_steps is not None
        if self.keep_latest == 1:
            raise ConfigError(
                f"keep_latest={self.keep_latest}: must be 2 or more (one may be unfinished), or 0 for all."
            )
        if self.warmup_steps > self.steps:
            raise ConfigError(
                f"warmup_steps={self.warmup_steps}: longer than steps={self.steps}. Use {self.steps} or fewer, or "
                "null, which follows the steps."
            )
        if self.ranks % (self.tensor_parallel * self.context_parallel * self.pipeline_parallel):
            raise ConfigError(
                f"tensor_parallel={self.tensor_parallel}, context_parallel={self.context_parallel}, "
                f"pipeline_parallel={self.pipeline_parallel}: their product must divide the ranks, "
                f"nproc * nodes = {self.ranks}."
            )
        if self.data_ranks % self.replicate:
            raise ConfigError(f"replicate={self.replicate}: must divide {self._data_ranks_in_words}.")
        if self.global_batch_size < self.data_ranks:
            raise ConfigError(
                f"global_batch_size={self.global_batch_size}: fewer sequences than ranks that share them, "
                f"{self._data_ranks_in_words}. Use at most {self.global_batch_size} of them."
            )
        pieces = (self.tensor_parallel if self.tensor_parallel > 1 else 1) * (
            2 * self.context_parallel if self.context_parallel > 1 else 1
        )
        if self.seq_len % pieces:
            raise ConfigError(
                f"seq_len={self.seq_len}: tensor_parallel={self.tensor_parallel} and "
                f"context_parallel={self.context_parallel} cut sequences into {pieces} pieces. "
                f"Use {math.ceil(self.seq_len / pieces) * pieces}."
            )

    @property
    def _data_ranks_in_words(self) -> str:
        split = self.ranks // self.data_ranks
        return f"nproc * nodes = {self.ranks}" + (f" / {split} = {self.data_ranks}" if split > 1 else "")

    @property
    def ranks(self) -> int:
        """Ranks on all machines."""
        return self.nproc * self.nodes

    @property
    def data_ranks(self) -> int:
        """Parts that a global batch is shared out to: ranks that split a model or a sequence have one together."""
        return self.ranks // (self.tensor_parallel * self.context_parallel * self.pipeline_parallel)

    @property
    def share_of_rank(self) -> int:
        """Sequences of a global batch that one rank computes, the largest share."""
        return math.ceil(self.global_batch_size / self.data_ranks)

    @property
    def rows_per_forward(self) -> int:
        """Sequences in one forward pass of a rank: as many as ``micro_batch_size`` lets, or down to half as many where
        fewer rows are then computed for nothing."""
        most = min(self.micro_batch_size or self.share_of_rank, self.share_of_rank)
        return min(range(most, math.ceil(most / 2) - 1, -1), key=lambda rows: rows * self._passes(rows))

    def _passes(self, rows: int) -> int:
        return math.ceil(self.global_batch_size / (self.data_ranks * rows))

    @property
    def padded_batch_size(self) -> int:
        """Rows that all ranks compute in a step: the global batch, and empty ones where it cannot be shared out
        evenly."""
        return self.data_ranks * self.rows_per_forward * self._passes(self.rows_per_forward)

    @property
    def tokens(self) -> int:
        """Tokens trained on in the whole run."""
        return self.steps * self.global_batch_size * self.seq_len

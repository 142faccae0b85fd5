"""Settings of pretraining with TorchTitan."""

import dataclasses
import math
from typing import Literal

from core.errors import ConfigError
from core.typed import setting

from smallwright_pretrain.retention import Retention
from smallwright_pretrain.spikes import NO_RULE, SpikeConfig


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
    validation_sequences: int | None = setting(256, ge=1)
    """Sequences of each corpus's held-out text to measure the loss on, spread evenly; None: all."""
    spikes: SpikeConfig = NO_RULE
    """When the loss or the gradient norm is out of line, and what is done then."""
    nproc: int = setting(1, ge=1, le=65_536, identity=False)
    """Ranks on this machine: one per GPU, or one or more on a CPU. The global batch does not depend on it."""
    micro_batch_size: int | None = setting(None, ge=1, identity=False)
    """Sequences per rank in one forward pass; the rest accumulates. None: all of the rank's share at once."""
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
    """Checkpoints kept to resume from, at least 2; 0 keeps all."""
    keep_every: int | None = setting(None, ge=1, identity=False)
    """Also save and keep for good the checkpoint of every so many steps; to branch from, and as a revision."""
    keep_every_tokens: int | None = setting(None, ge=1, identity=False)
    """The same by tokens trained on: of the first step that reaches a multiple."""
    keep_steps: tuple[int, ...] = setting((), ge=1, identity=False)
    """Steps whose checkpoints are saved and kept for good."""
    keep_last: bool = setting(True, identity=False)
    """Leave the last checkpoints of the training in the finished artifact; False: only those kept for good."""
    revisions: bool = setting(True, identity=False)
    """Write each checkpoint that is kept for good as a Hugging Face folder too, ``revisions/step-<number>``."""
    log_interval: int = setting(1, ge=1, identity=False)
    """Steps between lines of ``metrics.jsonl``, and between checks that the loss is finite."""
    validation_interval: int = setting(130, ge=1, identity=False)
    """Steps between measurements of the validation loss; it is always measured at the end."""
    verify_vllm: bool = setting(True, identity=False)
    """Also compare the exported checkpoint with vLLM's log-probabilities, where vLLM is installed."""

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
        if self.nproc % self.replicate:
            raise ConfigError(f"replicate={self.replicate}: must divide nproc={self.nproc}.")
        if self.global_batch_size % self.nproc:
            raise ConfigError(
                f"global_batch_size={self.global_batch_size}: not divisible by nproc={self.nproc}. "
                f"Use {math.ceil(self.global_batch_size / self.nproc) * self.nproc}."
            )
        if self.share_of_rank % self.rows_per_forward:
            raise ConfigError(
                f"micro_batch_size={self.micro_batch_size}: must divide the share of a rank, "
                f"global_batch_size / nproc = {self.share_of_rank}."
            )

    @property
    def share_of_rank(self) -> int:
        """Sequences of a global batch that one rank computes."""
        return self.global_batch_size // self.nproc

    @property
    def rows_per_forward(self) -> int:
        """Sequences in one forward pass of a rank."""
        return self.micro_batch_size or self.share_of_rank

    @property
    def tokens(self) -> int:
        """Tokens trained on in the whole run."""
        return self.steps * self.global_batch_size * self.seq_len

    @property
    def retention(self) -> Retention:
        """Which checkpoints are kept for good."""
        return Retention(self.keep_every, self.keep_every_tokens, self.keep_steps)

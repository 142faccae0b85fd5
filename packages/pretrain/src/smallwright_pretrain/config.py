"""Settings of pretraining with TorchTitan."""

import dataclasses
import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

from core.errors import ConfigError
from core.typed import setting

from smallwright_pretrain.distill_config import DistillConfig
from smallwright_pretrain.forgetting import ForgettingConfig
from smallwright_pretrain.retention import Retention
from smallwright_pretrain.rounds_config import NAME, RoundsConfig
from smallwright_pretrain.schedule_config import PluginSchedule, check_shares, name_of, resolved
from smallwright_pretrain.sharing import padded, rows_of_a_pass
from smallwright_pretrain.spikes import NO_RULE, SpikeConfig
from smallwright_pretrain.stage_config import StageConfig, filled, last_steps, steps_of

if TYPE_CHECKING:
    from core.registry import Registry

    Filled: TypeAlias = int
    Left: TypeAlias = StageConfig
else:
    Filled = int | None
    Left = StageConfig | None
"""A number that may be left out: ``__post_init__`` then writes it. A stage that may be: it is then no longer there."""

STEPS = 260
EVAL_TIMEOUT = 3600
DECAY_RATIO = 0.2
"""Share of a WSD schedule that decays where nothing is said, as in SmolLM2's smaller models (arXiv 2502.02737)."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class TorchTitanConfig:
    """Length, batches and schedule of the training, and the hardware, which does not change the result."""

    steps: Filled = setting(None, ge=1)  # noqa: RUF009
    """Optimizer steps; None: as many as ``stages`` have tokens for, and without stages 260. Beside ``stages`` it scales
    all of them alike. With ``rounds`` it is the length of all rounds together."""
    seq_len: int = setting(256, ge=1, le=2**31 - 1)
    """Tokens per training sequence; documents are packed into sequences and do not see each other."""
    global_batch_size: int = setting(4, ge=1)
    """Sequences per optimizer step, over all ranks; tokens per step are this times ``seq_len``."""
    mixture: Mapping[str, Any] | None = None
    """Share of the tokens that each corpus gives, as ``{web: 0.9, code: 0.1}``; a group is
    ``{web: {share: 0.9, of: {fineweb_edu: 0.6, dclm: 0.4}}, code: 0.1}``. None: in proportion to their tokens."""
    max_epochs: float | None = setting(None, gt=0, identity=False)
    """Refuse a run that would read a corpus more often than this."""
    corpus_tokens: Mapping[str, int] | None = setting(None, ge=1, identity=False)
    """Tokens that corpora are said to have: a plan counts with them until they are tokenised."""
    stages: Mapping[str, Left] | None = setting(None, min_length=1)
    """Parts of the training in their order, by a name of yours, each with its ``tokens`` and what changes with it. The
    schedule of the rate spans them all. Null leaves out one that an experiment has."""
    branch_from: str | None = setting(None, identity=False)
    """A finished training to go on from: ``<artifact>`` at its last checkpoint, ``<artifact>@<step>`` or
    ``<artifact>@<tokens>B`` (or K, M, T) at the last one that is kept until there. These settings are then those of the
    whole run, of which the artifact did the first steps."""
    branch_optimizer: bool = True
    """Whether a branch takes over the state of the optimizer; false: only the weights and the position in the data."""
    rounds: RoundsConfig | None = None
    """Train again on the windows that are still hard, as PanGu-pi Pro; None: one round."""
    forgetting: ForgettingConfig | None = None
    """Measure, with the held-out loss, which windows that were trained on are forgotten; None: that is not measured."""
    distill: DistillConfig | None = None
    """A teacher whose distributions the training learns, beside the text or in its place; None: the text alone."""
    learning_rate: float = setting(4e-3, gt=0)
    """Peak of AdamW's learning rate."""
    schedule: str | PluginSchedule = "wsd"
    """What follows the warm-up: ``wsd`` holds the peak and decays at the end (arXiv 2404.06395), ``cosine`` and
    ``linear`` decay from there on, ``constant`` holds the peak; or a plugin's, as ``multi_step``, with its settings as
    ``{name: multi_step, settings: {...}}``."""
    warmup_steps: Filled = setting(None, ge=0)  # noqa: RUF009
    """Steps of linear warm-up; None: 10, in runs of fewer than 20 steps half of them."""
    decay_ratio: float | None = setting(None, ge=0, le=1)
    """Share of the steps at the end over which ``wsd`` decays; None: 0.2. The other schedules take none."""
    decay_type: Literal["linear", "sqrt", "cosine"] | None = None
    """Shape of the decay of ``wsd``, ``sqrt`` being 1-sqrt (arXiv 2405.18392); None: linear. The other schedules take
    none."""
    min_lr_factor: float = setting(0.0, ge=0, le=1)
    """The rate at the last step, as a share of the peak."""
    weight_decay: float = setting(0.1, ge=0)
    beta1: float = setting(0.9, ge=0, lt=1)
    beta2: float = setting(0.95, ge=0, lt=1)
    eps: float = setting(1e-8, gt=0)
    max_norm: float = setting(1.0, gt=0)
    """Gradients are clipped to this global norm."""
    precision: Literal["auto", "bfloat16", "float32"] = "float32"
    """Precision of matrix products and activations; weights, reductions and optimizer states are always float32.
    ``auto``: what is faster on this machine for a model of this size, by measurement; the plan says what it is."""
    float8: Literal["rowwise", "rowwise_with_gw_hp"] | None = None
    """Products of linear layers in float8, by torchao's recipe of this name; the output head's are not. It is for GPUs
    from compute capability 8.9 on, and pays with ``compile``."""
    float8_emulate: bool = False
    """Round as float8 does (a scale a matrix) and compute in ``precision``: to try it on any machine, slowly."""
    export_dtype: Literal["float32", "bfloat16", "float16"] = "float32"
    """Precision of the weights in ``hf/``."""
    validation_sequences: int | None = setting(256, ge=1)
    """Sequences of each corpus's held-out text to measure the loss on, spread evenly; None: all."""
    eval_every: int | None = setting(None, ge=1, identity=False)
    """Steps between evaluations of the model on the way, in a process beside the training that it does not wait for."""
    eval_every_tokens: int | None = setting(None, ge=1, identity=False)
    """The same by tokens trained on: after the first step that reaches a multiple."""
    eval: Mapping[str, Any] | None = setting(None, identity=False)
    """What these evaluations have otherwise than the run's own, by the keys of the group ``eval``: ``{limit: 100}``."""
    eval_threads: int = setting(1, ge=1, identity=False)
    """CPU threads of these evaluations, at low priority; the ranks have the others."""
    eval_timeout: int | None = setting(EVAL_TIMEOUT, ge=1, identity=False)
    """Seconds that one of them may take before it is ended and counts as failed; None: any number, also at the end of
    the training, which waits for them."""
    eval_gpu: int | None = setting(None, ge=0, identity=False)
    """Number of the GPU for them: the ranks take those from 0 on. None: they are done on the CPU."""
    spikes: SpikeConfig = NO_RULE
    """When the loss or the gradient norm is out of line, and what is done then."""
    skip: tuple[tuple[int, ...], ...] = ()
    """Batches that are left out, as ``[[121,125],[300,300]]``, numbered as the steps of a run that skips none. A run
    that is as this one until there gives its checkpoint, finished or not."""
    rewind_to: int | None = setting(None, ge=1, identity=False)
    """Go on from the checkpoint of this step; what an unfinished training did behind it is moved aside."""
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
    """Checkpoints kept to resume from, at least 2; 0 keeps all. The one before the decay of ``wsd`` stays with them:
    from it another decay branches, and a longer run goes on."""
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
        self._fill()
        if self.keep_latest == 1:
            raise ConfigError(
                f"keep_latest={self.keep_latest}: must be 2 or more (one may be unfinished), or 0 for all."
            )
        for pair in self.skip:
            if len(pair) != 2 or not 1 <= pair[0] <= pair[1]:
                raise ConfigError(
                    f"skip={list(pair)}: must be a first and a last batch, from 1 on, such as [[121,125]]."
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
        if self.distill is not None:
            for key in ("pipeline_parallel", "tensor_parallel", "context_parallel"):
                if (split := getattr(self, key)) > 1:
                    raise ConfigError(f"{key}={split}: distill needs whole models and sequences. Set {key}=1.")
        batches = self._batches()
        for place, batch, seq_len in batches:
            self._check_batch(place, batch, seq_len)
        lengths = sorted({seq_len for _, _, seq_len in batches})
        if self.rounds is not None and len(lengths) > 1:
            raise ConfigError(
                f"rounds: draw windows of one length, and the stages have seq_len {', '.join(map(str, lengths))}. Use "
                "one, or leave rounds out."
            )
        self._check_evaluations()
        if self.branch_from is None and not self.branch_optimizer:
            raise ConfigError("branch_optimizer=false: no branch_from beside it. Give branch_from=<artifact>.")

    def _check_evaluations(self) -> None:
        steps, tokens = self.eval_every, self.eval_every_tokens
        if steps is not None and tokens is not None:
            raise ConfigError(f"eval_every={steps}: stands beside eval_every_tokens={tokens}. Leave one out.")
        if steps is None and tokens is None:
            defaults = {"eval": None, "eval_threads": 1, "eval_timeout": EVAL_TIMEOUT, "eval_gpu": None}
            for key, default in defaults.items():
                if (value := getattr(self, key)) != default:
                    raise ConfigError(f"{key}={value}: changes nothing without eval_every. Set eval_every=<steps>.")
        elif steps is not None and steps >= self.steps:
            raise ConfigError(
                f"eval_every={steps}: there are {self.steps} steps, and the last model is evaluated anyway. Use "
                f"{self.steps - 1} or fewer, or leave it out."
            )
        elif tokens is not None and tokens >= self.tokens:
            raise ConfigError(
                f"eval_every_tokens={tokens}: there are {self.tokens} tokens, and the last model is evaluated anyway. "
                "Use fewer, or leave it out."
            )

    def check(self, registry: "Registry", where: str) -> None:
        """Find the plugin that has the schedule, and look at its rates.

        Raises:
            core.errors.UserError: there is none, or it gives what is no rate.
        """
        object.__setattr__(self, "schedule", resolved(self.schedule, registry, f"{where}.schedule"))
        if isinstance(self.schedule, PluginSchedule):
            check_shares(self.schedule, self.steps, self.warmup_steps, f"{where}.schedule")

    def _check_batch(self, place: str, batch: int, seq_len: int) -> None:
        if batch < self.data_ranks:
            raise ConfigError(
                f"{place}global_batch_size={batch}: fewer sequences than ranks that share them, "
                f"{self._data_ranks_in_words}. Use at most {batch} of them."
            )
        pieces = self.tensor_parallel * (2 * self.context_parallel if self.context_parallel > 1 else 1)
        if seq_len % pieces:
            raise ConfigError(
                f"{place}seq_len={seq_len}: tensor_parallel={self.tensor_parallel} and "
                f"context_parallel={self.context_parallel} cut sequences into {pieces} pieces. "
                f"Use {math.ceil(seq_len / pieces) * pieces}."
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

    def _fill(self) -> None:
        """Write the numbers themselves in place of None, so that the identity is the same whether they were given."""
        values: dict[str, Any] = {}
        if self.stages is not None:
            shared = ("mixture", "seq_len", "global_batch_size", "micro_batch_size", "validation_interval")
            given = {name: stage for name, stage in self.stages.items() if stage is not None}
            if not given:
                raise ConfigError("stages: all of them are null. Leave one, or set stages=null.")
            values["stages"] = filled(given, {key: getattr(self, key) for key in shared})
        stages = values.get("stages")
        values["steps"] = self.steps or self._all_rounds(STEPS if stages is None else steps_of(stages))
        rounds = 1 if self.rounds is None else self.rounds.count
        if rounds > 1 and (least := self._all_rounds(len(stages or "1"))) > values["steps"]:
            raise ConfigError(
                f"steps={values['steps']}: too few for {rounds} rounds of the stages. Use {least} or more."
            )
        if stages is not None and values["steps"] < len(stages):
            raise ConfigError(
                f"steps={values['steps']}: fewer than the {len(stages)} stages. Use {len(stages)} or more."
            )
        if taken := {NAME.format(number) for number in range(2, rounds + 1)} & set(stages or ()):
            raise ConfigError(f"stages.{min(taken)}: is the name of a round. Give the stage another one.")
        if self.warmup_steps is None:
            values["warmup_steps"] = min(10, values["steps"] // 2)
        if self.schedule == "wsd":
            values["decay_ratio"] = DECAY_RATIO if self.decay_ratio is None else self.decay_ratio
            values["decay_type"] = self.decay_type or "linear"
        else:
            for key in ("decay_ratio", "decay_type"):
                if (value := getattr(self, key)) is not None:
                    raise ConfigError(
                        f"{key}={value}: is of schedule=wsd, and schedule={name_of(self.schedule)}. Set {key}=null."
                    )
        if self.schedule == "constant" and self.min_lr_factor not in (0.0, 1.0):
            raise ConfigError(
                f"min_lr_factor={self.min_lr_factor:g}: schedule=constant ends at the peak. Leave it out."
            )
        for key, value in values.items():
            object.__setattr__(self, key, value)

    def _all_rounds(self, first: int) -> int:
        return first if self.rounds is None else self.rounds.whole(first)

    @property
    def steps_of_rounds(self) -> list[int]:
        """Steps of each round; of a training without rounds, of the one that it is."""
        return [self.steps] if self.rounds is None else self.rounds.split(self.steps)

    def _batches(self) -> list[tuple[str, int, int]]:
        """Return where each global batch is set, the batch, and its sequence length."""
        if self.stages is None:
            return [("", self.global_batch_size, self.seq_len)]
        return [
            (f"stages.{name}.", int(stage.global_batch_size or 0), int(stage.seq_len or 0))
            for name, stage in self.stages.items()
        ]

    @property
    def share_of_rank(self) -> int:
        """Sequences of a global batch that one rank computes, the largest share."""
        return math.ceil(self.global_batch_size / self.data_ranks)

    @property
    def rows_per_forward(self) -> int:
        """Sequences in one forward pass of a rank."""
        return rows_of_a_pass(self.global_batch_size, self.data_ranks, self.micro_batch_size)

    @property
    def padded_batch_size(self) -> int:
        """Rows that all ranks compute in a step: the global batch, and empty ones."""
        return padded(self.global_batch_size, self.data_ranks, self.rows_per_forward)

    @property
    def tokens(self) -> int:
        """Tokens trained on in the whole run."""
        if self.stages is None:
            return self.steps * self.global_batch_size * self.seq_len
        first, *later = self.steps_of_rounds
        ends, stages = last_steps(self.stages, first), list(self.stages.values())
        steps = [end - start for start, end in zip([0, *ends], ends, strict=False)]
        return sum(
            count * stage.batch_tokens for count, stage in zip([*steps, sum(later)], [*stages, stages[-1]], strict=True)
        )

    @property
    def decay_steps(self) -> int:
        """Steps over which the rate decays, the last ones of the run."""
        after_warmup = self.steps - self.warmup_steps
        if self.schedule == "constant":
            return 0
        if self.schedule == "wsd" and self.decay_ratio is not None:
            return min(round(self.steps * self.decay_ratio), after_warmup)
        # Of a plugin's function nothing is known: its first step may be another one where the run is longer.
        return min(self.steps, after_warmup + 1) if isinstance(self.schedule, PluginSchedule) else after_warmup

    @property
    def last_at_peak(self) -> int:
        """The last step before the rate decays: up to it, a longer run with the same peak has the same rates."""
        return self.steps - self.decay_steps

    @property
    def retention(self) -> Retention:
        """Which checkpoints are kept for good."""
        before_decay = (self.last_at_peak,) if self.schedule == "wsd" and 0 < self.decay_steps < self.steps else ()
        return Retention(self.keep_every, self.keep_every_tokens, self.keep_steps, spared=before_decay)

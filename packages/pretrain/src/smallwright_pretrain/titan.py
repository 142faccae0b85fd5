"""TorchTitan's configuration for our settings.

Import after :func:`smallwright_pretrain.cpu.use_device`.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any

from torchtitan.components.loss import CrossEntropyLoss
from torchtitan.components.optimizer import LRSchedulersContainer, OptimizersContainer, default_adamw
from torchtitan.components.tokenizer import BaseTokenizer
from torchtitan.config.configs import CommConfig, CompileConfig, DebugConfig, ParallelismConfig, TrainingConfig
from torchtitan.distributed.activation_checkpoint import FullAC, SelectiveAC
from torchtitan.distributed.pipeline_parallel import pipeline_llm
from torchtitan.protocols.model_spec import ModelSpec

from smallwright_pretrain import float8
from smallwright_pretrain.attention import DocumentAttention
from smallwright_pretrain.beats import BEATS
from smallwright_pretrain.by_source import LossBySequence
from smallwright_pretrain.checkpoints import Checkpoints
from smallwright_pretrain.config import TorchTitanConfig
from smallwright_pretrain.data import StageRows, TokenDataLoader
from smallwright_pretrain.forgetting import FORGETTING
from smallwright_pretrain.metrics import FileMetrics
from smallwright_pretrain.parallelize import parallelize
from smallwright_pretrain.records import METRICS, SPEED_FILE
from smallwright_pretrain.round_files import found
from smallwright_pretrain.schedule import factor
from smallwright_pretrain.segments import Segment, segments, stages
from smallwright_pretrain.skipping import skipped_sequences
from smallwright_pretrain.trainer import PackedTrainer
from smallwright_pretrain.validator import FileValidator


class NoTokenizer(BaseTokenizer):
    """A tokenizer that TorchTitan asks for and never uses: token files hold ids already."""

    @dataclass(kw_only=True, slots=True)
    class Config(BaseTokenizer.Config):
        pass

    def __init__(self, config: Config, **_: Any) -> None:
        super().__init__()

    def encode(self, *args: Any, **kwargs: Any) -> list[int]:
        raise NotImplementedError("training reads token files")

    decode = encode  # type: ignore[assignment]

    def get_vocab_size(self) -> int:
        raise NotImplementedError("training reads token files")


def parallelism(settings: TorchTitanConfig, model: Any) -> ParallelismConfig:
    """Return how the ranks split the work."""
    documents = isinstance(model.first_attention.inner_attention, DocumentAttention.Config)
    return ParallelismConfig(
        spmd_backend="partial_dtensor",  # the default, "spmd_types", does not run on a CPU
        data_parallel_replicate_degree=settings.replicate,
        tensor_parallel_degree=settings.tensor_parallel,
        context_parallel_degree=settings.context_parallel,
        # A mask that is added costs as much in every row: there is nothing to balance.
        context_parallel_load_balancer=None if documents else "ptrr",
        pipeline_parallel_degree=settings.pipeline_parallel,
        pipeline_parallel_schedule="1F1B",
    )


class Schedule(LRSchedulersContainer):
    """The rates of :mod:`smallwright_pretrain.schedule` in place of TorchTitan's."""

    @dataclass(kw_only=True, slots=True)
    class Config(LRSchedulersContainer.Config):
        settings: TorchTitanConfig

        def build(self, *, optimizers: OptimizersContainer, training_steps: int) -> LRSchedulersContainer:
            """Return the schedulers; the length is that of the settings, of which ``training_steps`` may be a part."""
            # PyTorch asks with the number of steps that are done.
            return LRSchedulersContainer(optimizers, lambda done: factor(self.settings, done + 1))


def trainer_config(
    settings: TorchTitanConfig,
    *,
    model: Any,
    name: str,
    tokens: Mapping[str, Path],
    output: Path,
    seed: int,
    work: Path | None = None,
    segment: Segment | None = None,
    begin: Path | None = None,
    left_out: Sequence[str] = (),
    teacher: Path | None = None,
    ids: int = 0,
    stored: Mapping[str, dict[str, Any]] = MappingProxyType({}),
    revisions: tuple[str, ...] = (),
    snapshots: Path | None = None,
) -> PackedTrainer.Config:
    """Return TorchTitan's configuration for these settings.

    Args:
        settings: Of the segment, see :meth:`smallwright_pretrain.segments.Segment.settings`.
        model: The architecture's ``Decoder.Config``.
        name: The architecture's name, for logs.
        tokens: The tokens artifacts by the label of their corpus.
        output: Where ``checkpoint/`` and ``metrics.jsonl`` go.
        work: Where the speeds go; None: beside the metrics.
        segment: What these ranks train; None: the whole run, which then has one.
        begin: The checkpoint of another training to begin with; None: this training's own last one, or none.
        left_out: What is not taken from it, by TorchTitan's names of a checkpoint's parts.
        teacher: Folder of the model that ``settings.distill`` learns from, of Hugging Face's format.
        ids: Of the tokenizer.
        stored: What that model says, where it is stored; see :func:`smallwright_pretrain.stored_files.rows`.
        revisions: Command that writes kept checkpoints as Hugging Face revisions, see :func:`.revisions.command`.
        snapshots: Where the weights go that are evaluated on the way; None: they are not.
    """
    if segment is None:
        (segment,) = segments(settings)
    recompute = {"none": None, "selective": SelectiveAC.Config(), "full": FullAC.Config()}
    return PackedTrainer.Config(
        model_spec=ModelSpec(
            name=name,
            flavor="",
            model=float8.converted(model, settings),
            parallelize_fn=parallelize,
            pipelining_fn=pipeline_llm,
            post_optimizer_build_fn=None,
            state_dict_adapter=None,
        ),
        dump_folder=str(output),
        tokenizer=NoTokenizer.Config(),
        dataloader=TokenDataLoader.Config(
            tokens={label: str(folder) for label, folder in tokens.items()},
            stages=[StageRows.of(stage) for stage in stages(settings)],
            seed=seed,
            global_batch_size=settings.global_batch_size,
            padded_batch_size=settings.padded_batch_size,
            drawn={number: str(file) for number, file in found(settings, output).items()},
            skipped=skipped_sequences(settings),
            stored=dict(stored),
        ),
        loss=(LossBySequence if len(tokens) > 1 else CrossEntropyLoss).Config(global_vocab_size=model.vocab_size),
        optimizer=default_adamw(
            lr=settings.learning_rate,
            betas=(settings.beta1, settings.beta2),
            eps=settings.eps,
            weight_decay=settings.weight_decay,
        ),
        lr_scheduler=Schedule.Config(settings=settings, warmup_steps=settings.warmup_steps),
        training=TrainingConfig(
            local_batch_size=settings.rows_per_forward,
            global_batch_size=settings.padded_batch_size,
            seq_len=settings.seq_len,
            steps=segment.last,
            max_norm=settings.max_norm,
            mixed_precision_param=settings.precision,
            disable_cuda_graphs=True,
        ),
        parallelism=parallelism(settings, model),
        checkpoint=Checkpoints.Config(
            enable=True,
            interval=settings.checkpoint_interval,
            keep_latest_k=settings.keep_latest,
            settings=settings,
            export=revisions,
            snapshots="" if snapshots is None else str(snapshots),
            # A run killed between the last step and the end of the export resumes from the last step.
            last_save_model_only=False,
            initial_load_path=None if begin is None else str(begin.resolve()),
            initial_load_model_only=False,
            exclude_from_loading=list(left_out),
        ),
        activation_checkpoint=recompute[settings.activation_checkpoint],
        compile=CompileConfig(enable=settings.compile),
        metrics=FileMetrics.Config(
            log_freq=settings.log_interval,
            disable_color_printing=True,
            path=str(output / METRICS),
            speed=str((work or output) / SPEED_FILE),
            steps=settings.steps,
            settings=settings,
        ),
        spikes=settings.spikes,
        distill=settings.distill if stored or teacher is not None else None,
        teacher="" if teacher is None else str(teacher),
        teacher_ids=ids,
        forgetting="" if settings.forgetting is None else str(output / FORGETTING),
        beats="" if work is None else str(work / BEATS),
        validator=FileValidator.Config(
            tokens={label: str(folder) for label, folder in tokens.items()}, settings=settings
        ),
        # The first step may compile; later ones may wait for a rank that saves a checkpoint to a slow disk.
        comm=CommConfig(
            init_timeout_seconds=1800,
            train_timeout_seconds=900,
            # What NCCL leaves when ranks hang is for people, and no part of the model.
            save_traces_folder=str((work or output).resolve() / "comm_traces"),
        ),
        debug=DebugConfig(seed=seed, enable_structured_logging=False),
    )

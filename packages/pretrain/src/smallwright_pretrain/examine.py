"""One rank of ``core.doctor``'s trial: ``python -m smallwright_pretrain.examine <job.json> [--layout N]``.

It trains a few steps on random tokens with the settings of the job; or builds the model as rank 0 of N GPUs holds it,
in one process whose collectives move nothing (TorchTitan's fake backend).
"""

import dataclasses
import os
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from core.errors import UserError
from core.interfaces import Job
from core.process import die_with_parent
from core.writing import write_json

from smallwright_pretrain.config import TorchTitanConfig
from smallwright_pretrain.doctor import FOUND_FILE
from smallwright_pretrain.plan import memory_parts

STEPS = 3
SENT_BYTES = 32 * 2**20
"""Of the all-reduce that is timed."""
LAYOUT_TOKENS = 64
"""Length of sequences in the short step of a layout, at least."""


def main(job_file: Path, layout: int | None) -> None:
    """Examine, and leave what was found beside the job: rank 0 does, or the first rank that fails."""
    answer = job_file.parent / FOUND_FILE
    try:
        job = Job.read(job_file)
        found = steps(job) if layout is None else of_layout(job, layout)
    except BaseException as error:
        said = str(error).strip().splitlines() or [""]
        reason = said[0] if isinstance(error, UserError) else f"{type(error).__name__}: {said[0]}"
        if not answer.exists():
            write_json(answer, {"error": reason})
        raise
    if int(os.environ["RANK"]) == 0:
        write_json(answer, found)


def steps(job: Job) -> dict[str, Any]:
    """Time a few steps, and the ranks' collectives."""
    from smallwright_pretrain.cpu import peak_memory_bytes, use_device

    assert job.stage is not None
    settings: TorchTitanConfig = job.stage.config
    device = use_device(settings.device)
    import torch

    if device == "cuda" and settings.nproc > torch.cuda.device_count():
        raise UserError(f"pretrain.nproc={settings.nproc}: this machine has {torch.cuda.device_count()} GPUs.")
    trainer = _trainer(job, dataclasses.replace(settings, device=device))
    batches = trainer.batch_generator(trainer.dataloader)
    seconds = []
    for _ in range(STEPS):
        started = time.perf_counter()
        trainer.step += 1
        trainer.train_step(batches)
        if device == "cuda":
            torch.cuda.synchronize()
        seconds.append(time.perf_counter() - started)
    peak = peak_memory_bytes() if device == "cpu" else torch.cuda.max_memory_allocated()
    clock, bandwidth, peak = _together(trainer.device, peak)
    have = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    assert job.architecture is not None
    return {
        "device": "the CPU" if device == "cpu" else torch.cuda.get_device_name(),
        "seconds": seconds,
        "peak_bytes": peak,
        "planned_bytes": sum(memory_parts(dataclasses.replace(settings, device=device), job.architecture).values()),
        "memory_bytes": have if device == "cpu" else torch.cuda.get_device_properties(0).total_memory,
        "clock_seconds": clock,
        "bandwidth": bandwidth,
    }


def _together(device: Any, peak: int) -> tuple[float, float, int]:
    """Return how far the ranks' clocks are apart in seconds, the bytes that an all-reduce moves a second, and the
    largest peak of memory."""
    import torch
    import torch.distributed as dist

    ranks = dist.get_world_size()
    dist.barrier()
    told: list[Any] = [None] * ranks
    dist.all_gather_object(told, (time.time(), peak))
    clocks = [clock for clock, _ in told]
    sent = torch.ones(SENT_BYTES // 4, device=device)
    best = float("inf")
    for _ in range(3):
        started = time.perf_counter()
        dist.all_reduce(sent)
        if device.type == "cuda":
            torch.cuda.synchronize()
        best = min(best, time.perf_counter() - started)
    # As NCCL's tests count: what a link must carry of an all-reduce.
    return max(clocks) - min(clocks), SENT_BYTES / best * 2 * (ranks - 1) / ranks, max(most for _, most in told)


def of_layout(job: Job, ranks: int) -> dict[str, Any]:
    """Build the model as rank 0 of ``ranks`` holds it, and do a short step."""
    from smallwright_pretrain.cpu import use_device

    use_device("cpu")
    os.environ.update(NGPU=str(ranks), RANK="0", WORLD_SIZE=str(ranks), LOCAL_RANK="0")
    assert job.stage is not None
    whole: TorchTitanConfig = job.stage.config
    pieces = whole.tensor_parallel * 2 * whole.context_parallel
    settings = dataclasses.replace(
        whole,
        steps=1,
        warmup_steps=0,
        seq_len=max(LAYOUT_TOKENS // pieces, 1) * pieces,
        global_batch_size=whole.data_ranks * whole.pipeline_parallel,
        micro_batch_size=None,
        compile=False,
        float8=None,  # which this machine's CPU lacks, and which moves no weight to another rank
        float8_emulate=False,
        device="cpu",
    )
    trainer = _trainer(job, settings, fake=True)
    from torchtitan.trainer import Trainer

    trainer.step = 1
    try:
        Trainer.train_step(trainer, trainer.batch_generator(trainer.dataloader))
    except RuntimeError as error:
        if "not finite" not in str(error):  # what no rank sends is no number
            raise
    dims = trainer.parallel_dims
    degrees = {"replicas": dims.dp_replicate, "shards": dims.dp_shard, "tensor": dims.tp, "context": dims.cp}
    degrees["pipeline"] = dims.pp
    held = sum(_bytes(parameter) for part in trainer.model_parts for parameter in part.parameters())
    return {
        "mesh": ", ".join(f"{name} {degree}" for name, degree in degrees.items() if degree > 1) or "one rank",
        "state_bytes": 4 * held,
    }


def _bytes(parameter: Any) -> int:
    local = parameter.to_local() if hasattr(parameter, "to_local") else parameter
    return int(local.numel() * local.element_size())


def _trainer(job: Job, settings: TorchTitanConfig, *, fake: bool = False) -> Any:
    """Build the trainer on random tokens, with nothing to validate and no checkpoints."""
    from torchtitan.components.dataloader import BaseDataLoader

    from smallwright_pretrain.attention import inner_attention
    from smallwright_pretrain.data import batch
    from smallwright_pretrain.titan import trainer_config

    architecture = job.architecture
    assert architecture is not None
    model = architecture.titan_config(inner_attention=inner_attention(settings.device), seq_len=settings.seq_len)
    vocab = model.vocab_size

    class RandomTokens(BaseDataLoader):
        """Micro-batches of random ids, of documents of 512 tokens."""

        @dataclass(kw_only=True, slots=True)
        class Config(BaseDataLoader.Config):
            pass

        def __init__(self, config: Any, *, seq_len: int, local_batch_size: int, **_: Any) -> None:
            import numpy as np

            self._generator = np.random.Generator(np.random.PCG64(0))
            self._shape = local_batch_size, seq_len

        def __iter__(self) -> Iterator[Any]:
            import numpy as np

            rows, length = self._shape
            while True:
                ids = self._generator.integers(0, vocab, (rows, length + 1))
                places = np.arange(length) % 512
                yield batch([(row[:-1], places, row[1:]) for row in ids])

        def state_dict(self) -> dict[str, Any]:
            return {}

        def load_state_dict(self, state_dict: dict[str, Any]) -> None:
            return

    config = trainer_config(settings, model=model, name="doctor", tokens={}, output=job.output, seed=job.seed)
    config.dataloader = RandomTokens.Config()
    config.checkpoint.enable = False
    if fake:
        config.comm.mode = "fake_backend"
    return config.build()


if __name__ == "__main__":
    die_with_parent()
    if "RANK" not in os.environ:
        os.environ.update(RANK="0", LOCAL_RANK="0", WORLD_SIZE="1", MASTER_ADDR="127.0.0.1", MASTER_PORT="0")
    asked = sys.argv[2:]
    main(Path(sys.argv[1]), int(asked[1]) if asked else None)

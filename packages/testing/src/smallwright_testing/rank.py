"""The ranks that :meth:`smallwright_testing.learning.Learning.test_two_ranks_train_as_one` starts.

``python -m smallwright_testing.rank <folder>`` trains the architecture of ``job.json`` on two ranks with the weights
and the ids of ``given.pt``. The trainer's own ``parallelize`` shards it. Losses and first gradients go to ``found.pt``.
"""

import importlib
import os
import sys
from pathlib import Path

from core.engines import importing
from core.interfaces import Job
from core.process import die_with_parent

RANKS = 2


def main(folder: Path) -> None:
    """Run the ranks as forks of this process: what takes time, importing TorchTitan, is done once."""
    with importing():
        import torch.multiprocessing
        from smallwright_pretrain.cpu import use_device

        use_device("cpu")
        for module in ("smallwright_pretrain.parallelize", "smallwright_testing.training"):
            importlib.import_module(module)

    torch.multiprocessing.start_processes(run_rank, (folder, os.getpid()), nprocs=RANKS, start_method="fork")


def run_rank(rank: int, folder: Path, parent: int) -> None:
    """Train as rank ``rank``."""
    die_with_parent(parent)
    import torch
    import torch.distributed as dist
    from smallwright_pretrain.parallelize import parallelize
    from torchtitan.config.configs import CompileConfig, ParallelismConfig, TrainingConfig
    from torchtitan.distributed import ParallelDims

    from smallwright_testing.engines import titan_model
    from smallwright_testing.training import FOUND, GIVEN, JOB, mean_loss, train

    given = torch.load(folder / GIVEN, weights_only=True)
    architecture = Job.read(folder / JOB).architecture
    assert architecture is not None
    model = titan_model(architecture, given["ids_BL"].shape[1])
    model.load_state_dict(given["state"])

    dist.init_process_group("gloo", init_method=f"file://{folder / 'rendezvous'}", rank=rank, world_size=RANKS)
    parallelism = ParallelismConfig(spmd_backend="partial_dtensor")
    parallelize(
        model,
        parallel_dims=ParallelDims.from_config(parallelism, RANKS),
        training=TrainingConfig(mixed_precision_param="float32"),
        parallelism=parallelism,
        compile_config=CompileConfig(),
        ac_config=None,
        dump_folder="",
    )
    rows = slice(rank, None, RANKS)
    mean_loss(model, given["ids_BL"], rows).backward()
    gradients = {name: parameter.grad.full_tensor() for name, parameter in model.named_parameters()}
    model.zero_grad()
    losses = torch.tensor(train(model, given["ids_BL"], given["steps"], given["learning_rate"], rows))
    dist.all_reduce(losses)
    if rank == 0:
        torch.save({"losses": losses.tolist(), "gradients": gradients}, folder / FOUND)
    dist.destroy_process_group()


if __name__ == "__main__":
    die_with_parent()
    main(Path(sys.argv[1]))

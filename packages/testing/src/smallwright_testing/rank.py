"""One of the ranks that :meth:`smallwright_testing.learning.Learning.test_two_ranks_train_as_one` starts.

``torchrun ... -m smallwright_testing.rank <folder>`` trains the architecture of ``job.json`` with the weights and
the ids of ``given.pt``. The trainer's own ``parallelize`` shards it. Losses and first gradients go to ``found.pt``.
"""

import sys
from pathlib import Path

from core.engines import importing
from core.interfaces import Job
from core.process import die_with_parent


def main(folder: Path) -> None:
    """Run this rank."""
    with importing():
        import torch
        import torch.distributed as dist
        from smallwright_pretrain.cpu import use_device

        use_device("cpu")
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

    dist.init_process_group("gloo")
    rank, ranks = dist.get_rank(), dist.get_world_size()
    parallelism = ParallelismConfig(spmd_backend="partial_dtensor")
    parallelize(
        model,
        parallel_dims=ParallelDims.from_config(parallelism, ranks),
        training=TrainingConfig(mixed_precision_param="float32"),
        parallelism=parallelism,
        compile_config=CompileConfig(),
        ac_config=None,
        dump_folder="",
    )
    rows = slice(rank, None, ranks)
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

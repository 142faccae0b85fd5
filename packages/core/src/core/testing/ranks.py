"""One of the ranks that :meth:`core.testing.learning.Learning.test_two_ranks_train_as_one` starts.

``torchrun ... -m core.testing.ranks <folder>``: trains the model of ``launch.json`` and ``given.pt``, sharded by the
trainer's own ``parallelize``, and leaves losses and first gradients in ``found.pt``.
"""

import json
import sys
from pathlib import Path

from core import discovery
from core.process import die_with_parent
from core.typed import build


def main(folder: Path) -> None:
    """Run this rank."""
    import torch
    import torch.distributed as dist
    from smallwright_pretrain.cpu import use_device

    use_device("cpu")
    from smallwright_pretrain.parallelize import parallelize
    from torchtitan.config.configs import CompileConfig, ParallelismConfig, TrainingConfig
    from torchtitan.distributed import ParallelDims

    from core.testing.engines import titan_model
    from core.testing.training import mean_loss, train

    launch = json.loads((folder / "launch.json").read_text())
    given = torch.load(folder / "given.pt", weights_only=True)
    entry = discovery.load(launch["plugin_files"]).get("architectures", launch["plugin"])
    config_class = entry.load_config()
    assert config_class is not None
    architecture = entry.load()(build(config_class, launch["settings"], "arch"))
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
    losses = torch.tensor(train(model, given["ids_BL"], launch["steps"], launch["learning_rate"], rows))
    dist.all_reduce(losses)
    if rank == 0:
        torch.save({"losses": losses.tolist(), "gradients": gradients}, folder / "found.pt")
    dist.destroy_process_group()


if __name__ == "__main__":
    die_with_parent()
    main(Path(sys.argv[1]))

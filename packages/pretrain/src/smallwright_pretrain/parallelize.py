"""Apply TorchTitan's own FSDP2 to any decoder."""

from typing import Any

import torch.nn as nn
from torch.distributed.fsdp import FSDPModule
from torch.distributed.tensor import DTensor
from torchtitan.models.common.decoder import Decoder
from torchtitan.models.llama3 import parallelize_llama
from torchtitan.tools import utils


def parallelize(model: Decoder, **settings: Any) -> nn.Module:
    """Shard ``model``: each block, the embeddings and the head are FSDP units, and the root takes what is left.

    A module that several blocks use (a shared feed-forward) must be a child of the model and no child of a block: it
    then belongs to the root unit, gathered and reduced once per step.

    Args:
        settings: What TorchTitan's trainer hands to a ``parallelize_fn``.

    Raises:
        RuntimeError: two blocks own one parameter, which FSDP would gather for the first of them only; or a
            parameter stayed unsharded, and every rank would train its own copy of it.
    """
    owners: dict[int, str] = {}
    for block_name, block in model.layers.items():
        for name, parameter in block.named_parameters():
            owner = owners.setdefault(id(parameter), block_name)
            if owner != block_name:
                raise RuntimeError(
                    f"layers.{block_name} and layers.{owner} both own {name}. Make it a child of the model, and let "
                    "blocks refer to it without owning it."
                )
    parallelize_llama(model, **settings)  # type: ignore[arg-type]
    unsharded = [name for name, parameter in model.named_parameters() if not isinstance(parameter, DTensor)]
    if unsharded:
        raise RuntimeError(f"not sharded by FSDP: {', '.join(unsharded[:5])}")
    if utils.device_type == "cpu":
        for module in model.modules():
            if isinstance(module, FSDPModule):
                # TorchTitan divides gradients itself, which FSDP maps to PREMUL_SUM; gloo has no such reduction.
                module.set_force_sum_reduction_for_comms(True)
    return model

"""Weights in and out of a sharded TorchTitan model.

Import after :func:`smallwright_pretrain.cpu.use_device`.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from core.weights import Differences, ModelFolder, compare, shapes, tied_names
from torch.distributed import ProcessGroup
from torch.distributed.tensor import DTensor, distribute_tensor


def full_state_dict(model: torch.nn.Module, pipeline: ProcessGroup | None = None) -> dict[str, torch.Tensor]:
    """Gather the unsharded weights on the CPU of every rank; all ranks must call it.

    Args:
        pipeline: The ranks among which the layers are split; None: ``model`` has all.
    """
    state = {}
    for name, value in model.state_dict().items():
        full = value.full_tensor() if isinstance(value, DTensor) else value
        state[name] = full.detach().to("cpu", copy=True)
    if pipeline is not None:
        parts: list[Any] = [None] * torch.distributed.get_world_size(pipeline)
        torch.distributed.all_gather_object(parts, state, group=pipeline)
        state = {name: weight for part in parts for name, weight in part.items()}
    return state


def load_starting_weights(model: torch.nn.Module, adapter: Any, folder: Path, *, in_a_pipeline: bool = False) -> None:
    """Fill a sharded model from the safetensors of a Hugging Face directory.

    Args:
        in_a_pipeline: ``model`` has some of the layers; other ranks have the others.

    Raises:
        core.errors.InputError: there are none, they are damaged, or they are not this architecture's.
    """
    from safetensors.torch import load_file

    source = ModelFolder(folder)
    source.weights()  # refuses damaged files
    hf_state: dict[str, torch.Tensor] = {}
    for file in source.weight_files():
        hf_state.update(load_file(file))
    try:
        loaded = adapter.from_hf(hf_state)
    except KeyError as error:
        raise source.refusal(f"{error} is no weight of this architecture. Start from a model like arch=.") from None
    if in_a_pipeline:
        own = model.state_dict()
        loaded = {name: weight for name, weight in loaded.items() if name in own}
    if different := _differences(model, loaded):
        raise source.refusal(
            f"{different}. Start from a model of the same dimensions, or make one with an initializer."
        )
    _copy_into(model, loaded)


def initialize(model: torch.nn.Module, model_config: Any, seed: int) -> None:
    """Give a sharded model the initial weights that an unsharded one gets, so that ranks do not change them.

    For the CPU, where PyTorch draws each shard from the same random numbers; on a GPU it draws as for a whole tensor.
    """
    whole = unsharded(model_config, seed).state_dict()
    own = {name: whole[name] for name in model.state_dict()}  # in a pipeline, some of the layers
    assert not _differences(model, own)
    _copy_into(model, own)


def unsharded(model_config: Any, seed: int = 0) -> Any:
    """Return TorchTitan's model of ``model_config`` in float32 on the CPU, with initial weights drawn from ``seed``."""
    with torch.device("meta"):
        model = model_config.build()
    model.to_empty(device="cpu")
    torch.manual_seed(seed)
    with torch.no_grad():
        model.init_weights(buffer_device=torch.device("cpu"))
    return model


def check_complete(model: torch.nn.Module, state: Mapping[str, torch.Tensor]) -> None:
    """Refuse a state dict, of an adapter's making, that is not exactly the model's.

    Raises:
        RuntimeError: naming what is missing, has no place or another shape.
    """
    if different := _differences(model, state):
        raise RuntimeError(f"the adapter's weights are not those of {type(model).__name__}: {different}")


def _differences(model: torch.nn.Module, state: Mapping[str, torch.Tensor]) -> Differences:
    return compare(shapes(state), shapes(model.state_dict()), tied_names(model))


def _copy_into(model: torch.nn.Module, source: Mapping[str, torch.Tensor]) -> None:
    """Copy unsharded weights into a sharded model that has them all; a tied weight may come under one of its names."""
    filled = {}
    for name, target in model.state_dict().items():
        if name not in source:
            continue
        weight = source[name].to(target.dtype)
        if isinstance(target, DTensor):
            weight = distribute_tensor(weight.to(target.device), target.device_mesh, target.placements)
        filled[name] = weight
    model.load_state_dict(filled, strict=False)

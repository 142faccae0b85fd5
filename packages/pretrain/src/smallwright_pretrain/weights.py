"""Weights in and out of a sharded TorchTitan model.

Import after :func:`smallwright_pretrain.cpu.use_device`.
"""

from pathlib import Path
from typing import Any

import torch
from core.errors import InputError
from torch.distributed.tensor import DTensor, distribute_tensor


def full_state_dict(model: torch.nn.Module) -> dict[str, torch.Tensor]:
    """Gather the unsharded weights on the CPU of every rank; all ranks must call it."""
    state = {}
    for name, value in model.state_dict().items():
        full = value.full_tensor() if isinstance(value, DTensor) else value
        state[name] = full.detach().to("cpu", copy=True)
    return state


def load_starting_weights(model: torch.nn.Module, adapter: Any, folder: Path) -> None:
    """Fill a sharded model from the safetensors of a Hugging Face directory.

    Raises:
        core.errors.InputError: there are none, or they are not this architecture's.
    """
    from safetensors.torch import load_file

    files = sorted(folder.glob("*.safetensors"))
    if not files:
        raise InputError(f"{folder}: no safetensors to start from.")
    hf_state: dict[str, torch.Tensor] = {}
    for file in files:
        hf_state.update(load_file(file))
    try:
        loaded = adapter.from_hf(hf_state)
    except KeyError as error:
        raise InputError(
            f"{folder}: {error} is no weight of this architecture. Start from a model like arch=."
        ) from None
    missing = _copy_into(model, loaded, folder)
    if missing:
        raise InputError(f"{folder}: lacks {', '.join(missing[:5])}. Start from a model of the same architecture.")


def initialize(model: torch.nn.Module, model_config: Any, seed: int) -> None:
    """Give a sharded model the initial weights that an unsharded one gets, so that ranks do not change them.

    For the CPU, where PyTorch draws each shard from the same random numbers; on a GPU it draws as for a whole tensor.
    """
    whole = unsharded(model_config, seed)
    missing = _copy_into(model, whole.state_dict(), None)
    assert not missing, missing


def unsharded(model_config: Any, seed: int = 0) -> Any:
    """Return TorchTitan's model of ``model_config`` in float32 on the CPU, with initial weights drawn from ``seed``."""
    with torch.device("meta"):
        model = model_config.build()
    model.to_empty(device="cpu")
    torch.manual_seed(seed)
    with torch.no_grad():
        model.init_weights(buffer_device=torch.device("cpu"))
    return model


def _copy_into(model: torch.nn.Module, source: dict[str, torch.Tensor], folder: Path | None) -> list[str]:
    """Copy unsharded weights into a sharded model, and return the names that got none."""
    state = model.state_dict()
    storage = {name: _storage(value) for name, value in state.items()}
    filled = {}
    for name, target in state.items():
        if name not in source:
            continue
        weight = source[name].to(target.dtype)
        if weight.shape != target.shape:
            raise InputError(
                f"{folder}: {name} has shape {tuple(weight.shape)}, this model's is {tuple(target.shape)}. "
                "Start from a model of the same dimensions, or make one with an initializer."
            )
        if isinstance(target, DTensor):
            weight = distribute_tensor(weight.to(target.device), target.device_mesh, target.placements)
        filled[name] = weight
    model.load_state_dict(filled, strict=False)
    # A tied weight has two names and may be stored under either.
    present = {storage[name] for name in filled}
    return [name for name in state if name not in filled and storage[name] not in present]


def _storage(value: torch.Tensor) -> int:
    local = value.to_local() if isinstance(value, DTensor) else value
    return local.untyped_storage().data_ptr()

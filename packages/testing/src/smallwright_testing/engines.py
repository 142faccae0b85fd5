"""The faces of an architecture with the same weights, for the tests of :mod:`smallwright_testing`.

Shape suffixes: B batch, L sequence, V vocabulary.
"""

import dataclasses
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from core import weights
from core.engines import ranks_environment
from core.interfaces import Architecture
from core.process import plugin_files_environment

if TYPE_CHECKING:
    import torch

SPREAD = 0.2
"""Deviation that is added to tensors whose initial values are all equal."""


def titan_model(architecture: Architecture, seq_len: int, seed: int = 0) -> Any:
    """Return the TorchTitan model in float32 on the CPU, with the attention that the trainer takes there.

    Tensors that start constant (norms at one, what is added at zero) get values that differ: a norm or a path in the
    wrong place, or a weight that the adapter drops, would be hidden by ones and zeros.
    """
    import torch
    from smallwright_pretrain.cpu import use_device

    use_device("cpu")
    from smallwright_pretrain.attention import inner_attention
    from smallwright_pretrain.weights import unsharded

    model = unsharded(architecture.titan_config(inner_attention=inner_attention("cpu"), seq_len=seq_len), seed)
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in model.parameters():
            if bool((parameter == parameter.flatten()[0]).all()):
                parameter.add_(SPREAD * torch.randn(parameter.shape, generator=generator))
    return model


def titan_logits(model: Any, ids_BL: "torch.Tensor", positions_BL: "torch.Tensor | None" = None) -> "torch.Tensor":
    """Run the TorchTitan model as the trainer does.

    Args:
        positions_BL: Position of each token in its document, 0 where one starts; None: one document a row.
    """
    import torch
    from smallwright_pretrain.attention import document_mask

    if positions_BL is None:
        positions_BL = torch.arange(ids_BL.shape[1]).expand_as(ids_BL)
    mask_B1LL = document_mask(positions_BL, next(model.parameters()).dtype)
    return model(ids_BL, positions=positions_BL, attention_masks=mask_B1LL)


def adapter_of(architecture: Architecture, seq_len: int) -> Any:
    """Return the architecture's state-dict adapter."""
    return architecture.state_dict_adapter()(architecture.titan_config(inner_attention=None, seq_len=seq_len), None)


def hf_model(architecture: Architecture, state: dict[str, Any], seq_len: int) -> Any:
    """Return the Transformers model with the weights of TorchTitan's ``state``.

    Raises:
        AssertionError: the adapter leaves out a weight of the model, or gives one that the model has no place for.
    """
    model = architecture.hf_model_class()(architecture.hf_config()).eval()
    converted = adapter_of(architecture, seq_len).to_hf(state)
    own = model.state_dict()
    different = weights.compare(weights.shapes(converted), weights.shapes(own), weights.tied_names(model))
    assert not different, f"what the adapter gives is not the model's: {different}"
    model.load_state_dict(converted, strict=False)
    model.tie_weights()
    return model


def log_probabilities(logits_BLV: "torch.Tensor", ids_BL: "torch.Tensor") -> "torch.Tensor":
    """Return the log-probability in nats of each token but the first, of shape (B, L - 1)."""
    return logits_BLV[:, :-1].log_softmax(-1).gather(2, ids_BL[:, 1:, None])[:, :, 0]


@dataclasses.dataclass(frozen=True)
class Loaded:
    """An architecture and its faces with the same weights, shared by the tests of one class: do not change them."""

    architecture: Architecture
    titan: Any
    hf: Any
    ids_BL: "torch.Tensor"
    """Random ids, two rows of ``seq_len`` tokens."""

    @classmethod
    def of(cls, architecture: Architecture, seq_len: int) -> "Loaded":
        """Build the faces."""
        import torch

        titan = titan_model(architecture, seq_len).eval()
        hf = hf_model(architecture, titan.state_dict(), seq_len)
        vocab_size = architecture.hf_config().vocab_size
        ids_BL = torch.randint(0, vocab_size, (2, seq_len), generator=torch.Generator().manual_seed(1))
        return cls(architecture, titan, hf, ids_BL)


def environment(plugin_files: tuple[str, ...]) -> dict[str, str]:
    """Return the variables of a process that must find the modules of local plugin files."""
    folders = [str(Path(file).resolve().parent) for file in plugin_files]
    return {
        **os.environ,
        **plugin_files_environment(plugin_files),
        "PYTHONPATH": os.pathsep.join(filter(None, [*folders, os.environ.get("PYTHONPATH")])),
        **ranks_environment(threads=1),
    }

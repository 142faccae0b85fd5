"""The teacher of a distillation: a frozen model of Transformers on each rank, whole or shared out; or what it said.

Import after :func:`smallwright_pretrain.cpu.use_device`.

Letters of tensor names: docs/architectures.md; N is the tokens of a batch, one after another.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from core import discovery, entries
from core.errors import InputError
from core.interfaces import Architecture
from core.weights import ModelFolder
from torch.distributed.device_mesh import DeviceMesh
from torch.distributed.fsdp import FSDPModule, fully_shard

from smallwright_pretrain.distill_config import Mix
from smallwright_pretrain.distillation import Losses, distill, distill_stored
from smallwright_pretrain.stored_files import STORED_IDS, STORED_LOGS

CLOSE = 1e-3
"""Largest difference of a log-probability between two ways to compute the same in float32; half precision: 0.1."""


def know(architecture: Architecture, *others: Path, plugin_files: Sequence[str] = ()) -> None:
    """Make the run's own kind of model known to Transformers, and that of other models, which are often of that kind.

    Args:
        others: Folders of Hugging Face's format, of models that an installed architecture may have made.
        plugin_files: Local files given with ``--plugin``.
    """
    from transformers.models.auto.configuration_auto import CONFIG_MAPPING

    _register(architecture)
    for folder in others:
        if ModelFolder(folder, str(folder)).config()["model_type"] not in CONFIG_MAPPING:
            choice = entries.model(str(folder), discovery.load(plugin_files)).choice
            if choice is not None:
                _register(choice.build())


def _register(architecture: Architecture) -> None:
    from transformers import AutoConfig, AutoModelForCausalLM
    from transformers.models.auto.configuration_auto import CONFIG_MAPPING

    config = architecture.hf_config()
    if config.model_type not in CONFIG_MAPPING:
        AutoConfig.register(config.model_type, type(config))
        AutoModelForCausalLM.register(type(config), architecture.hf_model_class(), exist_ok=True)


class StoredTeacher:
    """Gives the losses of a student by distributions that the loader has read beside the tokens.

    Args:
        mix: What is minimised.
    """

    def __init__(self, mix: Mix) -> None:
        self._mix = mix
        self._read: tuple[torch.Tensor, torch.Tensor] | None = None

    def take(self, inputs: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
        """Keep what is read for a batch, and return the batch without it."""
        if STORED_IDS not in inputs:  # held-out text is measured without a teacher
            return inputs
        self._read = inputs[STORED_IDS], inputs[STORED_LOGS]
        return {name: value for name, value in inputs.items() if name not in (STORED_IDS, STORED_LOGS)}

    def states(self, inputs_BL: torch.Tensor, positions_BL: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Return ids and log-probabilities of the batch, shapes (N, K) and (N, K + 1)."""
        assert self._read is not None
        ids_BLK, logs_BLB = self._read
        self._read = None
        return ids_BLK.flatten(0, 1), logs_BLB.flatten(0, 1)

    def losses(
        self, student_BLV: torch.Tensor, labels_BL: torch.Tensor, states: tuple[torch.Tensor, torch.Tensor]
    ) -> Losses:
        """Return the summed losses of a batch."""
        return distill_stored(self._mix, student_BLV.flatten(0, 1), labels_BL.flatten(), *states)


class Teacher:
    """Gives the losses of a student beside it.

    Args:
        folder: Of Hugging Face's format; code in it is never run.
        mix: What is minimised.
        ids: Of the tokenizer; rows that the teacher has behind them are left out.
        dtype: Of weights and products.
        device: Where it computes.
        key: Setting that names it.
        ranks: Over which its weights are sharded; they then compute at the same time, on batches of one shape. None:
            it is whole here.

    Raises:
        core.errors.InputError: it cannot be loaded, or does not keep packed documents apart.
    """

    def __init__(
        self,
        folder: Path,
        mix: Mix,
        *,
        ids: int,
        dtype: torch.dtype,
        device: torch.device,
        key: str = "pretrain.distill.teacher",
        ranks: DeviceMesh | None = None,
    ) -> None:
        from transformers import AutoModelForCausalLM

        self._mix, self._ids = mix, ids
        owner = f"{key}: {folder}"
        ModelFolder(folder, owner).weights()  # refuses damaged files, for which Transformers ends with a traceback
        try:
            model, report = AutoModelForCausalLM.from_pretrained(folder, dtype=dtype, output_loading_info=True)
        except (ValueError, ImportError, OSError) as error:
            raise InputError(f"{owner}: cannot be loaded: {str(error).splitlines()[0]}") from error
        missing = sorted(report["missing_keys"]) + sorted(str(key) for key in report["mismatched_keys"])
        if missing:
            raise InputError(f"{owner}: weights missing or of another shape: {', '.join(missing[:5])}.")
        self._model: Any = model.eval().requires_grad_(False)
        if ranks is None:
            self._model.to(device)
        else:
            _shard(self._model, ranks)
        self._check(owner, device, CLOSE if dtype == torch.float32 else 100 * CLOSE)
        self._let_go()

    def states(self, inputs_BL: torch.Tensor, positions_BL: torch.Tensor) -> torch.Tensor:
        """Return what :meth:`head` makes logits of, shape (N, D).

        Args:
            inputs_BL: Token ids of packed documents.
            positions_BL: Position of each token in its document; Transformers keeps the documents apart by them.
        """
        model = self._model.base_model if self._chunks else self._model
        with torch.no_grad():
            found = model(input_ids=inputs_BL, position_ids=positions_BL, use_cache=False)
        return (found.last_hidden_state if self._chunks else found.logits).flatten(0, 1)

    def head(self, states_ND: torch.Tensor) -> torch.Tensor:
        """Return logits of the tokenizer's ids."""
        logits_NV = self._model.get_output_embeddings()(states_ND) if self._chunks else states_ND
        return logits_NV[:, : self._ids]

    def losses(self, student_BLV: torch.Tensor, labels_BL: torch.Tensor, states_ND: torch.Tensor) -> Losses:
        """Return the summed losses of a batch."""
        found = distill(self._mix, student_BLV.flatten(0, 1), labels_BL.flatten(), states_ND, self.head)
        self._let_go()
        return found

    def _let_go(self) -> None:
        """Give back what a sharded head has gathered for all parts of a batch."""
        if isinstance(head := self._model.get_output_embeddings(), FSDPModule):
            head.reshard()

    def _check(self, owner: str, device: torch.device, close: float) -> None:
        """Look whether documents are kept apart, and whether logits can be made of a few tokens at a time.

        Some models scale or cap their logits behind the head: their logits are made as a whole.
        """
        one_BL = torch.arange(4, device=device)[None] % self._ids
        places_BL = torch.arange(4, device=device)[None]
        two_BL, twice_BL = torch.cat([one_BL.flip(1), one_BL], 1), torch.cat([places_BL, places_BL], 1)
        self._chunks = False
        try:
            packed = self._log_probabilities(two_BL, twice_BL)[4:]
        except TypeError as error:
            raise InputError(f"{owner}: takes no positions of tokens ({error}). Give a model that does.") from error
        if not (packed - self._log_probabilities(one_BL, places_BL)).abs().max() <= close:
            raise InputError(f"{owner}: sees other documents of a packed sequence. Give a model that does not.")
        whole = self.head(self.states(one_BL, places_BL)).float()
        self._chunks = True
        try:
            self._chunks = torch.allclose(self.head(self.states(one_BL, places_BL)).float(), whole, atol=1e-4)
        except (AttributeError, TypeError):
            self._chunks = False

    def _log_probabilities(self, inputs_BL: torch.Tensor, positions_BL: torch.Tensor) -> torch.Tensor:
        return torch.log_softmax(self.head(self.states(inputs_BL, positions_BL)).float(), -1)


def _shard(model: Any, ranks: DeviceMesh) -> None:
    """Share the weights of a frozen model out to ranks: each block, the rest of its body, and the head.

    The head is a unit of its own, for it is asked for a few tokens at a time: it stays gathered until a batch is done.
    """
    body, head = model.base_model, model.get_output_embeddings()
    if head is not None and body is not model:
        # A weight of two units would be sharded twice; of a frozen model a copy is as good.
        head.weight = torch.nn.Parameter(head.weight.detach().clone(), requires_grad=False)
        fully_shard(head, mesh=ranks, reshard_after_forward=False)
    for block in _blocks(body):
        fully_shard(block, mesh=ranks, reshard_after_forward=True)
    fully_shard(body, mesh=ranks, reshard_after_forward=True)


def _blocks(body: torch.nn.Module) -> list[torch.nn.Module]:
    """Return the layers of a model that own what they compute with; none where layers share weights."""
    rows = [module for module in body.modules() if isinstance(module, torch.nn.ModuleList)]
    blocks = list(max(rows, key=len, default=()))
    owned = [id(parameter) for block in blocks for parameter in block.parameters()]
    return blocks if len(owned) == len(set(owned)) else []

"""TorchTitan's checkpoints, sealed when they are written, and read without running what they hold.

PyTorch keeps what a checkpoint has in pickles, and a pickle can name any function to be called. Here only the classes
that such a checkpoint consists of are taken: who can write to a store cannot make a resumed run execute something.

Import after :func:`smallwright_pretrain.cpu.use_device`.
"""

import io
import pickle
import re
import time
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist
import torch.distributed.checkpoint as dcp
from core import checkpoints
from core.writing import remove
from torch.distributed.checkpoint import CheckpointException, FileSystemReader, FileSystemWriter, Metadata
from torch.distributed.checkpoint.default_planner import DefaultLoadPlanner
from torch.distributed.checkpoint.metadata import StorageMeta
from torch.distributed.checkpoint.planner import ReadItem
from torchtitan.components.checkpointer import MODEL, AsyncMode, CheckpointManager
from torchtitan.tools.logging import logger
from torchtitan.tools.utils import GarbageCollection

from smallwright_pretrain import evaluations
from smallwright_pretrain.background import Background
from smallwright_pretrain.config import TorchTitanConfig
from smallwright_pretrain.records import append
from smallwright_pretrain.segments import tokens_at

STEP = re.compile(r"step-(\d+)")
METADATA = "torch.distributed.checkpoint.metadata"
ALLOWED = {
    *((METADATA, name) for name in ("Metadata", "MetadataIndex", "StorageMeta", "TensorProperties")),
    *((METADATA, name) for name in ("BytesStorageMetadata", "ChunkStorageMetadata", "TensorStorageMetadata")),
    (METADATA, "_MEM_FORMAT_ENCODING"),
    ("torch.distributed.checkpoint.filesystem", "_StorageInfo"),
    ("torch", "Size"),
    ("torch.serialization", "_get_layout"),
    *((module, name) for module in ("pathlib", "pathlib._local") for name in ("PosixPath", "WindowsPath")),
    ("collections", "OrderedDict"),
}
"""Module and name of what ``.metadata`` may hold, beside torch's dtypes."""


class UnreadableCheckpoint(Exception):
    """A checkpoint that was not sealed cannot be read; the message says why, and ``name`` is its folder's."""

    def __init__(self, name: str, reason: str) -> None:
        super().__init__(reason)
        self.name = name


class Checkpoints(CheckpointManager):
    """TorchTitan's manager of checkpoints with seals, and without pickles of foreign classes."""

    @dataclass(kw_only=True, slots=True)
    class Config(CheckpointManager.Config):
        settings: TorchTitanConfig = field(default_factory=TorchTitanConfig)
        """Of the whole run; which checkpoints are kept for good."""
        export: tuple[str, ...] = ()
        """Command that writes those as Hugging Face revisions; none: they are not written."""
        snapshots: str = ""
        """Folder for the weights that are to be evaluated on the way; none: they are not."""

    def __init__(self, config: Config, **context: Any) -> None:
        super().__init__(config, **context)
        self._settings = config.settings
        self._revisions = Background(config.export) if config.export and dist.get_rank() == 0 else None
        self._snapshots = Path(config.snapshots) if config.snapshots else None

    def keeps(self, step: int) -> bool:
        """Whether the checkpoint of ``step`` is kept for good."""
        return self._settings.retention.keeps(step, partial(tokens_at, self._settings))

    def _should_save(self, curr_step: int, last_step: bool = False) -> bool:
        wanted = self.keeps(curr_step) or curr_step in self._settings.retention.spared
        return super()._should_save(curr_step, last_step) or (not self.load_only and wanted)

    def _purge_stale_checkpoints(self) -> None:
        """Have old checkpoints removed, but those that are kept for good, which TorchTitan does not know."""
        if not self._should_purge():
            return
        steps = [int(found[1]) for path in Path(self.folder).iterdir() if (found := STEP.fullmatch(path.name))]
        tokens = partial(tokens_at, self._settings)
        for step in self._settings.retention.stale(steps, self.keep_latest_k or None, tokens):
            self.purge_queue.put(self._create_checkpoint_id(step))

    def _save(self, curr_step: int, last_step: bool = False) -> bool:
        # First: a training that is ended in between goes on from before this step, and comes by here again.
        if self._snapshots is not None and evaluations.is_due(self._settings, curr_step):
            self._snapshot(self._snapshots, curr_step)
        saved = super()._save(curr_step, last_step)
        if saved and self._revisions is not None and self.keeps(curr_step):
            self._revisions.start()
        return saved

    def _snapshot(self, folder: Path, step: int) -> None:
        """Write the weights for the process that evaluates them, once, and how long the training was held by it."""
        began, place, leads = time.perf_counter(), evaluations.snapshot(folder, step), dist.get_rank() == 0
        known = [evaluations.known(folder, step)]
        if leads and not known[0]:
            remove(place)  # what a killed training left half-written
        dist.broadcast_object_list(known, src=0)
        if known[0]:
            return
        failure = None
        try:
            dcp.save(self.states[MODEL].state_dict(), storage_writer=PlainWriter(place / evaluations.WEIGHTS))
            if leads:
                (place / evaluations.WHOLE).touch()
                append(folder / evaluations.HELD, {"step": step, "seconds": round(time.perf_counter() - began, 4)})
        except (CheckpointException, OSError) as error:
            failure = said(error)
        if failure is not None:
            logger.warning(f"The weights of step {step} could not be written, and are not evaluated: {failure}")
        if leads and failure is not None:
            evaluations.settle(folder, {"step": step, "eval_failed": failure})
        elif leads:
            evaluations.keep_few(folder)

    def _close(self) -> None:
        super()._close()
        if (revisions := getattr(self, "_revisions", None)) is not None:  # also of what was not built to its end
            revisions.join()

    @torch.no_grad()
    def dcp_save(
        self,
        state_dict: dict[str, Any],
        checkpoint_id: str,
        async_mode: AsyncMode,
        enable_garbage_collection: bool = False,
        to_hf: bool = False,
    ) -> None:
        """Save, and seal what was saved: each rank reads its own files again, and rank 0 writes the seal."""
        assert async_mode == AsyncMode.DISABLED
        assert not to_hf, "the stage exports by itself"
        folder, rank = Path(checkpoint_id), dist.get_rank()
        if rank == 0:
            (folder / checkpoints.SEAL).unlink(missing_ok=True)
        dcp.save(state_dict, storage_writer=PlainWriter(checkpoint_id))
        if enable_garbage_collection:
            GarbageCollection.collect("after a checkpoint")
        own = sorted((path.name for path in folder.glob(f"__{rank}_*")), key=_rank_and_part)
        parts: list[Any] = [None] * dist.get_world_size()
        dist.all_gather_object(parts, checkpoints.digests(folder, own))
        if rank == 0:
            files = {name: entry for part in parts for name, entry in part.items()}
            checkpoints.seal(folder, {**files, **checkpoints.digests(folder, [".metadata"])})

    def dcp_load(self, state_dict: dict[str, Any], checkpoint_id: str, from_hf: bool, from_quantized: bool) -> None:
        """Load a checkpoint into ``state_dict`` and the model.

        One whose saving was ended before its seal was written, and that can be read, gets its seal now.

        Raises:
            UnreadableCheckpoint: it has no seal, and cannot be read.
            RuntimeError: it is as it was written, and cannot be read here.
        """
        assert not from_hf, "runs start from Hugging Face weights by the stage's input init"
        folder = Path(checkpoint_id)
        try:
            dcp.load(state_dict, storage_reader=PlainReader(checkpoint_id), planner=PlainPlanner())
        except CheckpointException as error:
            reason = said(error)
            if not (folder / checkpoints.SEAL).exists():
                raise UnreadableCheckpoint(folder.name, reason) from error
            raise RuntimeError(f"checkpoint {folder} is as it was written and cannot be read: {reason}") from error
        if dist.get_rank() == 0 and not (folder / checkpoints.SEAL).exists():
            names = sorted((path.name for path in folder.glob("__*")), key=_rank_and_part)
            checkpoints.seal(folder, checkpoints.digests(folder, [*names, ".metadata"]))
        if MODEL in self.states:
            self.states[MODEL].load_state_dict(state_dict)


def _rank_and_part(name: str) -> tuple[int, int]:
    """``__<rank>_<part>.distcp`` in the order in which ranks are asked."""
    rank, part = name.removeprefix("__").partition(".")[0].split("_")
    return int(rank), int(part)


class PlainWriter(FileSystemWriter):
    """Writes no path and no random id into ``.metadata``: the same training gives the same checkpoint."""

    def storage_meta(self) -> StorageMeta:
        """Return what says nothing of this run."""
        return StorageMeta()


class PlainReader(FileSystemReader):
    """Reads ``.metadata``, a pickle, as plain data."""

    def read_metadata(self, *args: Any, **kwargs: Any) -> Metadata:
        """Return the metadata.

        Raises:
            pickle.UnpicklingError: it names what no checkpoint consists of.
        """
        path = Path(self._get_metadata_path(kwargs.get("rank")))
        with open(path, "rb") as file:
            metadata = _PlainUnpickler(file).load()
        if not isinstance(metadata, Metadata):
            raise pickle.UnpicklingError(f"{path.name} holds {type(metadata).__name__} and no metadata")
        if metadata.storage_meta is None:
            metadata.storage_meta = StorageMeta()
        metadata.storage_meta.load_id = self.load_id
        return metadata


class _PlainUnpickler(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        if (module, name) in ALLOWED or (module == "torch" and isinstance(getattr(torch, name, None), torch.dtype)):
            return super().find_class(module, name)
        raise pickle.UnpicklingError(f"it names {module}.{name}, which no checkpoint has: somebody changed it")


class PlainPlanner(DefaultLoadPlanner):
    """Takes values that are no tensors, each a pickle, as plain data: numbers, texts, lists, tensors."""

    def load_bytes(self, read_item: ReadItem, value: io.BytesIO) -> None:
        """Read a value in torch's safe way, and hand it on as bytes of our own."""
        plain = io.BytesIO()
        torch.save(torch.load(value, weights_only=True), plain)
        plain.seek(0)
        super().load_bytes(read_item, plain)


def said(error: BaseException) -> str:
    """Return what an error says in one line; of a checkpoint's, what its first rank says."""
    for failure, _ in error.failures.values() if isinstance(error, CheckpointException) else ():
        return said(failure)
    text = str(error).strip().splitlines()
    return f"{type(error).__name__}: {text[0]}" if text else type(error).__name__

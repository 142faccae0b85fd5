"""A model that was made elsewhere comes into the store as an artifact: unchanged, whole, with its origin."""

import dataclasses
import math
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from core import hub, store
from core.interfaces import Job, Stage
from core.typed import setting
from core.weights import ModelFolder
from core.writing import replacing

ENDINGS = (".json", ".safetensors", ".jinja", ".model", ".txt", ".py")
"""Files of a model: configuration, weights, tokenizer, and code, which nothing here runs unless it is told to."""
LARGEST_SMALL_FILE = 1 << 28
"""Bytes; of what is not weights, nothing of a model is larger."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class EnteredModelConfig:
    """Where a model comes from, resolved while planning."""

    origin: str = setting(identity=False)
    """What the user named: a folder, or a hub id."""
    directory: str = setting(identity=False)
    """Folder of the model; of one on the hub, of what says what it is."""
    revision: str | None = None
    """Commit of a model on the hub."""
    digests: Mapping[str, str] | None = None
    """SHA-256 of each file of a folder, by its name."""


class EnteredModel(Stage):
    """Bring a model into the store, unchanged, as ``hf/``."""

    config: EnteredModelConfig

    def run(self, job: Job) -> dict[str, Any]:
        """Copy or download the model, and check that it is whole.

        Returns:
            ``origin``, ``revision``, ``content`` (a digest of all files), ``model_type``, ``stored_parameters``.

        Raises:
            InputError: weights are missing, damaged or pickled, or the files changed since the run was planned.
        """
        config = self.config
        folder = Path(config.directory)
        if config.revision is not None:
            job.progress(0, None, "bytes", f"downloading {config.origin}")
            patterns = (*hub.DESCRIPTION, *hub.WEIGHTS)
            folder = hub.snapshot(config.origin, config.revision, patterns, "model")
        model = ModelFolder(folder, f"model={config.origin}")
        parameters = stored_parameters(model)
        files = files_of(folder)
        total, done = sum(file.stat().st_size for file in files), 0
        digests = {}
        with replacing(job.output / "hf") as partial:
            partial.mkdir()
            for file in files:
                shutil.copyfile(file, partial / file.name)
                digests[file.name] = store.file_digest(partial / file.name)
                done += file.stat().st_size
                job.progress(done, total, "bytes", file.name)
            changed = [name for name, digest in (config.digests or digests).items() if digests.get(name) != digest]
            if changed:
                raise model.refusal(f"{changed[0]}: changed while it was read. Start again.")
        return {
            "origin": config.origin,
            "revision": config.revision,
            "content": store.digest(digests),
            "model_type": model.read_json("config.json").get("model_type"),
            "stored_parameters": parameters,
        }


def files_of(folder: Path) -> list[Path]:
    """Return the files of a model's folder that belong to the model, by name; pickles and notes do not."""
    found = [path for path in sorted(folder.iterdir()) if path.suffix in ENDINGS and path.is_file()]
    return [
        path
        for path in found
        if path.name != store.MANIFEST and (path.suffix == ".safetensors" or path.stat().st_size <= LARGEST_SMALL_FILE)
    ]


def stored_parameters(model: ModelFolder) -> int:
    """Return the numbers in a model's weights, from the headers of its files.

    Raises:
        InputError: there are none, or a file is damaged.
    """
    return sum(math.prod(weight.shape) for weight in model.weights().values())

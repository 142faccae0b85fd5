"""Reading the model to inherit from: where it is, its configuration, its weights.

Planning asks here, too, of a model in a local directory: only :func:`read_config` and :func:`read_weights` import an
engine.
"""

from collections.abc import Mapping
from importlib import import_module
from pathlib import Path
from typing import Any

from core import hub
from core.errors import UserError
from core.interfaces import Job
from core.weights import ModelFolder, Shape, compare, shapes, shown
from smallwright_decoder.config_json import MODELS, read_written

from smallwright_inherited_init.config import InheritedInitConfig, model_folder
from smallwright_inherited_init.family import Dimensions

BUFFERS = (".rotary_emb.inv_freq",)
"""Endings of tensors in older checkpoints that are computed from the configuration."""
FLOATS = ("F64", "F32", "BF16", "F16")
"""Numbers that can be measured and trained on; quantized ones cannot."""
COMPLETE = "Use a complete checkpoint whose config.json is its own."


def find(config: InheritedInitConfig, job: Job) -> ModelFolder:
    """Return the model to inherit from; one on the hub is downloaded.

    Raises:
        core.errors.UserError: when there is no source, or the hub does not have it.
    """
    if config.source is None:
        if "source" not in job.inputs:
            raise UserError("arch.initializer.source=null: no model to inherit from. Give a directory or a hub id.")
        directory = job.inputs["source"] / "hf"
        return ModelFolder(directory, str(directory))
    if (found := local(config)) is not None:
        return found
    patterns = (*hub.DESCRIPTION, *hub.WEIGHTS)
    directory = hub.snapshot(config.source, config.revision, patterns, "arch.initializer.source")
    return ModelFolder(directory, f"arch.initializer.source={config.source} ({directory})")


def local(config: InheritedInitConfig) -> ModelFolder | None:
    """Return the model that lies in a directory of the user's; None where the run or the hub has it."""
    folder = Path(config.source or "").expanduser()
    if config.source is None or not folder.is_dir():
        return None
    return ModelFolder(model_folder(folder), f"arch.initializer.source={config.source}")


def described(config: InheritedInitConfig) -> ModelFolder | None:
    """Return where the source's ``config.json`` can be read while planning; None where the run trains the source."""
    if config.source is None:
        return None
    if (found := local(config)) is not None:
        return found
    directory = hub.snapshot(config.source, config.revision, hub.DESCRIPTION, "arch.initializer.source")
    return ModelFolder(directory, f"arch.initializer.source={config.source}")


def read_config(source: ModelFolder) -> Any:
    """Return Transformers' configuration of the model, without running any code that comes with it.

    Raises:
        core.errors.InputError: when there is none, it is damaged, or the model is of another kind.
    """
    values = read_written(source)
    values.pop("auto_map", None)
    config_class = model_class(values["model_type"]).config_class
    try:
        return config_class.from_dict(values)
    except Exception as error:  # each configuration class has its own ways to refuse
        raise source.refusal(f"config.json: Transformers refuses it ({' '.join(str(error).split())}).") from error


def model_class(model_type: str) -> Any:
    """Return the installed class that computes models of this type.

    Raises:
        core.errors.UserError: when the package that has it is not installed.
    """
    module, _, name = MODELS[model_type].partition(":")
    try:
        return getattr(import_module(module), name)
    except ModuleNotFoundError as error:
        raise UserError(f"model type {model_type}: pip install smallwright-arch-decoder ({error}).") from error


def check_weights(source: ModelFolder, dimensions: Dimensions) -> list[Path]:
    """Read the headers of the weights' files, refuse what is not this model's, and return the files.

    Raises:
        core.errors.InputError: naming missing, extra or misshapen weights, damaged or pickled files.
    """
    held = {name: weight for name, weight in source.weights().items() if not _ignored(name, dimensions)}
    if different := compare(shapes(held), dimensions.shapes()):
        raise source.refusal(f"{different}. {COMPLETE}")
    other = {name: weight.shape for name, weight in held.items() if weight.dtype not in FLOATS}
    _refuse(source, f"weights that are not {', '.join(FLOATS)}", other)
    return source.weight_files()


def read_weights(source: ModelFolder, dimensions: Dimensions) -> dict[str, Any]:
    """Load the weights, which :func:`check_weights` has found to be this model's and nothing else.

    Raises:
        core.errors.InputError: as :func:`check_weights` does, and naming weights that are not finite.
    """
    from safetensors.torch import load_file

    weights: dict[str, Any] = {}
    for file in check_weights(source, dimensions):
        weights.update(load_file(file))
    weights = {name: weight for name, weight in weights.items() if not _ignored(name, dimensions)}
    broken = {name: tuple(weight.shape) for name, weight in weights.items() if not weight.isfinite().all()}
    _refuse(source, "NaN or infinite weights", broken)
    return weights


def _ignored(name: str, dimensions: Dimensions) -> bool:
    """Whether a tensor says nothing that the others and the configuration do not say."""
    return name.endswith(BUFFERS) or (dimensions.tie_word_embeddings and name == "lm_head.weight")


def _refuse(source: ModelFolder, what: str, found: Mapping[str, Shape]) -> None:
    if found:
        raise source.refusal(f"{what}: {shown(found)}. {COMPLETE}")

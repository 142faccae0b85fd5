"""Reading the model to inherit from: where it is, its configuration, its weights.

Planning asks here, too, of a model in a local directory: only :func:`read_config` and :func:`read_weights` import an
engine.
"""

from collections.abc import Mapping
from importlib import import_module
from pathlib import Path
from typing import Any

from core.errors import InputError, UserError
from core.interfaces import Job

from smallwright_inherited_init.config import InheritedInitConfig, model_folder
from smallwright_inherited_init.config_json import Source, read_written
from smallwright_inherited_init.family import MODELS, Dimensions

PICKLED = (".bin", ".pt", ".pth", ".ckpt")
BUFFERS = (".rotary_emb.inv_freq",)
"""Endings of tensors in older checkpoints that are computed from the configuration."""
FLOATS = ("F64", "F32", "BF16", "F16")
"""Numbers that can be measured and trained on; quantized ones cannot."""
NAMED = 4
"""Weights that a message names before it counts."""


def find(config: InheritedInitConfig, job: Job) -> Source:
    """Return the model to inherit from; one on the hub is downloaded.

    Raises:
        core.errors.UserError: when there is no source, or the hub does not have it.
    """
    if config.source is None:
        if "source" not in job.inputs:
            raise UserError("arch.initializer.source=null: no model to inherit from. Give a directory or a hub id.")
        directory = job.inputs["source"] / "hf"
        return Source(directory, str(directory))
    if (found := local(config)) is not None:
        return found
    directory = _download(config.source, config.revision)
    return Source(directory, f"arch.initializer.source={config.source} ({directory})")


def local(config: InheritedInitConfig) -> Source | None:
    """Return the model that lies in a directory of the user's; None where the run or the hub has it."""
    folder = Path(config.source or "").expanduser()
    if config.source is None or not folder.is_dir():
        return None
    return Source(model_folder(folder), f"arch.initializer.source={config.source}")


def _download(source: str, revision: str | None) -> Path:
    from huggingface_hub import snapshot_download

    patterns = ["*.safetensors", "*.json", "*.jinja", "*.model", "merges.txt"]
    try:
        return Path(snapshot_download(source, revision=revision, allow_patterns=patterns))
    except Exception as error:
        raise InputError(
            f"arch.initializer.source={source}: neither a directory nor found on the hub "
            f"({type(error).__name__}: {str(error).partition(chr(10))[0]})."
        ) from error


def read_config(source: Source) -> Any:
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


def check_weights(source: Source, dimensions: Dimensions) -> list[Path]:
    """Read the headers of the weights' files, refuse what is not this model's, and return the files.

    Raises:
        core.errors.InputError: naming missing, extra or misshapen weights, damaged or pickled files.
    """
    from safetensors import SafetensorError, safe_open

    files, found, numbers = _weight_files(source), {}, {}
    for file in files:
        try:
            with safe_open(file, framework="numpy") as opened:
                for name in opened.keys():  # noqa: SIM118 - no mapping
                    weight = opened.get_slice(name)
                    found[name], numbers[name] = tuple(weight.get_shape()), weight.get_dtype()
        except (SafetensorError, OSError) as error:
            raise source.refusal(f"{file.name}: cannot be read ({error}). Copy or download it again.") from error
    expected = dimensions.shapes()
    found = {name: shape for name, shape in found.items() if not _ignored(name, dimensions)}
    _refuse(source, "missing weights", {name: expected[name] for name in expected.keys() - found.keys()})
    extra = {name: found[name] for name in found.keys() - expected.keys()}
    _refuse(source, "weights that config.json has no place for", extra)
    wrong = {name: shape for name, shape in found.items() if shape != expected[name]}
    _refuse(source, "weights whose shape is not config.json's", wrong)
    other = {name: shape for name, shape in found.items() if numbers[name] not in FLOATS}
    _refuse(source, f"weights that are not {', '.join(FLOATS)}", other)
    return files


def read_weights(source: Source, dimensions: Dimensions) -> dict[str, Any]:
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


def _weight_files(source: Source) -> list[Path]:
    """Return the files that Transformers would read: some repositories hold the same weights under other names too."""
    directory, index = source.directory, "model.safetensors.index.json"
    if (directory / index).is_file():
        content = source.read_json(index)
        names = content.get("weight_map") if isinstance(content, dict) else None
        if not isinstance(names, dict) or not all(isinstance(name, str) for name in names.values()):
            raise source.refusal(f"{index}: cannot be read (no weight_map). Copy or download it again.")
        files = [directory / Path(name).name for name in sorted(set(names.values()))]
        if missing := [file.name for file in files if not file.is_file()]:
            raise source.refusal(f"{index}: names {missing[0]}, which is not there. Copy or download it again.")
        return files
    whole = directory / "model.safetensors"
    files = [whole] if whole.is_file() else sorted(directory.glob("*.safetensors"))
    if not files:
        raise source.refusal(f"no *.safetensors file. {_advice(directory)}")
    return files


def _advice(directory: Path) -> str:
    pickled = sorted(path.name for path in directory.iterdir() if path.suffix in PICKLED)
    if not pickled:
        return "Give a directory with the model's weights."
    return (
        f"{pickled[0]} is a pickle, which can run code when it is read. Convert it where you trust it: "
        f"AutoModelForCausalLM.from_pretrained(...).save_pretrained(...) writes safetensors."
    )


def _refuse(source: Source, what: str, shapes: Mapping[str, tuple[int, ...]]) -> None:
    if shapes:
        shown = ", ".join(f"{name} {list(shape)}" for name, shape in sorted(shapes.items())[:NAMED])
        more = f" and {len(shapes) - NAMED} more" if len(shapes) > NAMED else ""
        raise source.refusal(f"{what}: {shown}{more}. Use a complete checkpoint whose config.json is its own.")

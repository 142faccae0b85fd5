"""Reading the model to inherit from: where it is, its configuration, its weights."""

import json
from collections.abc import Mapping
from importlib import import_module
from pathlib import Path
from typing import Any

from core.errors import InputError, UserError
from core.interfaces import Job

from smallwright_inherited_init.config import InheritedInitConfig
from smallwright_inherited_init.family import MODELS, Dimensions

PICKLED = (".bin", ".pt", ".pth", ".ckpt")
BUFFERS = (".rotary_emb.inv_freq",)
"""Endings of tensors in older checkpoints that are computed from the configuration."""
NAMED = 4
"""Weights that a message names before it counts."""


def find(config: InheritedInitConfig, job: Job) -> Path:
    """Return the Hugging Face directory to inherit from.

    Raises:
        core.errors.UserError: when there is no source, or the hub does not have it.
    """
    if config.source is None:
        if "source" not in job.inputs:
            raise UserError("arch.initializer.source=null: no model to inherit from. Give a directory or a hub id.")
        return job.inputs["source"] / "hf"
    path = Path(config.source).expanduser()
    if path.is_dir():
        return path / "hf" if (path / "hf").is_dir() else path
    return _download(config.source, config.revision)


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


def read_config(directory: Path) -> Any:
    """Return the configuration of an exported model, without running any code that comes with it.

    Raises:
        core.errors.InputError: when there is none, it is damaged, or the model is of another kind.
    """
    path = directory / "config.json"
    if not path.is_file():
        raise InputError(f"{path}: not found. Give the directory of a model, or one that holds it as hf/.")
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise InputError(f"{path}: cannot be read ({error}). Copy or download it again.") from error
    model_type = str(values.get("model_type")) if isinstance(values, dict) else "None"
    if model_type not in MODELS:
        raise InputError(
            f"{path}: model type {model_type!r} is not of the Llama kind. Models of type {', '.join(MODELS)} can be "
            "inherited from."
        )
    values.pop("auto_map", None)
    return model_class(model_type).config_class.from_dict(values)


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


def read_weights(directory: Path, dimensions: Dimensions) -> dict[str, Any]:
    """Load the safetensors files of ``directory`` and check that they hold this model and nothing else.

    Raises:
        core.errors.InputError: naming missing, extra, misshapen or non-finite weights, or pickled files.
    """
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    files = _weight_files(directory)
    weights: dict[str, Any] = {}
    for file in files:
        try:
            weights.update(load_file(file))
        except SafetensorError as error:
            raise InputError(f"{file}: cannot be read ({error}). Copy or download it again.") from error
    if dimensions.tie_word_embeddings:
        weights.pop("lm_head.weight", None)
    weights = {name: weight for name, weight in weights.items() if not name.endswith(BUFFERS)}
    expected = dimensions.shapes()
    found = {name: tuple(weight.shape) for name, weight in weights.items()}
    _refuse(directory, "missing weights", {name: expected[name] for name in expected.keys() - found.keys()})
    extra = {name: found[name] for name in found.keys() - expected.keys()}
    _refuse(directory, "weights that config.json has no place for", extra)
    wrong = {name: shape for name, shape in found.items() if shape != expected[name]}
    _refuse(directory, "weights whose shape is not config.json's", wrong)
    _refuse(directory, "NaN or infinite weights", {n: found[n] for n, w in weights.items() if not w.isfinite().all()})
    return weights


def _weight_files(directory: Path) -> list[Path]:
    """Return the files that Transformers would read: some repositories hold the same weights under other names too."""
    index = directory / "model.safetensors.index.json"
    if index.is_file():
        try:
            names = set(json.loads(index.read_text(encoding="utf-8"))["weight_map"].values())
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise InputError(f"{index}: cannot be read ({error}). Copy or download it again.") from error
        files = [directory / Path(name).name for name in sorted(names)]
        if missing := [file.name for file in files if not file.is_file()]:
            raise InputError(f"{index}: names {missing[0]}, which is not there. Copy or download it again.")
        return files
    whole = directory / "model.safetensors"
    files = [whole] if whole.is_file() else sorted(directory.glob("*.safetensors"))
    if not files:
        raise InputError(f"{directory}: no *.safetensors file. {_advice(directory)}")
    return files


def _advice(directory: Path) -> str:
    pickled = sorted(path.name for path in directory.iterdir() if path.suffix in PICKLED)
    if not pickled:
        return "Give a directory with the model's weights."
    return (
        f"{pickled[0]} is a pickle, which can run code when it is read. Convert it where you trust it: "
        f"AutoModelForCausalLM.from_pretrained(...).save_pretrained(...) writes safetensors."
    )


def _refuse(directory: Path, what: str, shapes: Mapping[str, tuple[int, ...]]) -> None:
    if shapes:
        shown = ", ".join(f"{name} {list(shape)}" for name, shape in sorted(shapes.items())[:NAMED])
        more = f" and {len(shapes) - NAMED} more" if len(shapes) > NAMED else ""
        raise InputError(f"{directory}: {what}: {shown}{more}. Use a complete checkpoint whose config.json is its own.")

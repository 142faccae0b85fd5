"""What a run starts from that exists already: ``model=`` and ``corpus=``, as stages without work.

An artifact of a store is taken where it lies. A folder or a hub id of a model is brought into the store first, by
:class:`core.entered.EnteredModel`, so that everything after it rests on files that cannot change.
"""

import dataclasses
import importlib.util
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar

from core import hub, lineage, names, store
from core.architecture import Architecture
from core.entered import EnteredModel, EnteredModelConfig, files_of, stored_parameters
from core.errors import ConfigError, InputError, UserError, named_by_user
from core.fingerprint import local_digest
from core.registry import Entry, Registry
from core.stage_spec import ArchitectureChoice, StageSpec
from core.stock import StockArchitecture, StockConfig
from core.token_files import tokenizer_digest
from core.weights import ModelFolder

CORE = "smallwright-core"
MODEL = "model"
"""Name of the stage of the model that a run starts from."""
_WORDS = {"pretrain": "pretraining", "model": MODEL, "data": "corpus", "tokens": "tokens", "tokenizer": "tokenizer"}
"""What an artifact of a store's folder is called where a run starts from it."""

LANGUAGE_MODELS = ("ForCausalLM", "LMHeadModel", "ForConditionalGeneration")
"""How Transformers' names end of classes that write text."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class FinishedSpec(StageSpec):
    """A finished artifact as an input of this run's stages; nothing makes it again."""

    made_by_run: ClassVar[bool] = False
    place: Path
    made_as: Mapping[str, Any]

    def identity(self) -> dict[str, Any]:
        """Return what the artifact's manifest says."""
        return dict(self.made_as)

    def directory(self, root: Path) -> Path:
        """Return where it lies, in whichever store."""
        return self.place

    def other_code(self, manifest: Mapping[str, Any]) -> str | None:
        """Return None: it is taken as it is, whatever made it."""
        return None


@dataclasses.dataclass(frozen=True, kw_only=True)
class Model:
    """A model of a run: one that it starts from, or that a stage makes."""

    spec: StageSpec
    planned: Architecture
    """What planning asks of it."""
    choice: ArchitectureChoice | None
    """The installed architecture that it was made with; None: Transformers and vLLM know it by themselves."""
    folder: ModelFolder = dataclasses.field(default_factory=lambda: ModelFolder(Path()))
    """Of a model that the run starts from: where its files can be read while planning."""


def model(named: str, registry: Registry, owner: str | None = None) -> Model:
    """Return the model that ``model=`` names: an artifact, a folder, or a hub id with or without ``@<revision>``.

    Args:
        owner: Begins messages where another setting names it; None: ``model=<named>``.

    Raises:
        UserError: there is none, it is damaged, or its tokenizer does not belong to it.
    """
    owner = owner or f"model={named}"
    place = Path(named)
    if place.is_dir():
        if (artifact := _artifact_of(place)) is not None:
            spec = finished(artifact, "model", owner)
            folder = ModelFolder(artifact / "hf", owner)
        else:
            directory = place / "hf" if (place / "hf" / "config.json").is_file() else place
            folder = ModelFolder(directory, owner)
            folder.config()
            digests = {file.name: local_digest(file) for file in files_of(directory)}
            config = EnteredModelConfig(origin=named, directory=str(directory.resolve()), digests=digests)
            files = tuple(str(directory.resolve() / name) for name in digests)
            spec = _entered(place.resolve().name, config, {"files": digests}, files, registry)
        parameters = stored_parameters(folder)  # refuses damaged weights
    else:
        spec, folder = _from_hub(named, owner, registry)
        parameters = None
    _check_kind(folder)
    _check_tokenizer(folder)
    choice = choice_of(folder, spec, registry)
    planned = StockArchitecture(StockConfig.of(folder, parameters)) if choice is None else choice.build()
    return Model(spec=spec, folder=folder, planned=planned, choice=choice)


def choice_of(
    folder: ModelFolder, spec: StageSpec, registry: Registry, *, train: bool = False
) -> ArchitectureChoice | None:
    """Return the installed architecture that is exactly a model, with its settings.

    Args:
        spec: The model's artifact; the architecture that made it is asked first.
        train: Ask also for a model that Transformers and vLLM know by themselves.

    Returns:
        None: nothing that is installed is it.

    Raises:
        InputError: an architecture is of its kind, and lacks a part of it.
    """
    own = not known_to_transformers(folder.config()["model_type"])
    if not (own or train):
        return None
    made_with = str((spec.identity().get("arch") or {}).get("implementation"))
    lacking: UserError | None = None
    for entry in sorted(
        (entry for entry in registry.entries() if entry.kind == "architectures"),
        key=lambda entry: (entry.name != made_with, entry.name),
    ):
        ask = getattr(entry.load(), "settings_of", None)
        try:
            settings = ask(folder) if ask is not None else None
        except InputError as error:
            lacking = error
            continue
        if settings is not None:
            try:
                return ArchitectureChoice(entry=entry, config=entry.settings(settings, "model"))
            except ConfigError as error:  # in the words of the plugin's settings, which are not the user's here
                raise folder.refusal(f"config.json: {str(error).removeprefix('model.')}") from error
    if lacking is not None:
        raise lacking
    return None


def check_own_numbers(entered: Model) -> None:
    """Refuse a model to train on, or to learn from, that is not in the numbers that it was trained in.

    Raises:
        InputError: the model that a run starts from is quantised.
    """
    if entered.folder.directory != Path() and entered.folder.config().get("quantization_config"):
        raise entered.folder.refusal(
            "config.json: quantization_config: the model is quantised, and can be evaluated and talked to only. Give "
            "it in the numbers that it was trained in."
        )


def to_train_on(entered: Model, registry: Registry) -> ArchitectureChoice:
    """Return the installed architecture that is exactly the model that a run starts from.

    Raises:
        InputError: there is none, the model is quantised, or the weights are not those that ``config.json`` describes.
    """
    check_own_numbers(entered)
    folder = entered.folder
    choice = choice_of(folder, entered.spec, registry, train=True)
    if choice is None:
        raise folder.refusal(
            f"no installed architecture has models of type {folder.config()['model_type']} to train on. Leave the "
            "corpus out to evaluate or post-train it."
        )
    if any(folder.directory.glob("*.safetensors")):  # of a model on the hub they come later
        choice.build().check_weights(folder)
    return choice


def known_to_transformers(model_type: str) -> bool:
    """Whether the installed Transformers has models of a type, found out without importing it."""
    if not re.fullmatch(r"[a-z0-9_-]{1,64}", model_type):
        return False
    name = model_type.replace("-", "_")
    spec = importlib.util.find_spec("transformers")
    places = (spec.submodule_search_locations or ()) if spec is not None else ()
    return any((Path(place) / "models" / name / f"configuration_{name}.py").is_file() for place in places)


def finished(artifact: Path, folder: str, owner: str, name: str | None = None) -> FinishedSpec:
    """Return a finished artifact as an input of this run.

    Args:
        folder: What it must be: ``pretrain``, ``model``, ``data``, ``tokens`` or ``tokenizer``.
        owner: Begins messages, as ``corpus=store/data/x``.
        name: Of its stage in this run; None: what it is.

    Raises:
        InputError: it is no finished artifact, or of another kind.
    """
    if not artifact.exists():
        raise InputError(f"{owner}: no finished artifact: there is no such folder. Name one of a store.")
    with named_by_user(owner, artifact):
        manifest = store.read_manifest(artifact)
    if manifest is None:
        if not artifact.is_dir():
            raise InputError(f"{owner}: no such folder. Give an artifact of {_WORDS[folder]}.")
        raise InputError(f"{owner}: no finished artifact: it has no {store.MANIFEST}. Let the run that makes it end.")
    is_kind = (artifact / "hf" / "config.json").is_file() if folder == "model" else manifest["folder"] == folder
    if not is_kind:
        raise InputError(
            f"{owner}: an artifact of the stage {manifest['stage']}, which is no artifact of {_WORDS[folder]}."
        )
    identity = manifest["identity"]
    return FinishedSpec(
        name=name or _WORDS[folder],
        folder=manifest["folder"],
        label=artifact.resolve().name.rpartition("-")[0] or artifact.name,
        entry=_entry(str(identity.get("implementation")), str(identity.get("plugin")), "", ""),
        config=None,
        place=artifact.resolve(),
        made_as=identity,
    )


def input_of(spec: FinishedSpec, role: str, folder: str, owner: str) -> FinishedSpec:
    """Return an input that a finished artifact was made from, which must lie in the same store.

    Raises:
        InputError: it is not there any more.
    """
    manifest = store.load_manifest(spec.place) or {}
    found = lineage.place_of(str(manifest.get("inputs", {}).get(role, "")), spec.place)
    if not (found / store.MANIFEST).is_file():
        raise InputError(
            f"{owner}: its {role} {found.name} is not in the store any more. Make it again, or copy it there."
        )
    return finished(found, folder, f"{owner}, its {role}")


def check_same_tokens(one: Path, other: Path, owner: str) -> None:
    """Refuse two tokenizers that give other ids to the same texts, as far as ``tokenizer.json`` says it.

    Raises:
        InputError: they differ, or one folder has no ``tokenizer.json``.
    """
    try:
        same = tokenizer_digest(one) == tokenizer_digest(other)
    except InputError as error:
        raise InputError(f"{owner}: {error}") from error
    if not same:
        raise InputError(f"{owner}: made with another tokenizer than {other}. Leave one out, or take those that fit.")


def _artifact_of(place: Path) -> Path | None:
    """Return the artifact that a folder is, or whose ``hf/`` it is; through links, too."""
    place = place.resolve()
    for folder in (place, place.parent if place.name == "hf" else place):
        if (folder / store.MANIFEST).is_file() and (folder / "hf" / "config.json").is_file():
            return folder
    return None


def _from_hub(named: str, owner: str, registry: Registry) -> tuple[StageSpec, ModelFolder]:
    name, _, revision = named.partition("@")
    directory = hub.snapshot(name, revision or None, hub.DESCRIPTION, owner.partition("=")[0])
    folder = ModelFolder(directory, owner)
    folder.config()
    config = EnteredModelConfig(origin=name, directory=str(directory), revision=directory.name)
    source = f"hf://{name}@{directory.name}"
    return _entered(
        name.rpartition("/")[2], config, {"hub": name, "revision": directory.name}, (source,), registry
    ), folder


def _entered(
    label: str, config: EnteredModelConfig, content: Mapping[str, Any], files: tuple[str, ...], registry: Registry
) -> StageSpec:
    target = f"{EnteredModel.__module__}:{EnteredModel.__qualname__}"
    return StageSpec(
        name=MODEL,
        folder="model",
        label=names.shorten(label),
        entry=_entry("entered_model", CORE, registry.versions().get(CORE, ""), target),
        config=config,
        content=dict(content),
        external_files=files,
    )


def _entry(name: str, distribution: str, version: str, target: str) -> Entry:
    return Entry(
        kind="sources", name=name, target=target, config=None, plugin="core", distribution=distribution, version=version
    )


def _check_kind(folder: ModelFolder) -> None:
    """Refuse what is no language model.

    Raises:
        InputError: it is an encoder, or has another head than a language model's.
    """
    config = folder.config()
    written = config.get("architectures")
    classes = [name for name in written if isinstance(name, str)] if isinstance(written, list) else []
    if config.get("is_encoder_decoder"):
        raise folder.refusal("config.json: is_encoder_decoder=true: not a decoder alone. Give a model of that kind.")
    heads = [name for name in classes if name.endswith(LANGUAGE_MODELS)]
    if classes and not heads and known_to_transformers(config["model_type"]):
        raise folder.refusal(
            f"config.json: architectures={classes[0]}: has no head of a language model. Give a model for text "
            "generation (...ForCausalLM)."
        )


def _check_tokenizer(folder: ModelFolder) -> None:
    """Refuse a tokenizer that has more ids than the model has rows.

    Raises:
        InputError: naming both numbers.
    """
    if not (folder.directory / "tokenizer.json").is_file():
        raise folder.refusal("tokenizer.json: not found. Save its tokenizer there, with Transformers' save_pretrained.")
    config, content = folder.config(), folder.read_json("tokenizer.json")
    nested = config.get("text_config")
    rows = config.get("vocab_size") or (nested.get("vocab_size") if isinstance(nested, dict) else None)
    try:
        vocabulary = (content.get("model") or {}).get("vocab") or {}
        ids = range(len(vocabulary)) if isinstance(vocabulary, list) else vocabulary.values()
        most = max((*ids, *(token["id"] for token in content.get("added_tokens") or [])), default=-1)
        too_many = isinstance(rows, int) and most >= rows
    except (AttributeError, TypeError, KeyError) as error:
        raise folder.refusal("tokenizer.json: is no tokenizer's. Save it with save_pretrained.") from error
    if too_many:
        raise folder.refusal(
            f"tokenizer.json has ids up to {most}, and the model has {rows} rows: it is another model's tokenizer."
        )

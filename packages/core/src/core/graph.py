"""The stages of a run, in order, with the identity of what each will make.

Identities are addressed by input: they are known before any work, so that planning can say what is reused.
"""

import dataclasses
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from core import store, typed
from core.data.recipe import RecipeConfig, expand, plan_steps, several
from core.errors import ConfigError, MissingPluginError
from core.fingerprint import fingerprint, source_digest
from core.fingerprint import identity as content_identity
from core.interfaces import Architecture, Initializer, Job
from core.kinds import GROUPS
from core.registry import Entry, Registry
from core.run_config import RunConfig


@dataclasses.dataclass(frozen=True, kw_only=True)
class ArchitectureChoice:
    """A chosen architecture, with its vocabulary resolved."""

    entry: Entry
    config: Any

    def build(self) -> Architecture:
        return self.entry.build(self.config)

    def label(self) -> str:
        """Return ``gqa-nano``, and what was set otherwise than the size has it: ``gqa-nano-num_hidden_layers-4``."""
        size = getattr(self.config, "size", None)
        if not size:
            return self.entry.name
        own = typed.identity(self.config)
        named = typed.identity(
            typed.build(type(self.config), {"size": size, "vocab_size": own.get("vocab_size")}, "arch")
        )
        changed = [key for key, value in own.items() if value != named[key]]
        shown = [f"{key}-{own[key]}" if isinstance(own[key], (int, float, str)) else key for key in changed[:3]]
        more = [f"and-{len(changed) - 3}-more"] if len(changed) > 3 else []
        return "-".join([self.entry.name, size, *(re.sub(r"[^\w.-]", "_", part) for part in shown + more)])

    def identity(self) -> dict[str, Any]:
        values = typed.identity(self.config)
        values.pop("size", None)  # the dimensions are the identity, not the name of their set
        return {**self.entry.identity(), **values}


@dataclasses.dataclass(frozen=True, kw_only=True)
class ExecutorChoice:
    """How the passes of a data recipe are spread; never part of an identity."""

    entry: Entry
    config: Any

    def build(self, plugin_files: tuple[str, ...]) -> Any:
        return self.entry.load()(self.config, plugin_files)


@dataclasses.dataclass(frozen=True, kw_only=True)
class StageSpec:
    """One stage of this run: who does it, with which settings, from which other stages."""

    name: str
    folder: str
    """Of the store, in which its artifact is."""
    label: str
    """Readable part of the artifact's name."""
    entry: Entry
    config: Any
    inputs: Mapping[str, "StageSpec"] = dataclasses.field(default_factory=dict)
    architecture: ArchitectureChoice | None = None
    executor: ExecutorChoice | None = None
    content: Any = None
    """What stands for the settings in the identity: the settings, and the content of the files that they name."""
    parts: tuple[Entry, ...] = ()
    """The registered names that have a part in the work beside the stage and the architecture: a recipe's steps."""
    external_files: tuple[str, ...] = ()
    """Files from outside the store that the stage reads."""
    seed: int = 0

    def identity(self) -> dict[str, Any]:
        """Everything that changes the content of the artifact, and nothing else."""
        own: dict[str, Any] = {
            **self.entry.identity(),
            self.name.split("-")[0]: self.content,
            "seed": self.seed,
        }
        if self.architecture is not None:
            own["arch"] = self.architecture.identity()
        own["inputs"] = {role: spec.digest for role, spec in self.inputs.items()}
        return own

    @property
    def digest(self) -> str:
        return store.digest(self.identity())

    def directory(self, root: Path) -> Path:
        return root / self.folder / f"{self.label}-{self.digest}"

    def build(self) -> Any:
        """Construct the stage; cheap by contract."""
        return self.entry.build(self.config)

    def sources(self) -> dict[str, str]:
        """Return a digest of the code of each plugin that has a part in the work, by distribution."""
        chosen = [choice.entry for choice in (self.architecture,) if choice is not None]
        entries = [self.entry, *chosen, *self.parts]
        return {entry.distribution: source_digest(entry.target) for entry in entries}

    def other_code(self, manifest: Mapping[str, Any]) -> str | None:
        """Return a note where the code that made a finished artifact is not what is installed now."""
        made, here = manifest.get("sources", {}), self.sources()
        changed = [name for name in here if made.get(name, here[name]) != here[name]]
        return f"made by other code of {', '.join(changed)}, of the same artifact_version" if changed else None

    def job(self, root: Path, plugin_files: tuple[str, ...], plugins: Mapping[str, str]) -> Job:
        """Return the work as a process of its own is told of it.

        Args:
            root: The store.
            plugin_files: Local files given with ``--plugin``.
            plugins: Versions of what is installed, by distribution, for the manifest.
        """
        return Job(
            name=self.name,
            output=self.directory(root),
            inputs={role: source.directory(root) for role, source in self.inputs.items()},
            seed=self.seed,
            stage=self.build(),
            architecture=self.architecture.build() if self.architecture is not None else None,
            executor=self.executor.build(plugin_files) if self.executor is not None else None,
            plugin_files=plugin_files,
            record={
                "folder": self.folder,
                "identity": self.identity(),
                "config": dataclasses.asdict(self.config) if self.config is not None else None,
                "external_files": list(self.external_files),
                "plugins": dict(plugins),
                "sources": self.sources(),
            },
        )


def build(config: Mapping[str, Any], registry: Registry) -> list[StageSpec]:
    """Return the stages that a composed configuration asks for, checked, in the order of work.

    Raises:
        core.errors.UserError: whatever is wrong with the configuration.
    """
    top = {key: value for key, value in config.items() if key not in GROUPS}
    run = typed.build(RunConfig, top, "run")
    return _Builder(config, registry, run.seed).build()


class _Builder:
    def __init__(self, config: Mapping[str, Any], registry: Registry, seed: int) -> None:
        self.config = config
        self.registry = registry
        self.seed = seed
        self.stages: list[StageSpec] = []

    def build(self) -> list[StageSpec]:
        if "data" not in self.config:
            asked = "training needs a corpus" if "arch" in self.config else "nothing was asked for"
            raise ConfigError(f"{asked}: add +data=<recipe> (and +arch=<architecture> to train). See --help.")
        corpora = self._corpora()
        if "arch" not in self.config:
            if "posttrain" in self.config:
                raise ConfigError("+posttrain needs a model to start from: add +arch=<architecture>.")
            return self.stages
        tokenizer = self._stage("tokenizer", "tokenizers", corpora)
        tokens = self._stage("tokens", "packers", {**corpora, "tokenizer": tokenizer})
        model = self._pretrain(tokenizer, tokens)
        self._evaluate("eval", model, tokenizer, tokens)
        aligned = self._posttrain(model, tokenizer, tokens)
        if aligned is not model:
            self._evaluate(f"eval-{aligned.name}", aligned, tokenizer, tokens)
        return self.stages

    def _add(self, spec: StageSpec) -> StageSpec:
        for earlier in self.stages:
            if earlier.identity() == spec.identity() and earlier.folder == spec.folder:
                return earlier
        self.stages.append(spec)
        return spec

    def _node(self, group: str, where: str) -> dict[str, Any]:
        node = self.config.get(group)
        if node is None:
            raise MissingPluginError(self.registry.missing_message(group, GROUPS[group].default or group, []))
        if not isinstance(node, Mapping):
            raise ConfigError(f"{where}={node!r}: expected settings; choose an option with {group}=<option>.")
        return dict(node)

    def _new(
        self,
        name: str,
        entry: Entry,
        config: Any,
        *,
        folder: str | None = None,
        label: str | None = None,
        inputs: Mapping[str, StageSpec] | None = None,
        architecture: ArchitectureChoice | None = None,
        executor: ExecutorChoice | None = None,
        content: Any = None,
        parts: tuple[Entry, ...] = (),
        external_files: tuple[str, ...] = (),
    ) -> StageSpec:
        """Add a stage; its content is that of its settings unless given."""
        spec = StageSpec(
            name=name,
            folder=folder or name,
            label=label or (architecture.label() if architecture else entry.name),
            entry=entry,
            config=config,
            inputs=inputs or {},
            architecture=architecture,
            executor=executor,
            content=content_identity(config, self.registry, name) if content is None else content,
            parts=parts,
            external_files=external_files,
            seed=self.seed,
        )
        return self._add(spec)

    def _stage(self, group: str, kind: str, inputs: Mapping[str, StageSpec]) -> StageSpec:
        settings = self._node(group, group)
        entry = self.registry.get(kind, str(settings.pop("name", group)))
        return self._new(group, entry, entry.settings(settings, group), inputs=inputs)

    def _corpora(self) -> dict[str, StageSpec]:
        """Return the data stages by role: ``corpus`` for one recipe, ``corpus-<recipe>`` for each of several."""
        node = self._node("data", "data")
        executor = self._executor()
        if not several(node):
            return {"corpus": self._data("data", node, executor)}
        return {f"corpus-{label}": self._data(f"data.{label}", part, executor) for label, part in node.items()}

    def _executor(self) -> ExecutorChoice:
        settings = self._node("executor", "executor")
        entry = self.registry.get("executors", str(settings.pop("name", "")))
        return ExecutorChoice(entry=entry, config=entry.settings(settings, "executor"))

    def _data(self, where: str, node: Mapping[str, Any], executor: ExecutorChoice) -> StageSpec:
        """Add the stage of the recipe at ``where``: ``data``, or ``data.<label>`` where there are several."""
        node = dict(node)
        name = str(node.get("name", "data"))
        stage = where.replace(".", "-")
        if "corpus" in node:
            node.pop("name", None)
            entry = self.registry.get("corpora", str(node.pop("corpus")))
            return self._new(stage, entry, entry.settings(node, where), folder="data", label=name, executor=executor)
        recipe = typed.build(RecipeConfig, node, where)
        steps = plan_steps(recipe, self.registry, where)
        content: dict[str, Any] = {"steps": {step.label: step.identity(self.registry) for step in steps}}
        inputs: dict[str, StageSpec] = {}
        files = None
        if recipe.paths is not None:
            files = expand(recipe.paths, where)
        elif recipe.source is None and steps[0].entry.config is not None:
            files = steps[0].config.inputs()
        recipe = dataclasses.replace(recipe, files=files)
        if files is not None:
            content["files"] = [fingerprint(file) for file in files]
        elif recipe.source is not None:
            settings = dict(recipe.source)
            source = self.registry.get("sources", str(settings.pop("name", None)))
            config = source.settings(settings, f"{where}.source")
            inputs["crawl"] = self._new(stage.replace("data", "crawl", 1), source, config, folder="crawl")
        else:
            raise ConfigError(f"{where}.paths is not set and the recipe has no source: give {where}.paths=[<files>].")
        if recipe.shards is not None:
            content["shards"] = recipe.shards
        entry = self.registry.get("corpora", "recipe")
        return self._new(
            stage,
            entry,
            recipe,
            folder="data",
            label=name,
            inputs=inputs,
            executor=executor,
            content=content,
            parts=tuple(step.entry for step in steps),
            external_files=files or (),
        )

    def _architecture(self, settings: Mapping[str, Any], tokenizer: StageSpec) -> ArchitectureChoice:
        settings = dict(settings)
        entry = self.registry.get("architectures", str(settings.pop("name", "")))
        config_class = entry.load_config()
        assert config_class is not None, f"architecture {entry.name} registers no config class"
        vocabulary = tokenizer.build().vocab_size()
        size = settings.get("size")
        sized = getattr(config_class, "SIZES", {}).get(size, {}) if isinstance(size, str) else {}
        if settings.get("vocab_size") is None and sized.get("vocab_size") is None:
            settings["vocab_size"] = vocabulary
        choice = ArchitectureChoice(entry=entry, config=typed.build(config_class, settings, "arch"))
        if choice.config.vocab_size < vocabulary:
            raise ConfigError(
                f"arch.vocab_size={choice.config.vocab_size} is smaller than the tokenizer's {vocabulary}: "
                f"set arch.vocab_size={vocabulary} or tokenizer.vocab_size={choice.config.vocab_size}."
            )
        choice.build()  # an architecture may refuse what its configuration allows
        return choice

    def _pretrain(self, tokenizer: StageSpec, tokens: StageSpec) -> StageSpec:
        arch = self._node("arch", "arch")
        initializer = arch.pop("initializer", None)
        architecture = self._architecture(arch, tokenizer)
        inputs = {"tokenizer": tokenizer, "tokens": tokens}
        if initializer is not None:
            inputs["init"] = self._initialize(dict(initializer), arch, architecture, tokenizer, tokens)
        return self._train("pretrain", architecture, inputs)

    def _train(self, name: str, architecture: ArchitectureChoice, inputs: Mapping[str, StageSpec]) -> StageSpec:
        settings = self._node("pretrain", "pretrain")
        entry = self.registry.get("trainers", str(settings.pop("name", "")))
        config = entry.settings(settings, "pretrain")
        stage = self._new(name, entry, config, folder="pretrain", inputs=inputs, architecture=architecture)
        built = architecture.build()
        built.check_training(stage.build().plan(built)["seq_len"])
        return stage

    def _initialize(
        self,
        settings: dict[str, Any],
        arch: Mapping[str, Any],
        architecture: ArchitectureChoice,
        tokenizer: StageSpec,
        tokens: StageSpec,
    ) -> StageSpec:
        """Add the initializer and, where no source is named, the training of the source model."""
        entry = self.registry.get("initializers", str(settings.pop("name", "")))
        config = entry.settings(settings, "arch.initializer")
        initializer: Initializer = entry.build(config)
        inputs = {"tokenizer": tokenizer}
        if initializer.reads_tokens():
            inputs["tokens"] = tokens
        source = initializer.source_to_train()
        if source is not None:
            source_arch = self._architecture({"name": arch["name"], **source}, tokenizer)
            # Before its source is trained for hours.
            initializer.check(source_arch.build(), architecture.build())
            inputs["source"] = self._train("pretrain-source", source_arch, {"tokenizer": tokenizer, "tokens": tokens})
        else:
            initializer.check_source(architecture.build())
        label = f"{entry.name}-{architecture.label()}"
        return self._new("init", entry, config, label=label, inputs=inputs, architecture=architecture)

    def _posttrain(self, model: StageSpec, tokenizer: StageSpec, tokens: StageSpec) -> StageSpec:
        for name, settings in (self.config.get("posttrain") or {}).items():
            node = dict(settings or {})
            entry = self.registry.get("posttrainers", str(node.pop("name", name)))
            config = entry.settings(node, f"posttrain.{name}")
            architecture = model.architecture
            assert architecture is not None
            entry.build(config).check_plan(f"posttrain.{name}", architecture.build(), tokenizer.build())
            label = f"{name}-{architecture.label()}"
            inputs = {"model": model, "tokens": tokens}
            model = self._new(
                name, entry, config, folder="posttrain", label=label, inputs=inputs, architecture=architecture
            )
        return model

    def _evaluate(self, name: str, model: StageSpec, tokenizer: StageSpec, tokens: StageSpec) -> None:
        settings = self._node("eval", "eval")
        entry = self.registry.get("evaluators", str(settings.pop("name", "")))
        config = entry.settings(settings, "eval")
        assert model.architecture is not None
        entry.build(config).check_plan("eval", model.architecture.build(), tokenizer.build())
        inputs = {"model": model, "tokens": tokens, "tokenizer": tokenizer}
        self._new(name, entry, config, folder="eval", label=model.label, inputs=inputs, architecture=model.architecture)

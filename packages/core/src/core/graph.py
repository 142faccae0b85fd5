"""The stages of a run, in order, with the identity of what each will make.

Identities are addressed by input: they are known before any work, so that planning can say what is reused.
"""

import dataclasses
from collections.abc import Mapping
from typing import Any

from core import advice, names, typed
from core.data.recipe import RecipeConfig, expand, plan_steps, several
from core.errors import ConfigError, MissingPluginError
from core.fingerprint import fingerprint, named_files
from core.fingerprint import identity as content_identity
from core.interfaces import Initializer
from core.kinds import GROUPS
from core.registry import Entry, Registry
from core.run_config import RunConfig
from core.stage_spec import ArchitectureChoice, ExecutorChoice, StageSpec

__all__ = ["ArchitectureChoice", "ExecutorChoice", "StageSpec", "build"]
SOURCE_ARCH = "arch.initializer.source_arch"


def build(config: Mapping[str, Any], registry: Registry) -> list[StageSpec]:
    """Return the stages that a composed configuration asks for, checked, in the order of work.

    Raises:
        core.errors.UserError: whatever is wrong with the configuration.
    """
    top = {key: value for key, value in config.items() if key not in GROUPS}
    return _Builder(config, registry, typed.build(RunConfig, top, "").seed).build()


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
        tokenizer.build().check_corpora([role.removeprefix("corpus-") for role in corpora])
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
        where: str | None = None,
        folder: str | None = None,
        label: str | None = None,
        inputs: Mapping[str, StageSpec] | None = None,
        architecture: ArchitectureChoice | None = None,
        executor: ExecutorChoice | None = None,
        content: Any = None,
        parts: tuple[Entry, ...] = (),
        external_files: tuple[str, ...] = (),
    ) -> StageSpec:
        """Add a stage; its content is that of its settings, at ``where`` in the configuration, unless given."""
        spec = StageSpec(
            name=name,
            folder=folder or name,
            label=names.shorten(label or (architecture.label() if architecture else entry.name)),
            entry=entry,
            config=config,
            inputs=inputs or {},
            architecture=architecture,
            executor=executor,
            content=content_identity(config, self.registry, where or name) if content is None else content,
            parts=parts,
            external_files=(*external_files, *named_files(config)),
            seed=self.seed,
        )
        return self._add(spec)

    def _stage(self, group: str, kind: str, inputs: Mapping[str, StageSpec]) -> StageSpec:
        settings = self._node(group, group)
        entry = self.registry.get(kind, str(settings.pop("name", group)))
        return self._new(group, entry, self._settings(entry, settings, group), inputs=inputs)

    def _settings(self, entry: Entry, settings: Mapping[str, Any], where: str) -> Any:
        """Build settings, and let them refuse what would end the run later."""
        config = entry.settings(settings, where)
        if callable(check := getattr(config, "check", None)):
            check(self.registry, where)
        return config

    def _corpora(self) -> dict[str, StageSpec]:
        """Return the data stages by role: ``corpus`` for one recipe, ``corpus-<recipe>`` for each of several."""
        node = self._node("data", "data")
        executor = self._executor()
        if not several(node):
            return {"corpus": self._data("data", node, executor)}
        return {
            f"corpus-{names.check(str(label), 'a recipe of data')}": self._data(f"data.{label}", part, executor)
            for label, part in node.items()
        }

    def _executor(self) -> ExecutorChoice:
        settings = self._node("executor", "executor")
        entry = self.registry.get("executors", str(settings.pop("name", "")))
        return ExecutorChoice(entry=entry, config=self._settings(entry, settings, "executor"))

    def _data(self, where: str, node: Mapping[str, Any], executor: ExecutorChoice) -> StageSpec:
        """Add the stage of the recipe at ``where``: ``data``, or ``data.<label>`` where there are several."""
        node = dict(node)
        name = names.check(str(node.get("name", "data")), f"{where}.name")
        stage = where.replace(".", "-")
        if "corpus" in node:
            node.pop("name", None)
            entry = self.registry.get("corpora", str(node.pop("corpus")))
            config = self._settings(entry, node, where)
            return self._new(stage, entry, config, where=where, folder="data", label=name, executor=executor)
        recipe = typed.build(RecipeConfig, node, where)
        steps = plan_steps(recipe, self.registry, where)
        content: dict[str, Any] = {"steps": {step.label: step.identity(self.registry) for step in steps}}
        inputs: dict[str, StageSpec] = {}
        files = None
        if recipe.paths is not None:
            files = expand(recipe.paths, where)
        elif recipe.source is None and steps[0].entry.config is not None:
            files = steps[0].config.inputs()
        if files is not None and steps[0].entry.config is not None:
            steps[0].config.check_files(files, f"{where}.steps.{steps[0].label}")
        recipe = dataclasses.replace(recipe, files=files)
        if files is not None:
            content["files"] = [fingerprint(file) for file in files]
        elif recipe.source is not None:
            settings = dict(recipe.source)
            source = self.registry.get("sources", str(settings.pop("name", None)))
            config = self._settings(source, settings, f"{where}.source")
            crawl, at = stage.replace("data", "crawl", 1), f"{where}.source"
            inputs["crawl"] = self._new(crawl, source, config, where=at, folder="crawl")
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
            external_files=(*(files or ()), *(file for step in steps for file in named_files(step.config))),
        )

    def _architecture(
        self, settings: Mapping[str, Any], tokenizer: StageSpec, where: str = "arch"
    ) -> ArchitectureChoice:
        settings = dict(settings)
        entry = self.registry.get("architectures", str(settings.pop("name", "")))
        config_class = entry.load_config()
        assert config_class is not None, f"architecture {entry.name} registers no config class"
        vocabulary = tokenizer.build().vocab_size()
        size = settings.get("size")
        sized = getattr(config_class, "SIZES", {}).get(size, {}) if isinstance(size, str) else {}
        follows = settings.get("vocab_size") is None and sized.get("vocab_size") is None
        if follows:
            settings["vocab_size"] = vocabulary
        try:
            choice = ArchitectureChoice(entry=entry, config=typed.build(config_class, settings, where))
        except ConfigError as error:
            raise (advice.as_of_tokenizer(error, where, tokenizer.config) if follows else error) from None
        if choice.config.vocab_size < vocabulary:
            smaller = advice.tokenizer_of(tokenizer.entry, tokenizer.config, choice.config.vocab_size)
            raise ConfigError(
                f"{where}.vocab_size={choice.config.vocab_size} is smaller than the tokenizer's {vocabulary}: "
                f"set {where}.vocab_size={vocabulary}{smaller}."
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
        config = self._settings(entry, settings, "pretrain")
        stage = self._new(name, entry, config, folder="pretrain", inputs=inputs, architecture=architecture)
        built = architecture.build()
        trainer = stage.build()
        built.check_training(trainer.plan(built)["seq_len"])
        trainer.check_plan("pretrain", built, inputs["tokenizer"].build())
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
        config = self._settings(entry, settings, "arch.initializer")
        initializer: Initializer = entry.build(config)
        inputs = {"tokenizer": tokenizer}
        if initializer.reads_tokens():
            inputs["tokens"] = tokens
        source = initializer.source_to_train()
        if source is not None:
            try:
                source_arch = self._architecture({"name": arch["name"], **source}, tokenizer, SOURCE_ARCH)
            except ConfigError as error:
                raise ConfigError(str(error).replace(f"{SOURCE_ARCH}.size", "arch.initializer.source_size")) from None
            # Before its source is trained for hours.
            initializer.check(source_arch.build(), architecture.build())
            inputs["source"] = self._train("pretrain-source", source_arch, {"tokenizer": tokenizer, "tokens": tokens})
        else:
            initializer.check_source(architecture.build())
        label = f"{entry.name}-{architecture.label()}"
        at = "arch.initializer"
        return self._new("init", entry, config, where=at, label=label, inputs=inputs, architecture=architecture)

    def _posttrain(self, model: StageSpec, tokenizer: StageSpec, tokens: StageSpec) -> StageSpec:
        for name, settings in (self.config.get("posttrain") or {}).items():
            node = dict(settings or {})
            entry = self.registry.get("posttrainers", str(node.pop("name", name)))
            where = f"posttrain.{name}"
            config = self._settings(entry, node, where)
            architecture = model.architecture
            assert architecture is not None
            entry.build(config).check_plan(where, architecture.build(), tokenizer.build())
            label = f"{names.check(str(name), 'a method of posttrain')}-{architecture.label()}"
            inputs = {"model": model, "tokens": tokens}
            model = self._new(
                name,
                entry,
                config,
                where=where,
                folder="posttrain",
                label=label,
                inputs=inputs,
                architecture=architecture,
            )
        return model

    def _evaluate(self, name: str, model: StageSpec, tokenizer: StageSpec, tokens: StageSpec) -> None:
        settings = self._node("eval", "eval")
        entry = self.registry.get("evaluators", str(settings.pop("name", "")))
        config = self._settings(entry, settings, "eval")
        assert model.architecture is not None
        entry.build(config).check_plan("eval", model.architecture.build(), tokenizer.build())
        inputs = {"model": model, "tokens": tokens, "tokenizer": tokenizer}
        self._new(name, entry, config, folder="eval", label=model.label, inputs=inputs, architecture=model.architecture)

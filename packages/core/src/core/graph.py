"""The stages of a run, in order, with the identity of what each will make.

Identities are addressed by input: they are known before any work, so that planning can say what is reused.
"""

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from core import advice, entered_corpus, entries, names, seeds, typed
from core.data.recipe import RecipeConfig, expand, plan_steps, several
from core.errors import ConfigError, MissingPluginError, NotAtHand, UserError
from core.fingerprint import fingerprint, named_files
from core.fingerprint import identity as content_identity
from core.interfaces import Initializer, Tokenizer
from core.kinds import GROUPS
from core.registry import Entry, Registry
from core.run_config import RunConfig
from core.stage_spec import ArchitectureChoice, ExecutorChoice, StageSpec, TokenizerChoice

__all__ = ["ArchitectureChoice", "ExecutorChoice", "StageSpec", "build"]
SOURCE_ARCH = "arch.initializer.source_arch"


def build(config: Mapping[str, Any], registry: Registry, *, without_corpus: bool = False) -> list[StageSpec]:
    """Return the stages that a composed configuration asks for, checked, in the order of work.

    Args:
        without_corpus: Let a training be described for which no corpus is chosen yet; it cannot be run.

    Raises:
        core.errors.UserError: whatever is wrong with the configuration.
    """
    top = {key: value for key, value in config.items() if key not in GROUPS}
    run = typed.build(RunConfig, top, "")
    try:
        return _Builder(config, registry, run, without_corpus).build()
    except UserError as error:
        raise advice.of_entries(error, run.model, run.corpus) from error


class _Builder:
    def __init__(self, config: Mapping[str, Any], registry: Registry, run: RunConfig, without_corpus: bool) -> None:
        self.config, self.seeds = seeds.split(config, registry)
        self.registry = registry
        self.run = run
        self.without_corpus = without_corpus
        self.stages: list[StageSpec] = []

    def build(self) -> list[StageSpec]:
        entered = self._entered()
        tokens = entries.tokens(self.config.get("tokens"))
        if tokens is not None:
            self._add(tokens)
        corpora = self._corpora()
        if tokens is not None and corpora:
            raise ConfigError(f"tokens={tokens.place}: a corpus stands beside it. Leave one out.")
        if not corpora and tokens is None and not (entered or (self.without_corpus and "arch" in self.config)):
            asked = "training needs a corpus" if "arch" in self.config else "nothing was asked for"
            raise ConfigError(
                f"{asked}: add +data=<recipe> (and +arch=<architecture> to train), or model=<model>. See --help."
            )
        if entered is None and "arch" not in self.config:
            if "posttrain" in self.config:
                raise ConfigError("+posttrain needs a model to start from: add +arch=<architecture> or model=<model>.")
            if tokens is not None:
                raise ConfigError(
                    f"tokens={tokens.place}: nothing uses them: add +arch=<architecture> or model=<model>."
                )
            return self.stages
        training = bool(corpora) or tokens is not None or entered is None
        tokenizer = self._tokenizer(corpora, tokens, entered, training)
        model = entered
        given: dict[str, StageSpec] = {}
        if training:
            given["tokens"] = tokens or self._stage("tokens", "packers", {**corpora, "tokenizer": tokenizer.spec})
            given["tokenizer"] = tokenizer.spec
            model = self._pretrain(tokenizer, given, entered)
        assert model is not None
        self._evaluate("eval", model, tokenizer, given)
        aligned = self._posttrain(model, tokenizer, given)
        if aligned is not model:
            self._evaluate(f"eval-{aligned.spec.name}", aligned, tokenizer, given)
        return self.stages

    def _entered(self) -> entries.Model | None:
        """Return the model that the run starts from, brought into the store by its first stage."""
        if self.run.model is None:
            return None
        if "arch" in self.config:
            raise ConfigError(
                f"model={self.run.model}: brings its own architecture. Leave +arch out; a smaller model is cut from it "
                "with +arch=inherited_init arch.initializer.source=<model>, without model=."
            )
        model = entries.model(self.run.model, self.registry)
        self._add(model.spec)
        return model

    def _tokenizer(
        self,
        corpora: Mapping[str, StageSpec],
        tokens: entries.FinishedSpec | None,
        entered: entries.Model | None,
        training: bool,
    ) -> TokenizerChoice:
        """Return the tokenizer: of the tokens or the model that the run starts from, else the one that it makes."""
        settings = self._node("tokenizer", "tokenizer")
        entry = self.registry.get("tokenizers", str(settings.pop("name", "tokenizer")))
        key = str(GROUPS["tokenizer"].entry)
        given = settings.get(key)
        own = entered.folder.directory if entered is not None else None
        made, folder = None, own
        if tokens is not None:
            made = entries.input_of(tokens, "tokenizer", "tokenizer", f"tokens={tokens.place}")
            self._add(made)
            folder = made.place
            if entered is not None and own is not None:
                entries.check_same_tokens(own, folder, f"{entered.folder.owner}: the tokens of {tokens.place}")
        if folder is not None:
            self._settings(entry, settings, "tokenizer")  # a misspelt key is one here, too
            if given is not None and not Path(given).is_dir():
                raise ConfigError(f"tokenizer.{key}={given}: the run starts from what has a tokenizer. Leave it out.")
            if given is not None:
                entries.check_same_tokens(Path(given), folder, f"tokenizer.{key}={given}")
            if key not in getattr(entry.load_config(), "__dataclass_fields__", {}):
                raise ConfigError(f"tokenizer={entry.name}: takes no tokenizer that exists. Leave it out.")
            settings = {key: str(folder)}
        config = self._settings(entry, settings, "tokenizer")
        spec: StageSpec | None = made
        if made is None and training:
            spec = self._new("tokenizer", entry, config, inputs=corpora)
        stage: Tokenizer = entry.build(config)
        if spec is not None and made is None:
            stage.check_corpora([role.removeprefix("corpus-") for role in corpora])
        return TokenizerChoice(entry=entry, stage=stage, spec=spec)

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
            seed=self.seeds.of(where or name),
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
        if self.run.corpus is not None:
            owner = f"corpus={self.run.corpus}"
            if "data" in self.config:
                raise ConfigError(f"{owner}: with +data there would be two corpora. Leave one out.")
            if (recipe := entered_corpus.recipe(self.run.corpus)) is not None:
                return {"corpus": self._data("data", recipe, self._executor())}
            return {"corpus": self._add(entries.finished(Path(self.run.corpus), "data", owner))}
        if "data" not in self.config:
            return {}
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
            raise NotAtHand(f"{where}.paths is not set and the recipe has no source: give {where}.paths=[<files>].")
        if recipe.shards is not None:
            content["shards"] = recipe.shards
        return self._new(
            stage,
            self.registry.get("corpora", "recipe"),
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
        self, settings: Mapping[str, Any], tokenizer: TokenizerChoice, where: str = "arch"
    ) -> ArchitectureChoice:
        settings = dict(settings)
        entry = self.registry.get("architectures", str(settings.pop("name", "")))
        config_class = entry.load_config()
        assert config_class is not None, f"architecture {entry.name} registers no config class"
        vocabulary = tokenizer.stage.vocab_size()
        size = settings.get("size")
        sized = getattr(entry.load_config(), "SIZES", {}).get(size, {}) if isinstance(size, str) else {}
        follows = settings.get("vocab_size") is None and sized.get("vocab_size") is None
        if follows:
            settings["vocab_size"] = vocabulary
        try:
            choice = ArchitectureChoice(entry=entry, config=typed.build(config_class, settings, where))
        except ConfigError as error:
            raise (advice.as_of_tokenizer(error, where, tokenizer.stage.config) if follows else error) from None
        if choice.config.vocab_size < vocabulary:
            smaller = advice.tokenizer_of(tokenizer.entry, tokenizer.stage.config, choice.config.vocab_size)
            raise ConfigError(
                f"{where}.vocab_size={choice.config.vocab_size} is smaller than the tokenizer's {vocabulary}: "
                f"set {where}.vocab_size={vocabulary}{smaller}."
            )
        choice.build()  # an architecture may refuse what its configuration allows
        return choice

    def _pretrain(
        self, tokenizer: TokenizerChoice, given: Mapping[str, StageSpec], entered: entries.Model | None
    ) -> entries.Model:
        if entered is not None:
            choice = entries.to_train_on(entered, self.registry)
            return self._train("pretrain", choice, tokenizer, {**given, "init": entered.spec})
        arch = self._node("arch", "arch")
        initializer = arch.pop("initializer", None)
        if initializer is None:
            return self._train("pretrain", self._architecture(arch, tokenizer), tokenizer, given)
        init, architecture = self._initialize(dict(initializer), arch, tokenizer, given)
        return self._train("pretrain", architecture, tokenizer, {**given, "init": init})

    def _train(
        self, name: str, architecture: ArchitectureChoice, tokenizer: TokenizerChoice, inputs: Mapping[str, StageSpec]
    ) -> entries.Model:
        settings = self._node("pretrain", "pretrain")
        entry = self.registry.get("trainers", str(settings.pop("name", "")))
        config = self._settings(entry, settings, "pretrain")
        stage = self._new(name, entry, config, folder="pretrain", inputs=inputs, architecture=architecture)
        built = architecture.build()
        trainer = stage.build()
        built.check_training(trainer.plan(built)["seq_len"])
        trainer.check_plan("pretrain", built, tokenizer.stage)
        return entries.Model(spec=stage, planned=built, choice=architecture)

    def _initialize(
        self,
        settings: dict[str, Any],
        arch: Mapping[str, Any],
        tokenizer: TokenizerChoice,
        given: Mapping[str, StageSpec],
    ) -> tuple[StageSpec, ArchitectureChoice]:
        """Add the initializer and, where no source is named, the training of the source model."""
        entry = self.registry.get("initializers", str(settings.pop("name", "")))
        config = self._settings(entry, settings, "arch.initializer")
        initializer: Initializer = entry.build(config)
        architecture = self._architecture({**self._of_source(initializer, arch), **arch}, tokenizer)
        inputs = {"tokenizer": given["tokenizer"]}
        if initializer.reads_tokens():
            inputs["tokens"] = given["tokens"]
        source = initializer.source_to_train()
        if source is not None:
            try:
                source_arch = self._architecture({"name": arch["name"], **source}, tokenizer, SOURCE_ARCH)
            except ConfigError as error:
                raise ConfigError(str(error).replace(f"{SOURCE_ARCH}.size", "arch.initializer.source_size")) from None
            # Before its source is trained for hours.
            initializer.check(source_arch.build(), architecture.build())
            inputs["source"] = self._train("pretrain-source", source_arch, tokenizer, given).spec
        else:
            initializer.check_source(architecture.build())
        label = f"{entry.name}-{architecture.label()}"
        at = "arch.initializer"
        init = self._new("init", entry, config, where=at, label=label, inputs=inputs, architecture=architecture)
        return init, architecture

    def _of_source(self, initializer: Initializer, arch: Mapping[str, Any]) -> dict[str, Any]:
        """Return the settings that a child takes from a source that exists: those that nobody set."""
        entry = self.registry.get("architectures", str(arch.get("name", "")))
        folder = initializer.source_folder()
        if folder is None:
            return {}
        settings = entry.load().settings_of(folder)
        if settings is None:
            raise folder.refusal(f"config.json: model type {folder.config()['model_type']!r}: {entry.name} is another.")
        sized = getattr(entry.load_config(), "SIZES", {}).get(arch.get("size"), {})
        return {key: value for key, value in settings.items() if key not in (*sized, "vocab_size")}

    def _posttrain(
        self, base: entries.Model, tokenizer: TokenizerChoice, given: Mapping[str, StageSpec]
    ) -> entries.Model:
        model = base
        for name, settings in (self.config.get("posttrain") or {}).items():
            node = dict(settings or {})
            entry = self.registry.get("posttrainers", str(node.pop("name", name)))
            where = f"posttrain.{name}"
            config = self._settings(entry, node, where)
            entry.build(config).check_plan(where, base.planned, tokenizer.stage)
            label = f"{names.check(str(name), 'a method of posttrain')}-{base.spec.label}"
            inputs = {"model": model.spec} | {role: spec for role, spec in given.items() if role == "tokens"}
            spec = self._new(
                name,
                entry,
                config,
                where=where,
                folder="posttrain",
                label=label,
                inputs=inputs,
                architecture=base.choice,
            )
            model = dataclasses.replace(base, spec=spec)
        return model

    def _evaluate(
        self, name: str, model: entries.Model, tokenizer: TokenizerChoice, given: Mapping[str, StageSpec]
    ) -> None:
        if self.config.get("eval", ()) is None:  # ~eval
            return
        settings = self._node("eval", "eval")
        entry = self.registry.get("evaluators", str(settings.pop("name", "")))
        config = self._settings(entry, settings, "eval")
        entry.build(config).check_plan("eval", model.planned, tokenizer.stage)
        inputs = {"model": model.spec, **given}
        self._new(name, entry, config, folder="eval", label=model.spec.label, inputs=inputs, architecture=model.choice)

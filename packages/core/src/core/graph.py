"""The stages of a run, in order, with the identity of what each will make.

Identities are addressed by input: they are known before any work, so that planning can say what is reused.
"""

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from core import advice, branching, entries, names, teaching, tokens_entry, typed
from core.corpus_stages import CorpusStages
from core.errors import ConfigError, UserError
from core.fingerprint import identity as content_identity
from core.interfaces import Initializer, SelectionPolicy, Tokenizer, Trainer, is_tokens
from core.kinds import GROUPS
from core.registry import Entry, Registry
from core.run_config import RunConfig
from core.stage_spec import ArchitectureChoice, ExecutorChoice, PolicyChoice, StageSpec, TokenizerChoice

__all__ = ["ArchitectureChoice", "ExecutorChoice", "StageSpec", "build"]
SOURCE_ARCH = "arch.initializer.source_arch"


def build(
    config: Mapping[str, Any], registry: Registry, *, without_corpus: bool = False, at_hand: bool = True
) -> list[StageSpec]:
    """Return the stages that a composed configuration asks for, checked, in the order of work.

    Args:
        without_corpus: Let a training be described for which no corpus is chosen yet; it cannot be run.
        at_hand: Whether the corpora can be looked at; else they are known by their labels only, and nothing can be run.

    Raises:
        core.errors.UserError: whatever is wrong with the configuration.
    """
    top = {key: value for key, value in config.items() if key not in GROUPS}
    run = typed.build(RunConfig, top, "")
    try:
        return _Builder(config, registry, run, without_corpus, at_hand).build()
    except UserError as error:
        raise advice.of_entries(error, run.model, run.corpus) from error


class _Builder(CorpusStages):
    def __init__(
        self, config: Mapping[str, Any], registry: Registry, run: RunConfig, without_corpus: bool, at_hand: bool
    ) -> None:
        super().__init__(config, registry, run, at_hand)
        self.without_corpus = without_corpus

    def build(self) -> list[StageSpec]:
        entered = self._entered()
        settings = self.config.get("tokens")
        tokens, elsewhere = tokens_entry.artifacts(settings), tokens_entry.made_elsewhere(settings)
        for spec in tokens.values():
            self._add(spec)
        corpora = self._corpora()
        tokens_entry.check_beside(settings, corpora)
        exist = bool(elsewhere) or (not tokens and self._tokens_exist(corpora))
        nothing = not (corpora or tokens or exist)
        if nothing and not (entered or (self.without_corpus and "arch" in self.config)):
            asked = "training needs a corpus" if "arch" in self.config else "nothing was asked for"
            raise ConfigError(
                f"{asked}: add +data=<recipe> (and +arch=<architecture> to train), or model=<model>. See --help."
            )
        if "policy" in self.config and ("arch" not in self.config if entered is None else nothing):
            raise ConfigError("+policy changes the mixture of a training, and this run has none. Leave it out.")
        if entered is None and "arch" not in self.config:
            if "posttrain" in self.config:
                raise ConfigError("+posttrain needs a model to start from: add +arch=<architecture> or model=<model>.")
            if tokens or elsewhere:
                raise ConfigError(tokens_entry.nothing_uses(settings))
            return self.stages
        training = not nothing or entered is None
        tokenizer = self._tokenizer(corpora, tokens, entered, training)
        model = entered
        given: dict[str, StageSpec] = {}
        if training:
            assert tokenizer.spec is not None
            given = {**tokens, **self._made_elsewhere(elsewhere, tokenizer.spec), "tokenizer": tokenizer.spec}
            if corpora or not (tokens or elsewhere):
                given |= self._tokens(corpora, tokenizer.spec)
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
        tokens: Mapping[str, entries.FinishedSpec],
        entered: entries.Model | None,
        training: bool,
    ) -> TokenizerChoice:
        """Return the tokenizer: of the tokens or the model that the run starts from, else the one that it makes."""
        settings = self._node("tokenizer", "tokenizer")
        entry = self.registry.get("tokenizers", str(settings.pop("name", "tokenizer")))
        key = str(GROUPS["tokenizer"].entry)
        if not self.at_hand:
            settings.pop(key, None)
        given = settings.get(key)
        own = entered.folder.directory if entered is not None else None
        made, folder = None, own
        if tokens:
            made = tokens_entry.tokenizer_of(tokens)
            self._add(made)
            folder = made.place
            if entered is not None and own is not None:
                of = next(iter(tokens.values())).place
                entries.check_same_tokens(own, folder, f"{entered.folder.owner}: the tokens of {of}")
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
        stage: Tokenizer = entry.build(config)
        if made is None and training:
            elsewhere = tokens_entry.made_elsewhere(self.config.get("tokens"))
            if self.at_hand and stage.reads_corpora() and (elsewhere or self._tokens_exist(corpora)):
                raise ConfigError(
                    "tokens: made elsewhere. Name the tokenizer that made them: tokenizer=<its folder or hub id>."
                )
            spec = self._new("tokenizer", entry, config, inputs=corpora if stage.reads_corpora() else {})
        if spec is not None and made is None:
            stage.check_corpora([role.removeprefix("corpus-") for role in corpora])
        return TokenizerChoice(entry=entry, stage=stage, spec=spec)

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
            return self._train("pretrain", choice, tokenizer, {**given, "init": entered.spec}, continues=True)
        arch = self._node("arch", "arch")
        initializer = arch.pop("initializer", None)
        if initializer is None:
            return self._train("pretrain", self._architecture(arch, tokenizer), tokenizer, given)
        init, architecture = self._initialize(dict(initializer), arch, tokenizer, given)
        return self._train("pretrain", architecture, tokenizer, {**given, "init": init})

    def _train(
        self,
        name: str,
        architecture: ArchitectureChoice,
        tokenizer: TokenizerChoice,
        inputs: Mapping[str, StageSpec],
        continues: bool = False,
        source: bool = False,
    ) -> entries.Model:
        settings = self._node("pretrain", "pretrain")
        entry = self.registry.get("trainers", str(settings.pop("name", "")))
        built = architecture.build()
        defaults = getattr(entry.load(), "defaults", None)
        followed = dict(defaults(settings, built, continues)) if callable(defaults) else {}
        chosen = {key: default.value for key, default in followed.items()}
        config = self._settings(entry, {**settings, **chosen}, "pretrain")
        trainer: Trainer = entry.build(config)
        if source:
            trainer = trainer.of_source()
            config = trainer.config
        content = content_identity(config, self.registry, "pretrain")
        try:
            branch = trainer.branch()
        except UserError as error:
            raise type(error)(f"pretrain.{error}") from error
        if branch is not None:
            inputs = {**inputs, "branch": branching.of(branch, architecture, tokenizer, inputs)}
            content = {**content, "branch_step": branch.step}
        if (taught := trainer.teacher()) is not None:
            inputs = {**inputs, **self._teach(entry, trainer, taught, tokenizer, inputs)}
        corpora = list(_corpora(inputs))
        policy, counts = self._policy(trainer, corpora)
        content = {**content, **counts}
        inputs = {**inputs, **self._compare(policy, tokenizer)}
        evaluator = self._evaluator(trainer, trainer.trained(built), tokenizer)
        stage = self._new(
            name,
            entry,
            config,
            folder="pretrain",
            inputs=inputs,
            architecture=architecture,
            policy=policy,
            evaluator=evaluator,
            content=content,
            followed=followed,
        )
        built.check_training(trainer.plan(built)["seq_len"])
        trainer.check_plan("pretrain", built, tokenizer.stage)
        trainer.reads(stage.finished("tokens", Path(self.run.store)))
        trained = trainer.trained(built)
        return entries.Model(
            spec=stage, planned=trained, choice=dataclasses.replace(architecture, config=trained.config)
        )

    def _teach(
        self,
        entry: Entry,
        trainer: Trainer,
        taught: tuple[str, str],
        tokenizer: TokenizerChoice,
        inputs: Mapping[str, StageSpec],
    ) -> dict[str, StageSpec]:
        """Return the inputs of a training that learns from a model: the model, or what it says of each corpus."""
        key, named = taught
        where = f"pretrain.{key}"
        teacher = self._other_model(where, named, tokenizer)
        tokens, found = _tokens_of(inputs), {}
        for work in trainer.stored_logits(_corpora(inputs)):
            content = content_identity(work.stage.config, self.registry, where)
            made = teaching.stored(work, entry, teacher, tokens, content, self.seeds.of("pretrain"))
            found[work.role] = self._add(made)
        return found or {"teacher": teacher.spec}

    def _compare(self, policy: PolicyChoice | None, tokenizer: TokenizerChoice) -> dict[str, StageSpec]:
        """Return the model that a policy compares a training with, as its input."""
        made = None if policy is None else policy.build()
        if not isinstance(made, SelectionPolicy) or (named := made.reference()) is None:
            return {}
        return {"reference": self._other_model(f"policy.{named[0]}", named[1], tokenizer).spec}

    def _other_model(self, where: str, named: str, tokenizer: TokenizerChoice) -> entries.Model:
        """Return a model of the run's tokenizer, which comes into the store first unless it is there."""
        model = teaching.of(named, where, tokenizer, self.registry, Path(self.run.store))
        if isinstance(model.spec, entries.FinishedSpec):
            return model
        return dataclasses.replace(model, spec=self._add(model.spec))

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
            inputs |= _tokens_of(given)
        source = initializer.source_to_train()
        if source is not None:
            try:
                source_arch = self._architecture({"name": arch["name"], **source}, tokenizer, SOURCE_ARCH)
            except ConfigError as error:
                raise ConfigError(str(error).replace(f"{SOURCE_ARCH}.size", "arch.initializer.source_size")) from None
            # Before its source is trained for hours.
            initializer.check(source_arch.build(), architecture.build())
            inputs["source"] = self._train("pretrain-source", source_arch, tokenizer, given, source=True).spec
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
        if methods := self.config.get("posttrain") or {}:
            entries.check_own_numbers(base)
        for name, settings in methods.items():
            node = dict(settings or {})
            entry = self.registry.get("posttrainers", str(node.pop("name", name)))
            where = f"posttrain.{name}"
            config = self._settings(entry, node, where)
            entry.build(config).check_plan(where, base.planned, tokenizer.stage)
            label = f"{names.check(str(name), 'a method of posttrain')}-{base.spec.label}"
            inputs = {"model": model.spec, **_tokens_of(given)}
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


def _corpora(given: Mapping[str, StageSpec]) -> list[str]:
    """Return the labels of the corpora whose tokens are among some inputs."""
    return ["corpus" if role == "tokens" else role.removeprefix("tokens-") for role in _tokens_of(given)]


def _tokens_of(given: Mapping[str, StageSpec]) -> dict[str, StageSpec]:
    return {role: spec for role, spec in given.items() if is_tokens(role)}
